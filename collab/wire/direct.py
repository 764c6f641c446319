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
    """The queue of one WebSocket. ``take`` is None while messages must be queued."""

    __slots__ = ("take",)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.take: Take | None = None

    def feed_data(self, data: Any, size: int) -> None:
        """Let a message be taken, or queue it."""
        take = self.take
        if take is None or self._buffer or not take(data):
            super().feed_data(data, size)

    def put(self, content: Any) -> None:
        """Queue something else than a message, to be returned by the next `read`."""
        super().feed_data(WSMessage(WSMsgType.TEXT, content, None), 0)
