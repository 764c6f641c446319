"""What waits to be written to one client: bounded, and rendered only when it is written."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from engineio.packet import Packet

Render = Callable[[], list[Packet]]
"""Makes packets at the moment when they are written; may make none."""


class OutboxFull(Exception):
    """The client reads too slowly, or not at all, and more than its share waits for it."""


class Outbox:
    """Packets in order, among them slots whose content is made when their turn comes.

    A slot is named. One that is put again while it waits keeps its place and is written once,
    with what is true then: a slow client costs one unsent text, however fast the others type.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: deque[Packet | Render | str] = deque()
        self._slots: dict[str, Render] = {}
        self._closed = False
        self._waker: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called; what was put before it can still be taken."""
        return self._closed

    def put(self, packet: Packet | Render) -> None:
        """Let ``packet``, or what makes some, wait for its turn. Raises OutboxFull."""
        if self._closed:
            return
        if len(self._waiting) >= self._limit:
            raise OutboxFull
        self._waiting.append(packet)
        self._wake()

    def put_slot(self, name: str, render: Render) -> None:
        """Let the slot ``name`` wait for its turn, unless it does already."""
        if self._closed or name in self._slots:
            return
        self._slots[name] = render
        self._waiting.append(name)
        self._wake()

    def drop_slot(self, name: str) -> None:
        """Forget a slot; put again it waits behind all others."""
        if self._slots.pop(name, None) is not None:
            self._waiting.remove(name)

    def take(self) -> list[Packet]:
        """Return the next packets to write: none if nothing waits, or if a slot had nothing."""
        if not self._waiting:
            return []
        head = self._waiting.popleft()
        if isinstance(head, str):
            return self._slots.pop(head)()
        return [head] if isinstance(head, Packet) else head()

    async def wait(self) -> bool:
        """Return True when something waits, False when nothing does and the outbox is closed."""
        while not self._waiting:
            if self._closed:
                return False
            self._waker = asyncio.get_running_loop().create_future()
            await self._waker
        return True

    def close(self) -> None:
        """Take nothing more."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        if self._waker is not None and not self._waker.done():
            self._waker.set_result(None)
