"""Messages that are handled where they arrive, without waking a task.

aiohttp's parser puts each message into a queue, and a task takes it out. Two thirds of all messages
are PONGs, and handling one costs less than waking the task. While the task waits for a message,
and nothing is queued, the queue offers a message to its `take` first: so the order is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import WSMessage, WSMsgType
from aiohttp._websocket.reader import WebSocketDataQueue

Take = Callable[[WSMessage], bool]
"""Handles a message; returns False if it must be queued. It may not raise an exception."""


class DirectQueue(WebSocketDataQueue):
    """The queue of one WebSocket; messages may be offered to ``take``, if there is one.

    They are while a task waits in `read`: then nothing is queued, and no message is being handled.
    """

    __slots__ = ("_is_waiting", "take")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.take: Take | None = None
        self._is_waiting = False

    def feed_data(self, data: Any, size: int) -> None:
        """Let a message be taken, or queue it."""
        if not self._is_waiting or self.take is None or not self.take(data):
            self._put(data, size)

    async def read(self) -> Any:
        """Return the next message; raise an exception when there is none any more."""
        self._is_waiting = not self._buffer
        return await super().read()

    def put(self, content: Any) -> None:
        """Queue something else than a message, to be returned by the next `read`."""
        self._put(WSMessage(WSMsgType.TEXT, content, None), 0)

    def _put(self, data: Any, size: int) -> None:
        self._is_waiting = (
            False  # from here on: the reader goes on to parse in the middle of `read`
        )
        super().feed_data(data, size)
