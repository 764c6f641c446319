"""What waits for a client, written without a task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from aiohttp import web

from collab.wire.connection import Connection
from collab.wire.frames import Message, frame
from collab.wire.outbox import Outbox

M = TypeVar("M", bound=Message)

MAX_WRITE: Final = 1 << 18
"""Bytes of frames after which a write is made, if more wait."""


class Flushing(Generic[M]):
    """Writes what waits in an outbox at the end of the event loop's round, in as few writes as may.

    No task is woken for that: one that did would cost more than the write.
    """

    def __init__(
        self, ws: web.WebSocketResponse, connection: Connection, outbox: Outbox[M],
        on_write: Callable[[M], None] | None,
    ) -> None:  # fmt: skip
        self._ws = ws
        self._connection = connection
        self._outbox = outbox
        self._on_write = on_write
        self._loop = asyncio.get_running_loop()
        self._due = False
        self._over: asyncio.Future[None] = self._loop.create_future()

    async def run(self) -> None:
        """Write until the outbox is closed and empty, or the connection has ended."""
        self._outbox.on_waiting = self._flush_soon
        self._connection.on_writable = self._flush_soon
        self._flush_soon()
        try:
            await self._over
        finally:
            self._outbox.on_waiting = self._connection.on_writable = None

    def _flush_soon(self) -> None:
        if not self._due:
            self._due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._due = False
        outbox, connection = self._outbox, self._connection
        transport = connection.transport
        if self._over.done():
            return
        if transport is None or transport.is_closing() or self._ws.closed:
            self._over.set_result(None)
            return
        while outbox and not connection.writing_paused:
            messages, size = outbox.pop(), 0
            while outbox and size < MAX_WRITE:
                more = outbox.pop()
                messages += more
                size += sum(map(len, more))
            if self._on_write is not None:
                for message in messages:
                    self._on_write(message)
            transport.write(b"".join(map(frame, messages)))
        if outbox.closed and not outbox:
            self._over.set_result(None)
