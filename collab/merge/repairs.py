"""Repairs of a document that contains what text cannot say, inside a transaction of it.

Editors make one such place at a time. A forged update can make thousands, and each repair looks for
its place from the beginning; so many places are repaired in one piece.
"""

from __future__ import annotations

import re
from typing import Final

from .document import Document
from .survey import HALF
from .units import utf8_size

MAX_REPAIRS: Final = 256
"""Places that are repaired one by one."""

_HALVES = re.compile(f"{HALF}+")


def remove_embeds(document: Document, content: str, size: int, *, formatted: bool) -> None:
    """Delete everything from a document's shared text but its ``content``, of ``size`` bytes.

    If something in the document is ``formatted``, pycrdt does not list the embeds: it reads memory
    that is not its own if the formatting is forged.
    """
    text = document.text
    if not formatted and len(text) - size <= MAX_REPAIRS:
        for index in reversed(document.embeds()):
            del text[index]
    if len(text) != size:
        # There are many embeds, or some that count more than one or are not listed: all are forged.
        text.clear()
        text.insert(0, content)


def runs_of_halves(content: str) -> list[tuple[int, int]]:
    """Return where the ``content`` of a text has U+FFFD: starts and ends, in code points."""
    runs = [match.span() for match in _HALVES.finditer(content)]
    return runs if len(runs) <= MAX_REPAIRS else [(runs[0][0], runs[-1][1])]


def write_again(document: Document, content: str, runs: list[tuple[int, int]]) -> None:
    """Delete runs of a text's ``content``, and insert the same again."""
    text = document.text
    for start, end in runs:
        index = utf8_size(content[:start])
        run = content[start:end]
        del text[index : index + utf8_size(run)]
        text.insert(index, run)
