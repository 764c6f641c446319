"""Numbers and lengths in the bytes of Yjs (lib0's encoding), where the document does not read them.

A number has seven bits a byte, the least significant first; a length precedes its string or buffer.
"""

from __future__ import annotations

from .errors import BadUpdate


def varuint(number: int) -> bytes:
    """Encode a number."""
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number > 0x7F:
        out.append(0x80 | number & 0x7F)
        number >>= 7
    out.append(number)
    return bytes(out)


class Cursor:
    """A place in bytes that nobody has checked.

    Its methods raise IndexError where the bytes end too soon.
    """

    __slots__ = ("at", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.at = 0

    def number(self) -> int:
        """Read a number."""
        raw, at = self.raw, self.at
        byte = raw[at]
        at += 1
        value = byte & 0x7F
        shift = 7
        while byte & 0x80:
            # Checked inside the loop: adding up a number of a million bytes would take minutes.
            if shift > 63:
                raise BadUpdate("a number in the update is longer than 64 bits")
            byte = raw[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
        self.at = at
        return value

    def skip(self, size: int | None = None) -> None:
        """Skip ``size`` bytes, or a length-prefixed string or buffer."""
        if size is None:
            size = self.number()
        self.at += size
        if self.at > len(self.raw):
            raise IndexError
