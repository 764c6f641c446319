"""What a room's text had for so short a time that a page may not have shown it.

A page that no node knows sends its text. If the text lacks what others had typed just before the
page's connection broke, then nobody deleted that: it was on its way to the page.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .delta import Delta, Op
from .splice import Splice


class Born(NamedTuple):
    """A part of a text, by its indices, and the ``number`` of the update that inserted it."""

    number: int
    part: range


class Births:
    """The number of the update that inserted each part of a text, while updates are played.

    The ``length`` code points that the text begins with have the number 0.
    """

    __slots__ = ("_runs",)

    def __init__(self, length: int) -> None:
        self._runs = [(0, length)]  # number and length of each part, in the order of the text

    def follow(self, delta: Delta, number: int) -> None:
        """Follow the edit of the update ``number``."""
        if delta.is_identity:
            return
        runs: list[tuple[int, int]] = []
        rest = self._runs[::-1]  # the next part of the old text is last
        for op in delta.ops:
            if isinstance(op, str):
                runs.append((number, len(op)))
                continue
            left = abs(op)
            while left:
                born, length = rest.pop()
                taken = min(left, length)
                left -= taken
                if taken < length:
                    rest.append((born, length - taken))
                if op > 0:
                    runs.append((born, taken))
        self._runs = runs + rest[::-1]

    def since(self, number: int) -> list[Born]:
        """Return what the updates from ``number`` on have inserted, in the order of the text."""
        found: list[Born] = []
        position = 0
        for born, length in self._runs:
            if born >= number:
                found.append(Born(born, range(position, position + length)))
            position += length
        return found


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


def without(text: str, parts: Iterable[range]) -> tuple[str, Delta]:
    """Return ``text`` without its ``parts``, which ascend, and the edit back."""
    kept: list[str] = []
    back: list[Op] = []
    position = 0
    for part in parts:
        kept.append(text[position : part.start])
        back += (part.start - position, text[part.start : part.stop])
        position = part.stop
    return "".join((*kept, text[position:])), Delta.of(*back)
