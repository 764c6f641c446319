"""Frames of a WebSocket that leave a node together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Cork(asyncio.Transport):
    """What a WebSocket's writer of aiohttp has for its transport: it can hold writes back.

    The writer makes one write of each frame, or two, and each write is a TCP segment. A client
    handles what one segment brings at one moment; between two it may handle a key.
    """

    __slots__ = ("_held", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport
        self._held: list[bytes | bytearray | memoryview] | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write ``data``, or hold it back."""
        if self._held is None:
            self._transport.write(data)
        else:
            self._held.append(data)

    def is_closing(self) -> bool:
        """Whether the transport takes nothing more."""
        return self._transport.is_closing()

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Hold back what is written inside; write it at the end, in one write."""
        self._held = []
        try:
            yield
        finally:
            held, self._held = self._held, None
            if not self._transport.is_closing():
                self._transport.writelines(held)
