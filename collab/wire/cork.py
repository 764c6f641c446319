"""Several frames of a WebSocket in one write."""

from __future__ import annotations

import asyncio


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

    def hold(self) -> None:
        """Hold back all writes until `release`."""
        self._held = []

    def release(self) -> None:
        """Make the writes that were held back, as one write."""
        held, self._held = self._held, None
        if held and not self._transport.is_closing():
            self._transport.writelines(held)
