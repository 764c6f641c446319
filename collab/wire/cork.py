"""Several frames of a WebSocket in one write."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Cork(asyncio.Transport):
    """The transport given to aiohttp's WebSocket writer: it can hold writes back.

    The writer makes one or two writes for each frame, and each write becomes a TCP segment. A
    client handles all frames of one segment at one moment; between two segments it may handle a
    keystroke.
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
        """Whether the transport accepts no more data."""
        return self._transport.is_closing()

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Hold back all writes inside the block; make them as one write at its end."""
        self._held = []
        try:
            yield
        finally:
            held, self._held = self._held, None
            if not self._transport.is_closing():
                self._transport.writelines(held)
