"""The updates that typing makes: these are read, tried and applied in few steps.

Such an update inserts one string, or deletes one range, or does both. The string has no characters
outside the basic plane, and no U+FFFD: JavaScript can split those. All other updates are read by
`update_reader`, and nothing is refused here.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from .survey import HALF, Id

_NUMBER: Final = rb"([\x00-\x7f]|[\x80-\xff]{1,7}[\x01-\x7f])"
"""A number of at most 8 bytes, in its shortest form."""
_INSERTION: Final = re.compile(
    # One block of one struct, with its client and clock; the struct is a string.
    rb"\x01\x01" + _NUMBER + _NUMBER
    # It begins the shared text, or stands beside one or between two characters.
    + rb"(?:\x04\x01\x04code|(?:(\xc4)|\x84|\x44)"
    + _NUMBER + _NUMBER + rb"(?(3)" + _NUMBER + _NUMBER + rb"))"
    + _NUMBER,
    re.DOTALL,
)  # fmt: skip
_DELETION: Final = re.compile(
    rb"\x00|\x01" + _NUMBER + rb"\x01" + _NUMBER + _NUMBER, re.DOTALL
)  # fmt: skip


class Keystroke(NamedTuple):
    """What an update of this kind does.

    ``client`` inserts ``units`` characters, of ``size`` bytes, from ``clock`` on, beside those of
    the ids ``needs``; none if the size is 0. ``deleted`` is the client, start and end of a deleted
    range; None if nothing is deleted.
    """

    client: int
    clock: int
    units: int
    size: int
    needs: tuple[Id, ...]
    deleted: tuple[int, int, int] | None


def read_keystroke(update: bytes) -> Keystroke | None:
    """Read an update; return None if it is not of this kind."""
    client = clock = units = size = 0
    needs: tuple[Id, ...] = ()
    at = 1
    if update[:1] != b"\0":
        found = _INSERTION.match(update)
        if found is None:
            return None
        block, start, _, one, one_clock, other, other_clock, length = found.groups()
        client, clock, size = _number(block), _number(start), _number(length)
        at = found.end() + size
        units = _units(update[found.end() : at])
        if not units:
            return None
        if one is not None:
            needs = ((_number(one), _number(one_clock)),)
            if other is not None:
                needs = (*needs, (_number(other), _number(other_clock)))
    found = _DELETION.fullmatch(update, at)
    if found is None:
        return None
    deleted = None
    author, first, count = found.groups()
    if author is not None:
        begin = _number(first)
        deleted = _number(author), begin, begin + _number(count)
    elif not size:
        return None
    return Keystroke(client, clock, units, size, needs, deleted)


def _units(content: bytes) -> int:
    """Return the length of a string in UTF-16 units; 0 if it needs more care."""
    if content.isascii():
        return len(content)
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return 0
    return 0 if HALF in text or max(text) > "\uffff" else len(text)


@lru_cache(maxsize=4096)
def _number(raw: bytes) -> int:
    """Decode a number. Most are ids that the last updates contained too."""
    number = 0
    for byte in reversed(raw):
        number = number << 7 | byte & 0x7F
    return number
