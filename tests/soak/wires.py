"""The WebSocket of a visitor, which can be dropped at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from loadtest.wire import HANDSHAKE, WebSocket

PATIENCE: Final = 15.0
"""Seconds for an answer; the machine may be busy."""
OnMessage = Callable[["Wire", bytes], None]


class Gone(Exception):
    """The connection has ended, or was refused."""


class Wire(WebSocket):
    """A WebSocket from a client at ``address``, as a proxy in front of the node says."""

    def __init__(self, path: str, address: str, on_message: OnMessage) -> None:
        super().__init__(path)
        self._address = address
        self._on_message = on_message  # is given this wire: `open` may not have returned it yet
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended = asyncio.Event()

    @classmethod
    async def open(cls, port: int, path: str, address: str, on_message: OnMessage) -> Wire:
        """Connect. Raises Gone."""
        wire = cls(path, address, on_message)
        try:
            async with asyncio.timeout(PATIENCE):
                await asyncio.get_running_loop().create_connection(lambda: wire, "127.0.0.1", port)
                await wire.opened
        except OSError as problem:
            wire.vanish()
            raise Gone(str(problem)) from None
        return wire

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        extra = f"X-Forwarded-For: {self._address}\r\n"
        self.write(HANDSHAKE.format(path=self._path, extensions=extra).encode())

    def on_open(self) -> None:
        self.opened.set_result(None)

    def on_message(self, payload: bytes) -> None:
        self._on_message(self, payload)

    def fail(self, error: str) -> None:
        super().fail(error)
        if not self.opened.done():
            self.opened.set_exception(ConnectionError(error))
        if error.startswith("closed") and not self._closing:
            self.close()  # it answers the node's Close frame

    def connection_lost(self, problem: Exception | None) -> None:
        super().connection_lost(problem)
        self.ended.set()
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("lost"))

    def vanish(self) -> None:
        """End without a Close frame, with a reset of the connection."""
        self._closing = True
        if self.transport is not None:
            self.transport.abort()
