"""Surrogate pairs in updates: JavaScript takes them apart, pycrdt cannot hold the halves."""

from __future__ import annotations

from collections.abc import Iterator

from .survey import HALF, Id, Survey, varuint


def pairs(update: bytes, seen: Survey) -> Iterator[Id]:
    """Yield the id of the first half of every surrogate pair in the update's strings."""
    for client, clock, start, end in seen.strings:
        for character in _text(update, start, end):
            if character > "\uffff":
                yield client, clock
                clock += 1
            clock += 1


def break_pairs(update: bytes, seen: Survey, broken: set[Id]) -> bytes:
    """Return ``update`` with each pair in ``broken`` as two U+FFFD, as JavaScript leaves it.

    Ids and clocks stay what they were, since U+FFFD is one UTF-16 unit, as a half is.
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
