"""What a room's text had for so short a time that a page may not have shown it.

A page that no node knows sends its text. If the text lacks what others had typed just before the
page's connection broke, then nobody deleted that: it was on its way to the page.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence

from .delta import Delta, Op
from .splice import Splice


class Births:
    """The number of the update that inserted each code point of a text, while updates are played.

    The code points that the text begins with, ``length`` of them, have the number 0.
    """

    __slots__ = ("_numbers",)

    def __init__(self, length: int) -> None:
        self._numbers = array("Q", bytes(8 * length))

    def follow(self, delta: Delta, number: int) -> None:
        """Follow the edit of the update ``number``."""
        if delta.is_identity:
            return
        old, new = self._numbers, array("Q")
        position = 0
        for op in delta.ops:
            if isinstance(op, str):
                new.extend([number] * len(op))
            elif op < 0:
                position -= op
            else:
                new.extend(old[position : position + op])
                position += op
        new.extend(old[position:])
        self._numbers = new

    def deleted(self, splices: Sequence[Splice], since: int) -> list[int]:
        """Return the indices of what ``splices`` delete and updates from ``since`` on inserted."""
        numbers = self._numbers
        return [i for start, end, _ in splices for i in range(start, end) if numbers[i] >= since]


def inserted_and_deleted(inserting: Sequence[Splice], deleting: Sequence[Splice]) -> list[int]:
    """Return the indices, in the text between two edits, of what the first inserts and the
    second deletes."""
    deleted = [i for start, end, _ in deleting for i in range(start, end)]
    found: list[int] = []
    shift = 0
    for start, end, insert in inserting:
        first = start + shift
        found += deleted[bisect_left(deleted, first) : bisect_left(deleted, first + len(insert))]
        shift += len(insert) - (end - start)
    return found


def without(text: str, indices: Sequence[int]) -> tuple[str, Delta]:
    """Return ``text`` without the code points at the ascending ``indices``, and the edit back."""
    kept: list[str] = []
    back: list[Op] = []
    position = 0
    for index in indices:
        kept.append(text[position:index])
        back += (index - position, text[index])
        position = index + 1
    return "".join((*kept, text[position:])), Delta.of(*back)
