"""The encoding of y-protocols' messages: numbers of seven bits a byte, and bytes behind their size.

pycrdt has the codec. It trusts its input, so lengths and numbers are checked before it reads them.
"""

from __future__ import annotations

from pycrdt import Decoder

from .survey import varuint

MAX_NUMBER = 2**53 - 1
"""What JavaScript can count to: a greater number makes the other clients fail."""
MAX_NUMBER_BYTES = 8
"""So many seven bits hold `MAX_NUMBER`."""


class BadEncoding(Exception):
    """Bytes that are not in the encoding; the message is a sentence without content."""


class Reader(Decoder):
    """pycrdt's decoder with its input checked first. All methods raise BadEncoding."""

    def read_var_uint(self) -> int:
        """Read a number, `MAX_NUMBER` at most."""
        head = self.stream[self.i0 : self.i0 + MAX_NUMBER_BYTES]
        if not any(byte < 0x80 for byte in head):
            raise BadEncoding("a number ends too late or not at all")
        number: int = super().read_var_uint()
        if number > MAX_NUMBER:
            raise BadEncoding("a number is too large")
        return number

    def read_bytes(self) -> bytes:
        """Read bytes that have their size in front."""
        size, end = self.read_var_uint(), len(self.stream)
        if self.i0 + size > end:
            raise BadEncoding("the message ends too soon")
        content = self.stream[self.i0 : self.i0 + size]
        self.i0 += size
        self.length = end - self.i0
        return content

    def finish(self) -> None:
        """Check that all was read."""
        if self.i0 != len(self.stream):
            raise BadEncoding("there is more after the message's end")


def packed(*parts: int | bytes) -> bytes:
    """Return numbers, and bytes (which a string is too, in UTF-8) behind their size."""
    return b"".join(
        varuint(part) if isinstance(part, int) else varuint(len(part)) + part for part in parts
    )
