"""Engine.IO packets: how they are decoded and measured."""

from __future__ import annotations

import base64
from typing import Final

from engineio.packet import CLOSE, MESSAGE, NOOP, PING, PONG, Packet

from collab.wire.frames import Message

PING_PACKET: Final = str(PING)
PONG_PACKET: Final = str(PONG)
CLOSE_PACKET: Final = str(CLOSE)
UNKNOWN_PACKET: Final = "9"
"""An Engine.IO packet of an unknown type (the known types are 0 to 6)."""


def noop() -> list[Message]:
    """Return the packet that only ends a poll, encoded."""
    return [str(NOOP)]


def message(content: str) -> str:
    """Return an encoded MESSAGE."""
    return f"{MESSAGE}{content}"


def decode(raw: str | bytes) -> Packet:
    """Return the packet in ``raw``; the content of a MESSAGE is not parsed. Raises ValueError."""
    if isinstance(raw, bytes):
        return Packet(MESSAGE, raw)
    if raw[:1] == "b":
        return Packet(MESSAGE, base64.b64decode(raw[1:]))
    return Packet(int(raw[:1]), raw[1:])


def is_over(raw: str | bytes, limit: int) -> bool:
    """Whether ``raw`` has more than ``limit`` bytes; a short text is not encoded to find out."""
    if len(raw) * 4 <= limit or isinstance(raw, bytes):
        return len(raw) > limit
    return len(raw.encode()) > limit


def size(packets: list[Message]) -> int:
    """Return the number of characters in encoded packets (a lower bound of the bytes)."""
    return sum(map(len, packets))
