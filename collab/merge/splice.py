"""One replacement on a text."""

from collections.abc import Sequence
from typing import Final, NamedTuple

MAX_SPLICES: Final = 256
"""Splices of one edit of a room's text: each costs some 40 µs in a large document, and costs again
for each text member of the room. A person makes a few at once; a formatter makes one a line."""


class Splice(NamedTuple):
    """Replace ``old[start:end]`` by ``insert``.

    Positions are code points of the text *before* the edit. A list of splices is one edit: sorted,
    not overlapping, and every position refers to the same old text.
    """

    start: int
    end: int
    insert: str


def apply_splices(text: str, splices: Sequence[Splice]) -> str:
    """Return ``text`` after the edit.

    Raises ``ValueError`` if the splices are out of order, overlap, or leave the text.
    """
    pieces: list[str] = []
    position = 0
    for start, end, insert in splices:
        if not position <= start <= end <= len(text):
            raise ValueError(f"splice {start}:{end} is out of order or beyond {len(text)}")
        pieces.append(text[position:start])
        pieces.append(insert)
        position = end
    pieces.append(text[position:])
    return "".join(pieces)


def edit_size(splices: Sequence[Splice]) -> int:
    """Return how many code points the edit inserts and deletes: its cost in comparisons."""
    return sum(end - start + len(insert) for start, end, insert in splices)


def joined(text: str, splices: list[Splice]) -> list[Splice]:
    """Return the same edit of ``text`` with at most `MAX_SPLICES` splices.

    If there are more, neighbours are joined: the edit then also deletes what is between them, and
    inserts it again. All joined splices are about equally long, so that what others type between
    the lines of a formatter's edit stays near its place.
    """
    if len(splices) <= MAX_SPLICES:
        return splices
    # Two neighbours in the result are together longer than this, so there are few enough of them.
    longest = 2 * (splices[-1].end - splices[0].start) // (MAX_SPLICES - 2) + 1
    found: list[Splice] = []
    start, end, first = splices[0]
    pieces = [first]
    for splice in splices[1:]:
        if splice.end - start > longest:
            found.append(Splice(start, end, "".join(pieces)))
            start, pieces = splice.start, [splice.insert]
        else:
            pieces += (text[end : splice.start], splice.insert)
        end = splice.end
    found.append(Splice(start, end, "".join(pieces)))
    return found
