"""The encoding of y-protocols' messages: numbers of seven bits a byte, and length-prefixed bytes.

pycrdt has the codec. It trusts its input, so lengths and numbers are checked before it reads them.
"""

from __future__ import annotations

from pycrdt import Decoder

from .cursor import varuint

MAX_NUMBER = 2**53 - 1
"""JavaScript's largest safe integer: a greater number makes the other clients fail."""
MAX_NUMBER_BYTES = 8
"""Bytes of seven bits that hold `MAX_NUMBER`."""


class BadEncoding(Exception):
    """Bytes that are not in the encoding. The message is a sentence that quotes none of them."""


class Reader(Decoder):
    """pycrdt's decoder, which checks its input first. All methods raise `BadEncoding`."""

    def read_var_uint(self) -> int:
        """Read a number of at most `MAX_NUMBER`."""
        head = self.stream[self.i0 : self.i0 + MAX_NUMBER_BYTES]
        if not any(byte < 0x80 for byte in head):
            raise BadEncoding("a number ends too late or not at all")
        number: int = super().read_var_uint()
        if number > MAX_NUMBER:
            raise BadEncoding("a number is too large")
        return number

    def read_bytes(self) -> bytes:
        """Read length-prefixed bytes."""
        size, end = self.read_var_uint(), len(self.stream)
        if self.i0 + size > end:
            raise BadEncoding("the message ends too soon")
        content = self.stream[self.i0 : self.i0 + size]
        self.i0 += size
        self.length = end - self.i0
        return content

    def finish(self) -> None:
        """Check that all bytes were read."""
        if self.i0 != len(self.stream):
            raise BadEncoding("there are bytes after the message's end")


def packed(*parts: int | bytes) -> bytes:
    """Return numbers and length-prefixed bytes, encoded; a string is sent as its UTF-8 bytes."""
    return b"".join(
        varuint(part) if isinstance(part, int) else varuint(len(part)) + part for part in parts
    )
