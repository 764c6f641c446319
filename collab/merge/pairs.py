"""Surrogate pairs in updates: JavaScript can split a pair, and pycrdt cannot hold the halves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .cursor import varuint
from .survey import HALF, Id, Survey


class Pairs:
    """The surrogate pairs in one document, by the ids of their first halves."""

    __slots__ = ("_ids",)

    def __init__(self) -> None:
        self._ids: set[Id] = set()

    def __bool__(self) -> bool:
        return bool(self._ids)

    def copy(self) -> Pairs:
        """Return the pairs of a copy of the document."""
        other = Pairs()
        other._ids = self._ids.copy()
        return other

    def find(self, update: bytes, seen: Survey) -> tuple[set[Id], set[Id]]:
        """Return the pairs that an update brings, and those, of it or known, that it splits.

        JavaScript leaves a U+FFFD for each half. pycrdt moves the cut to the pair's end instead,
        and its clocks are wrong from there on.
        """
        fresh = set(pairs(update, seen)) if seen.strings else set()
        if not self._ids and not fresh:
            return fresh, fresh
        cuts = {(client, clock - 1) for client, clock in seen.cuts}
        return fresh, cuts & self._ids | cuts & fresh

    def add(self, fresh: Iterable[Id]) -> None:
        """Add the pairs that an update has brought."""
        self._ids.update(fresh)

    def remove(self, broken: set[Id]) -> None:
        """Remove the pairs that an update has split."""
        self._ids -= broken


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
