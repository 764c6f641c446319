"""What waits to be written to one Yjs client: bounded in bytes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

Render = Callable[[], bytes]
"""Makes the slot's message at the moment when it is written."""


class OutboxFull(Exception):
    """The client reads too slowly, or not at all, and more than its share waits for it."""


class YjsOutbox:
    """Messages in order. Between them one slot, for awareness, is rendered when it is written.

    ``limit`` is in bytes. A message that is larger by itself may wait, if nothing else does: a
    document must be sent, however large it is.
    """

    def __init__(self, limit: int, slot: Render) -> None:
        self._limit = limit
        self._slot = slot
        self._slot_due = False
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._waker: asyncio.Future[None] | None = None

    @property
    def size(self) -> int:
        """How many bytes wait."""
        return self._size

    def put(self, message: bytes) -> None:
        """Let ``message`` wait. Raises OutboxFull."""
        if self._waiting and self._size + len(message) > self._limit:
            raise OutboxFull
        self._waiting.append(message)
        self._size += len(message)
        self._wake()

    def put_slot(self) -> None:
        """Let the slot wait until everything that waits now is written, unless it does already."""
        self._slot_due = True
        self._wake()

    async def take(self) -> bytes:
        """Return the next message to write, when there is one."""
        while True:
            if self._waiting:
                message = self._waiting.popleft()
                self._size -= len(message)
                return message
            if self._slot_due:
                self._slot_due = False
                return self._slot()
            self._waker = asyncio.get_running_loop().create_future()
            await self._waker

    def clear(self) -> None:
        """Forget all that waits: nobody will take it."""
        self._waiting.clear()
        self._size = 0
        self._slot_due = False

    def _wake(self) -> None:
        if self._waker is not None and not self._waker.done():
            self._waker.set_result(None)
