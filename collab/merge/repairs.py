"""Repairs of a document that contains what text cannot say: the steps of one transaction.

Editors make one such place at a time. A forged update can make thousands, and each repair looks for
its place from the beginning; so many places are repaired in one piece.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from .document import ByteOp, Document
from .survey import HALF
from .units import utf8_size

MAX_REPAIRS: Final = 256
"""Places that are repaired one by one."""

_HALVES = re.compile(f"{HALF}+")


def without_embeds(
    document: Document, content: str, size: int, *, formatted: bool
) -> Iterator[ByteOp]:
    """Yield what deletes everything from the shared text but its ``content``, of ``size`` bytes.

    If something in the document is ``formatted``, pycrdt does not list the embeds: it reads memory
    that is not its own if the formatting is forged.
    """
    length = document.length
    if not formatted and length - size <= MAX_REPAIRS:
        embeds = document.embeds()
        if length - len(embeds) == size:
            yield from ((index, -1) for index in reversed(embeds))
            return
    # There are many embeds, or some that count more than one or are not listed: all are forged.
    if length:
        yield 0, -length
    yield 0, content


def runs_of_halves(content: str) -> list[tuple[int, int]]:
    """Return where the ``content`` of a text has U+FFFD: starts and ends, in code points."""
    runs = [match.span() for match in _HALVES.finditer(content)]
    return runs if len(runs) <= MAX_REPAIRS else [(runs[0][0], runs[-1][1])]


def written_again(content: str, runs: list[tuple[int, int]]) -> Iterator[ByteOp]:
    """Yield what deletes runs of a text's ``content``, and inserts the same again."""
    for start, end in runs:
        index = utf8_size(content[:start])
        run = content[start:end]
        yield index, -utf8_size(run)
        yield index, run
