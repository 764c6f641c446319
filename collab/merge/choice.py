"""Choose which of several texts a new text was made from: usually that with the smallest edit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from .diff import diff
from .differ import Diff
from .splice import Splice, edit_size

MIN_RUN: Final = 2
"""Average length, in code points, of the runs that a text and its original have in common. Code
points that unrelated texts have in common by chance are mostly isolated."""
MIN_ANCHORS: Final = 4
"""Anchors that a text and its original have in common: kept code points that occur exactly once in
both texts, as in patience diff (Bram Cohen). Unrelated texts in one language have hardly any."""
MIN_ANCHOR_SHARE: Final = 0.25
"""Anchors as a share of the new text's code points, required as well."""


def choose(text: str, candidates: Sequence[str], diff: Diff = diff) -> tuple[int, list[Splice]]:
    """Return the index of the candidate that ``text`` is an edit of, and the edit.

    ``candidates`` are ordered from newest to oldest. If ``text`` equals candidates, it is an echo
    of the newest of them. Otherwise the smallest edit decides; between equal sizes the oldest
    candidate wins, because at the moment when a receive arrives nobody can have seen it, so a
    person who deletes a letter deletes their own. The empty candidate does not win, however small
    its edit, if ``text`` has long runs or many anchors in common with another candidate.
    """
    if text in candidates:
        return candidates.index(text), []
    index, splices = nearest(text, reversed(candidates), diff)
    index = len(candidates) - 1 - index
    written = [number for number, candidate in enumerate(candidates) if candidate]
    if not candidates[index] and written:
        other, edit = nearest(text, (candidates[number] for number in reversed(written)), diff)
        other = written[len(written) - 1 - other]
        if is_related(candidates[other], edit, text):
            return other, edit
    return index, splices


def is_related(old: str, edit: list[Splice], text: str) -> bool:
    """Whether ``edit``, from ``old`` to ``text``, keeps more than unrelated texts share."""
    kept = _kept(old, edit)
    if len(kept) >= MIN_RUN * (len(edit) + 1):
        return True
    anchors = max(MIN_ANCHORS, MIN_ANCHOR_SHARE * len(text))
    return len(set(kept)) >= anchors and _anchors(kept, old, text) >= anchors


def _kept(text: str, splices: list[Splice]) -> str:
    """Return the parts of ``text`` that the edit keeps."""
    starts = [0, *(splice.end for splice in splices)]
    ends = [*(splice.start for splice in splices), len(text)]
    return "".join(text[start:end] for start, end in zip(starts, ends, strict=True))


def _anchors(kept: str, *texts: str) -> int:
    """Return how many code points of ``kept`` occur exactly once in each of ``texts``."""
    counts = [Counter(text) for text in texts]
    return sum(all(count[point] == 1 for count in counts) for point in set(kept))


def is_clear(chosen: str, size: int, text: str, others: Sequence[str], diff: Diff = diff) -> bool:
    """Whether ``text`` was clearly made from ``chosen``, by an edit of ``size``, and no other text.

    It is clear if the distance from the nearest other text to ``text`` is at least the distance
    from that text to ``chosen`` plus ``size``: then one of the smallest edits from the other text
    passes through ``chosen``.
    """
    if not size:
        return True
    index, splices = nearest(text, others, diff)
    return edit_size(splices) >= size + edit_size(diff(others[index], chosen))


def nearest(text: str, candidates: Iterable[str], diff: Diff = diff) -> tuple[int, list[Splice]]:
    """Return the index of the candidate from which the edit to ``text`` is smallest, and the edit.

    Between equal sizes the first candidate wins. Raises ``ValueError`` if there is no candidate.
    """
    chosen: tuple[int, list[Splice]] | None = None
    smallest = 0
    for index, candidate in enumerate(candidates):
        if chosen is not None and abs(len(candidate) - len(text)) >= smallest:
            continue
        splices = diff(candidate, text)
        size = edit_size(splices)
        if chosen is None or size < smallest:
            chosen, smallest = (index, splices), size
            if not size:
                break
    if chosen is None:
        raise ValueError("there is no text to choose from")
    return chosen
