"""The diffs that decide about one change: each is computed once, and together they are bounded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from .diff import MAX_DISTANCE, MAX_QUICK_DISTANCE, diff, inserted, quick_diff
from .splice import Splice, edit_size

Diff = Callable[[str, str], list[Splice]]
"""A function that returns an edit from one text to another: `diff`, or a `Differ`."""

MAX_EFFORT: Final = 8
"""Expensive diffs that one change may cost, in units of 4 ms: one unit is the search for an edit of
`MAX_DISTANCE` steps."""
LINES_EFFORT: Final = 1 << 17
"""Code points of two texts that are compared line by line for one unit."""


@final
class Differ:
    """Returns the same edits as `diff`, as long as not too many of them are expensive.

    A change may have to be compared with several dozen texts. Usually it is near to all of them.
    If it is far from most of them, the first comparisons are as exact as those of `diff`, and the
    others are those of `quick_diff`. The edit probably begins at ``caret``.
    """

    __slots__ = ("_caret", "_effort", "_known")

    def __init__(self, caret: int = 0) -> None:
        self._caret = caret
        self._known: dict[tuple[str, str], list[Splice]] = {}
        self._effort = 0.0

    def __call__(self, old: str, new: str) -> list[Splice]:
        """Return an edit from ``old`` to ``new``, always the same one."""
        if self._known:
            known = self._known.get((old, new))
            if known is not None:
                return known
        if self._effort >= MAX_EFFORT:
            return quick_diff(old, new)
        if insertion := inserted(old, new, self._caret):
            return [insertion]
        splices = diff(old, new)
        size = edit_size(splices)
        if size > MAX_QUICK_DISTANCE and not _is_at_one_place(splices):
            # The search grows with the square of the distance. What it does not find is compared
            # line by line.
            share = size / MAX_DISTANCE
            self._effort += share**2 if share <= 1 else 1 + (len(old) + len(new)) / LINES_EFFORT
            self._known[old, new] = splices
        return splices


def _is_at_one_place(splices: list[Splice]) -> bool:
    """Whether the edit only inserts or only deletes, at one place. No diff of it is expensive."""
    (start, end, insert), *others = splices
    return not others and (start == end or not insert)
