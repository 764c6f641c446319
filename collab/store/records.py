"""What is written to a room's journal, and the results of its scripts.

A deadline is a time of the event loop's clock at which the room expires; None if it does not
expire. It counts from before the command was sent, so that a slow answer never makes the room look
longer-lived than it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

EntryId = tuple[int, int]
"""A journal entry's id: milliseconds, and a number that makes the id unique."""
ZERO: EntryId = (0, 0)
NONCE_BITS = 48
"""Bits of the second half of an entry's id, a random number of the commit that appended it."""
ANY_EPOCH = "*"
"""In place of an epoch: any journal that has the entry. Commits never use an entry's id twice."""
MAX_ID_PART = 2**64 - 1
"""The largest number in an entry's id."""
STARTER, ROOM = "starter", "room"
"""A journal's origin: a text that another service wrote, or the members of the room."""
AUTHOR = "author:"
"""How a field of a journal's head begins that names the author of entries in the base."""


class BadRecord(ValueError):
    """A key of a room does not hold what the scripts write; the message has none of it."""


def entry_id(raw: bytes) -> EntryId:
    """Parse ``b"1700000000000-0"``. Raises BadRecord."""
    try:
        milliseconds, _, number = raw.partition(b"-")
        return int(milliseconds), int(number)
    except (AttributeError, ValueError):
        raise BadRecord("not the id of an entry") from None


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
        """Read what XRANGE returns for one entry. Raises BadRecord."""
        id, fields = raw
        try:
            _, author, _, update = fields  # in the order in which the scripts write them
            return cls(entry_id(id), author.decode(), update)
        except ValueError:
            raise BadRecord("an entry does not have the fields of one") from None


def parse_entries(raw: list[Any]) -> list[Entry]:
    """Read what XRANGE returns. Raises BadRecord."""
    return [Entry.parse(each) for each in raw] if raw else []


def milliseconds(seconds: float) -> int:
    """Return the milliseconds that a key of Redis shall live."""
    return round(seconds * 1000) or 1


def deadline(asked: float, pttl: int) -> float | None:
    """Return the deadline of a room that has ``pttl`` milliseconds left, as Redis answered."""
    return asked + pttl / 1000 if pttl >= 0 else None


class Update(NamedTuple):
    """An update of one author, not yet an entry of the journal."""

    author: str
    update: bytes


class Commit(NamedTuple):
    """Updates to append to a room's journal, the same updates merged, and the text after them.

    ``ttl`` is how many seconds the room lives after the commit. ``nonce`` is the second half of the
    ids of the appended entries; `Store.start`, which writes the first entries, does not use it.
    ``trace`` stands for the commit's span in its announcement; '' if it is not traced.
    """

    updates: list[Update]
    merged: bytes
    text: str
    ttl: float
    nonce: int = 0
    trace: str = ""

    def words(self) -> list[str | bytes]:
        """Return the entries as the scripts take them: author, update, author, update…"""
        return [word for update in self.updates for word in update]


class NextCommit(NamedTuple):
    """A commit, and its place: behind the entry ``last`` of the journal ``epoch``.

    If that is not the journal's last entry, Redis refuses an ``exact`` commit, and appends another.
    The commit is announced if the room's channel has other subscriptions than the node's ``own``.
    """

    epoch: str
    last: EntryId
    commit: Commit
    exact: bool
    own: int = 0


class Committed(NamedTuple):
    """A successful commit: the journal's last entry, its size, and the entries missed before it."""

    id: EntryId
    deadline: float | None
    length: int
    bytes: int
    missed: list[Entry]


class Refused(NamedTuple):
    """A refused commit: ``reason`` is the script's word; ``missed`` are the entries of others."""

    reason: str
    missed: list[Entry]


@dataclass(frozen=True, slots=True)
class Reading:
    """The entries of a journal after the entry that the node asked for.

    If ``complete``, it is the whole journal, and ``base`` has the compacted entries. ``epoch`` is
    None if there is no journal; ``code`` is then the text that another service wrote, if any.
    ``ends`` are the names of the room's ends, newest first. ``digest`` is the SHA-1 of the snapshot
    if that has all entries; '' if it lacks some, or the journal was not read as a whole.
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
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of a room in Redis; ``digest`` is the SHA-1 of ``code_{room}`` ('' if none)."""

    epoch: str
    tail: EntryId
    snapshot_at: EntryId
    digest: str
    deadline: float | None
