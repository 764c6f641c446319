"""What a Yjs update contains: what it inserts, deletes and builds on. Clocks count UTF-16 units."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

EMPTY_UPDATE: Final = b"\x00\x00"
"""No structs, nothing deleted."""

HALF: Final = "\ufffd"
"""The character with which JavaScript replaces each half of a surrogate pair that it splits."""

Id = tuple[int, int]
"""Client and clock."""


@dataclass(slots=True)
class Survey:
    """The content of one update.

    ``runs`` and ``deleted`` are ``(client, start, end)`` in clocks. ``needs`` are the ids that the
    update's structs refer to, except those of the same client with lower clocks. ``cuts`` are the
    places ``(client, clock)`` between two units where the update splits existing content.
    ``strings`` are the places in the bytes of strings with characters outside the basic plane:
    ``(client, clock, start, end)``, with ``start`` at the length prefix. ``built`` counts the
    structs and the values in them, ``joinable`` the structs that continue the struct before them,
    ``types`` the new shared types; ``has_formats`` tells whether there is formatting,
    ``has_halves`` whether there may be U+FFFD. ``deletions`` is the offset in the bytes at which
    the deleted ranges start.
    """

    runs: list[tuple[int, int, int]] = field(default_factory=list)
    deleted: list[tuple[int, int, int]] = field(default_factory=list)
    needs: list[Id] = field(default_factory=list)
    cuts: list[Id] = field(default_factory=list)
    strings: list[tuple[int, int, int, int]] = field(default_factory=list)
    has_halves: bool = False
    has_formats: bool = False
    built: int = 0
    joinable: int = 0
    types: int = 0
    deletions: int = 0

    @property
    def parts(self) -> int:
        """The number of structs, of values in them, and of deleted ranges."""
        return self.built + len(self.deleted)


class Struct(NamedTuple):
    """One struct of an update: the ids that it refers to, and its place in the bytes.

    It has the clocks from ``clock`` to ``end``. Its type is ``parent``; if that is None, the type
    of the first struct in ``needs``; a root type if it needs nothing. Its bytes go from ``start``
    to ``stop``; its content begins at ``content``. ``continues`` tells that it can be joined to the
    struct before it: it starts where that one ends, and both are of one kind.
    """

    kind: int
    client: int
    clock: int
    end: int
    needs: tuple[Id, ...]
    parent: Id | None
    start: int
    content: int
    stop: int
    continues: bool
