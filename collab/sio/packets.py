"""Engine.IO packets: how they are decoded and measured."""

from __future__ import annotations

import base64
from typing import Final

from engineio.packet import MESSAGE, NOOP, Packet

UNKNOWN_PACKET: Final = "9"
"""An Engine.IO packet of an unknown type (the known types are 0 to 6)."""


def noop() -> list[Packet]:
    """Return the packet that only ends a poll."""
    return [Packet(NOOP)]


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


def size(packets: list[Packet]) -> int:
    """Return the number of characters in packets (a lower bound of the bytes; that is enough)."""
    return sum(len(packet.data) for packet in packets if isinstance(packet.data, str))
