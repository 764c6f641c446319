"""A client's WebSocket of which an attack chooses every frame, also those that no library sends."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
FINAL, MASKED = 0x80, 0x80
STREAM_LIMIT = 1 << 24
"""Bytes of the node's messages that asyncio buffers before it stops to read them."""
MAX_BODY = 1000
"""Bytes that are read of the answer to a handshake that is refused."""


class Ended(Exception):
    """The node has ended the connection.

    ``code`` and ``reason`` are those of its Close frame, 0 and '' if it sent none. If it refused
    the handshake, ``status`` is that of its answer, and ``reason`` the body.
    """

    def __init__(self, code: int = 0, reason: str = "", status: int = 0) -> None:
        super().__init__(f"{code or status} {reason}")
        self.code = code
        self.reason = reason
        self.status = status


def frame(payload: bytes, opcode: int = TEXT, *, final: bool = True) -> bytes:
    """Return a frame. Its mask is zero, so that the payload stays as it is."""
    head, size = opcode | (FINAL if final else 0), len(payload)
    if size < 126:
        start = struct.pack("!BB", head, MASKED | size)
    elif size < 1 << 16:
        start = struct.pack("!BBH", head, MASKED | 126, size)
    else:
        start = struct.pack("!BBQ", head, MASKED | 127, size)
    return start + bytes(4) + payload


def encode(message: str | bytes) -> bytes:
    """Return the frame of a whole message."""
    return frame(message.encode(), TEXT) if isinstance(message, str) else frame(message, BINARY)


class WebSocket:
    """An open connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int, path: str, address: str) -> WebSocket:
        """Connect from ``address``. Raises Ended if the node refuses."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, local_addr=(address, 0), limit=STREAM_LIMIT
        )
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n".encode()
        )
        try:
            answer = await reader.readuntil(b"\r\n\r\n")
            status = int(answer.split(b" ", 2)[1])
            if status == 101:
                return cls(reader, writer)
            body = await reader.read(MAX_BODY)
        except (OSError, asyncio.IncompleteReadError):
            raise Ended from None
        writer.close()
        raise Ended(reason=body.decode(errors="replace"), status=status)

    async def send(self, data: bytes) -> None:
        """Send bytes, which need not be frames, as soon as the node reads. Raises Ended."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError:
            raise Ended from None

    async def messages(self) -> AsyncIterator[bytes]:
        """Yield the messages of the node until it ends the connection; then raise Ended."""
        try:
            while True:
                opcode, payload = await self._read_frame()
                if opcode == CLOSE:
                    code = struct.unpack("!H", payload[:2])[0] if len(payload) > 1 else 0
                    raise Ended(code, payload[2:].decode(errors="replace"))
                if opcode == PING:
                    self._writer.write(frame(payload, PONG))
                elif opcode in (TEXT, BINARY):
                    yield payload
        except (OSError, asyncio.IncompleteReadError):
            raise Ended from None

    async def _read_frame(self) -> tuple[int, bytes]:
        read = self._reader.readexactly
        head, size = await read(2)
        if size == 126:
            (size,) = struct.unpack("!H", await read(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await read(8))
        return head & 0x0F, await read(size)

    def stop_reading(self) -> None:
        """Let what the node sends fill the buffers of both systems."""
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]

    def abort(self) -> None:
        self._writer.transport.abort()
