"""Which of several texts another was made from: mostly the one that it is the smallest edit of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from .diff import diff
from .splice import Splice, edit_size

RUN: Final = 2
"""Code points that two texts have in a row, on average, if one was made from the other: those of
unrelated texts that happen to be equal stand alone."""
ANCHORS: Final = 4
"""Code points that occur once in either text, as patience diff (Bram Cohen) looks for them, if one
was made from the other; if they are a quarter of it besides. Of unrelated texts in one language
hardly any are."""


def choose(text: str, candidates: Sequence[str]) -> tuple[int, list[Splice]]:
    """Return which of the candidates, newest first, ``text`` is an edit of, and the edit.

    What is equal to one is an echo of the newest such. Else, of equally small edits, it is the one
    of the oldest: in the moment in which a receive arrives nobody can have seen it, and who takes
    back a letter takes back their own. A text is not typed on an empty page, however small an edit
    of that it is, if it has long runs of another, or much that is found only there.
    """
    if text in candidates:
        return candidates.index(text), []
    index, splices = nearest(text, reversed(candidates))
    index = len(candidates) - 1 - index
    written = [number for number, candidate in enumerate(candidates) if candidate]
    if not candidates[index] and written:
        other, edit = nearest(text, (candidates[number] for number in reversed(written)))
        other = written[len(written) - 1 - other]
        kept = _kept(candidates[other], edit)
        if len(kept) >= RUN * (len(edit) + 1) or _anchors(kept, candidates[other], text) >= max(
            ANCHORS, len(text) / ANCHORS
        ):
            return other, edit
    return index, splices


def _kept(text: str, splices: list[Splice]) -> str:
    """Return what an edit leaves of a text."""
    starts = [0, *(splice.end for splice in splices)]
    ends = [*(splice.start for splice in splices), len(text)]
    return "".join(text[start:end] for start, end in zip(starts, ends, strict=True))


def _anchors(kept: str, *texts: str) -> int:
    """Return how many code points of ``kept`` occur once in each of the texts."""
    once = Counter(kept)
    for text in texts:
        once |= Counter(text)
    return sum(once[point] == 1 for point in kept)


def is_clear(chosen: str, size: int, text: str, others: Sequence[str]) -> bool:
    """Whether ``text``, at ``size`` from ``chosen``, was not made from one of the other texts.

    Had it been made from ``chosen``, any other would be as far from it as both steps together.
    """
    if not size:
        return True
    index, splices = nearest(text, others)
    return edit_size(splices) >= size + edit_size(diff(others[index], chosen))


def nearest(text: str, candidates: Iterable[str]) -> tuple[int, list[Splice]]:
    """Return which of the candidates ``text`` is the smallest edit of, and that edit.

    The first of equals wins. Raises ``ValueError`` if there is no candidate.
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
