"""Messages that are handled where they arrive, without waking a task.

aiohttp's parser puts each message into a queue, and a task takes it out. Two thirds of all messages
are PONGs, and handling one costs less than waking the task. While the task waits for a message,
and nothing is queued, the queue offers a message to its `take` first: so the order is kept.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, Final

from aiohttp import WSMessage, WSMsgType
from aiohttp._websocket.reader import WebSocketDataQueue

from collab.wire.connection import Connection
from collab.wire.frames import Message
from collab.wire.handling import Begun, Handling

CONTENT: Final = (WSMsgType.TEXT, WSMsgType.BINARY)
Take = Callable[[WSMessage], bool]
"""Handles a message; returns False if it must be queued. It may not raise an exception."""


class DirectQueue(WebSocketDataQueue):
    """The queue of one WebSocket; messages may be offered to ``take``, if there is one.

    They are while a task waits in `read`: then nothing is queued, and no message is being handled.
    """

    __slots__ = ("_arrivals", "_is_waiting", "arrived", "take")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.take: Take | None = None
        self.arrived = 0.0
        """When the message arrived that `read` has returned, in monotonic seconds."""
        # A deque only while something waits: an empty one takes 0.6 kB of each idle connection.
        self._arrivals: deque[float] | tuple[()] = ()
        self._is_waiting = False

    def feed_data(self, data: Any, size: int) -> None:
        """Let a message be taken, or queue it."""
        if not self._is_waiting or self.take is None or not self.take(data):
            self._put(data, size)

    async def read(self) -> Any:
        """Return the next message; raise an exception when there is none any more."""
        self._is_waiting = not self._buffer
        message = await super().read()
        if self._arrivals:
            self.arrived = self._arrivals.popleft()
            if not self._arrivals:
                self._arrivals = ()
        return message

    def put(self, content: Any) -> None:
        """Queue something else than a message, to be returned by the next `read`."""
        self._put(WSMessage(WSMsgType.TEXT, content, None), 0)

    def _put(self, data: Any, size: int) -> None:
        self._is_waiting = (
            False  # from here on: the reader goes on to parse in the middle of `read`
        )
        if not self._arrivals:
            self._arrivals = deque()
        self._arrivals.append(monotonic())
        super().feed_data(data, size)


def taking(
    queue: DirectQueue,
    connection: Connection,
    handling: Handling,
    handle: Callable[[Message], Awaitable[None]],
    is_quick: Callable[[Message], bool],
    handle_now: Callable[[Message], bool],
) -> Take:
    """Return the ``take`` of a queue whose messages the present task reads.

    See `WebSocket.read_messages` for the three functions.
    """
    task, scheduler = asyncio.current_task(), handling.scheduler
    assert task is not None

    def take(message: WSMessage) -> bool:
        if not scheduler.is_free or message.type not in CONTENT:
            return False
        data, began = message.data, monotonic()
        scheduler.arrived = began
        try:
            if handle_now(data):
                begun = handling.count(monotonic() - began)
            elif is_quick(data):
                begun = handling.begin(handle(data), task)
            else:
                return False
        except Exception as problem:  # the task that reads raises it
            queue.put(Begun(None, 0.0, problem))
            return True
        finally:
            scheduler.arrived = 0.0
        if connection.unread:
            connection.take_read()
        if begun is not None:
            queue.put(begun)
        return True

    return take
