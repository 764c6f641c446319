"""A WebSocket client that costs little, so that a benchmark measures the server.

It talks to loopback addresses only, and trusts the server to send each message in one frame.
"""

import asyncio
import zlib
from typing import ClassVar, cast

TEXT, BINARY, CLOSE, PING, PONG = 0x81, 0x82, 0x88, 0x89, 0x8A
COMPRESSED = 0x40
HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n{extensions}\r\n"
)
OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"


def frame(kind: int, payload: bytes) -> bytes:
    """Return a client's frame.

    Its mask is zero, which leaves the payload as it is; the server unmasks it like any other.
    """
    size = len(payload)
    if size < 126:
        head = bytes((kind, 0x80 | size))
    elif size < 1 << 16:
        head = bytes((kind, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((kind, 0xFF)) + size.to_bytes(8, "big")
    return b"".join((head, b"\0\0\0\0", payload))


class WebSocket(asyncio.Protocol):
    """A client's connection; `on_open` and `on_message` are for subclasses.

    `error` says what went wrong first, or is empty. The bytes are those of all connections.
    """

    bytes_sent: ClassVar[int] = 0
    bytes_received: ClassVar[int] = 0

    def __init__(self, path: str, *, deflate: bool = False) -> None:
        self._path = path
        self._offer = OFFER if deflate else ""
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._rest = b""
        self._open = False
        self._closing = False
        self.transport: asyncio.Transport | None = None
        self.error = ""

    def on_open(self) -> None: ...

    def on_message(self, payload: bytes) -> None: ...

    def fail(self, error: str) -> None:
        self.error = self.error or error

    def write(self, data: bytes) -> None:
        if self.transport is not None:
            WebSocket.bytes_sent += len(data)
            self.transport.write(data)

    def close(self) -> None:
        self._closing = True
        if self.transport is not None:
            self.transport.write(frame(CLOSE, b"\x03\xe8"))
            self.transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.write(HANDSHAKE.format(path=self._path, extensions=self._offer).encode())

    def connection_lost(self, problem: Exception | None) -> None:
        self.transport = None
        if not self._closing:
            self.fail(f"connection lost: {problem}")

    def data_received(self, data: bytes) -> None:
        WebSocket.bytes_received += len(data)
        if self._rest:
            data = self._rest + data
        at = 0 if self._open else self._read_answer(data)
        end = len(data) if self._open else 0
        while end - at >= 2:
            size, start = data[at + 1], at + 2
            if size == 126:
                start += 2
            elif size == 127:
                start += 8
            if start > at + 2:
                size = int.from_bytes(data[at + 2 : start], "big")
            if start + size > end or start > end:
                break
            self._read_frame(data[at], data[start : start + size])
            at = start + size
        self._rest = data[at:]

    def _read_answer(self, data: bytes) -> int:
        """Return where frames begin: behind the answer to the handshake, if it is complete."""
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return 0
        if b" 101 " not in data[:16]:
            self.fail(f"refused: {data[:end].partition(bytes([13]))[0].decode()}")
            return 0
        self._open = True
        self.on_open()
        return end + 4

    def _read_frame(self, kind: int, payload: bytes) -> None:
        if kind & COMPRESSED:
            kind ^= COMPRESSED
            payload = self._inflate.decompress(payload + b"\0\0\xff\xff")
        if kind in (TEXT, BINARY):
            self.on_message(payload)
        elif kind == PING:
            self.write(frame(PONG, payload))
        elif kind == CLOSE:
            self.fail(f"closed: {int.from_bytes(payload[:2], 'big')} {payload[2:].decode()}")
        elif kind != PONG:
            self.fail(f"a frame of kind {kind:#x}")
