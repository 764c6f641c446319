"""What goes into a room's journal, and what its scripts tell about it.

Deadlines are times of the event loop's clock, taken from before the question, so that a slow
answer never makes a room look longer-lived than it is. None: the room does not expire.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

EntryId = tuple[int, int]
"""A journal entry's id: milliseconds, and a number that makes it unlike any other."""
ZERO: EntryId = (0, 0)
NONCE_BITS = 48
"""Bits of the second half of an entry's id: the random number of the commit that appended it."""
STARTER, ROOM = "starter", "room"
"""A journal's origin: a text that somebody else put there, or the members of the room."""


def entry_id(raw: bytes) -> EntryId:
    """Parse ``b"1700000000000-0"``."""
    milliseconds, _, number = raw.partition(b"-")
    return int(milliseconds), int(number)


def entry_text(identifier: EntryId) -> str:
    """Write an id as Redis does."""
    return f"{identifier[0]}-{identifier[1]}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a journal."""

    id: EntryId
    author: str
    update: bytes

    @classmethod
    def parse(cls, raw: Any) -> Entry:
        """Read what XRANGE returns for one entry."""
        id, (_, author, _, update) = raw  # in the order in which the scripts write them
        return cls(entry_id(id), author.decode(), update)


@dataclass(frozen=True, slots=True)
class Update:
    """What one author did, before it is an entry."""

    author: str
    update: bytes


@dataclass(frozen=True, slots=True)
class Commit:
    """Updates on their way into a room's journal, merged too, and the text that they lead to.

    ``ttl`` is how many seconds the room lives from then on. ``nonce`` is the second half of the ids
    of entries that are appended; the first entries of a journal have others.
    """

    updates: list[Update]
    merged: bytes
    text: str
    ttl: float
    nonce: int = 0


@dataclass(frozen=True, slots=True)
class Committed:
    """A commit's success: the journal's last entry and size now, and what was missed before it."""

    id: EntryId
    deadline: float | None
    length: int
    bytes: int
    missed: list[Entry]


@dataclass(frozen=True, slots=True)
class Refused:
    """A commit's refusal: ``reason`` is the script's word; ``missed`` is what others did first."""

    reason: str
    missed: list[Entry]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a journal holds behind the entry the node asked from.

    ``complete`` says that it holds everything, and ``base`` what was compacted. ``epoch`` is None
    where there is no journal; ``code`` is then the foreign text, if there is one. ``ends`` names
    the times that the room was ended, newest first.
    """

    epoch: str | None
    tail: EntryId
    entries: list[Entry]
    deadline: float | None
    complete: bool = False
    origin: str = ""
    base: bytes = b""
    base_id: EntryId = ZERO
    code: bytes | None = None
    ends: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a room stands in Redis; ``digest`` is the SHA-1 of ``code_{room}`` ('' if none)."""

    epoch: str
    tail: EntryId
    snapshot_at: EntryId
    digest: str
    deadline: float | None
