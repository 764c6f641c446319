"""What a page that has come back may not have deleted, though its text lacks it.

Such a page may show any of the texts that were on their way when its link broke. The smallest edit
decides which one its next text was made from (`choice`). Where that is not clear, a letter that the
chosen text has and another possible text lacks was perhaps never on the page's screen: then nobody
deleted it. It stays, because a letter too many is deleted in a moment, and a lost one is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from .delta import Delta, Op
from .differ import Diff
from .splice import Splice, edit_size
from .unseen import inserted_and_deleted

MAX_DOUBTED: Final = 2048
"""Code points of an edit above which nothing is spared: it replaces pages of a text. Typing for
some minutes makes a quarter of that. How costly the comparisons are is bounded by `Differ`."""


def doubtful(
    base: str, splices: Sequence[Splice], text: str, others: Iterable[str], diff: Diff
) -> set[int]:
    """Return the indices in ``base`` of code points that ``splices`` delete, perhaps wrongly.

    ``splices`` lead from ``base``, which was chosen, to ``text``. They are code points that one of
    the ``others`` lacks from which ``text`` may have been made. An empty text is none of these: a
    page that shows nothing has typed all of its text.

    If ``text`` was made from another one, ``base`` was nearer only because what lies between the
    two deletes the same as the page. So it is nearer by no more than these deletions. It is nearer
    by more if ``text`` keeps what the other lacks: then the page has shown that.
    """
    found: set[int] = set()
    size = edit_size(splices)
    if size > MAX_DOUBTED or all(splice.start == splice.end for splice in splices):
        return found
    for other in others:
        if not other or other == base:
            continue
        between = diff(other, base)
        lacks = inserted_and_deleted(between, splices)
        gone = sum(splice.end - splice.start for splice in between)
        if lacks and edit_size(diff(other, text)) <= size + gone:
            found.update(lacks)
    return found


def sparing(base: str, splices: Sequence[Splice], spared: set[int]) -> tuple[Delta, Delta]:
    """Return the edit of ``base`` without the deletion of what is ``spared``, and its rest.

    The rest leads from the text that ``splices`` make to the one that the edit makes.
    """
    ops: list[Op] = []
    rest: list[Op] = []
    position = 0
    for start, end, insert in splices:
        ops += (start - position, insert)
        ops += (1 if index in spared else -1 for index in range(start, end))
        kept = "".join(base[index] for index in range(start, end) if index in spared)
        rest += (start - position, len(insert), kept)
        position = end
    return Delta.of(*ops), Delta.of(*rest)
