"""The frames of a WebSocket server: whole messages, without a mask (RFC 6455, section 5.2)."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

Message = str | bytes
"""The content of one text frame or one binary frame."""
FINAL_TEXT: Final = 0x81
FINAL_BINARY: Final = 0x82
MAX_CACHED: Final = 1 << 14
"""Characters or bytes of the largest message whose frame is cached, and so kept for a while."""


def frame(message: Message) -> bytes:
    """Return the frame of a message."""
    return _cached(message) if len(message) <= MAX_CACHED else _frame(message)


def _frame(message: Message) -> bytes:
    first, payload = FINAL_BINARY, message
    if isinstance(payload, str):
        first, payload = FINAL_TEXT, payload.encode()
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 1 << 16:
        return bytes((first, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload


_cached = lru_cache(maxsize=32)(_frame)
"""The cache need only last for one fan-out."""
