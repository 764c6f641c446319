"""Surrogate pairs in updates: JavaScript can split a pair, and pycrdt cannot hold the halves."""

from __future__ import annotations

from collections.abc import Iterator

from .cursor import varuint
from .survey import HALF, Id, Survey


def pairs(update: bytes, seen: Survey) -> Iterator[Id]:
    """Yield the id of the first half of every surrogate pair in the update's strings."""
    for client, clock, start, end in seen.strings:
        for character in _text(update, start, end):
            if character > "\uffff":
                yield client, clock
                clock += 1
            clock += 1


def break_pairs(update: bytes, seen: Survey, broken: set[Id]) -> bytes:
    """Return ``update`` with two U+FFFD in place of each pair in ``broken``, as in JavaScript.

    Ids and clocks do not change, because U+FFFD is one UTF-16 unit, like half a pair.
    """
    pieces: list[bytes] = []
    position = 0
    for client, clock, start, end in seen.strings:
        characters: list[str] = []
        for character in _text(update, start, end):
            if character > "\uffff":
                characters.append(HALF * 2 if (client, clock) in broken else character)
                clock += 1
            else:
                characters.append(character)
            clock += 1
        content = "".join(characters).encode()
        pieces += (update[position:start], varuint(len(content)), content)
        position = end
    pieces.append(update[position:])
    return b"".join(pieces)


def _text(update: bytes, start: int, end: int) -> str:
    while update[start] & 0x80:
        start += 1
    return update[start + 1 : end].decode()
