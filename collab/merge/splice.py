"""One replacement on a text."""

from collections.abc import Sequence
from typing import NamedTuple


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
