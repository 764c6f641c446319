"""All that Redis has of a room, of whatever form, and a room to put in its place."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from collab.store import scripts
from collab.store.channel import writer_word
from collab.store.keys import kept_keys, room_channel, script_keys
from collab.store.records import (
    BadRecord,
    Committed,
    EntryId,
    deadline,
    entry_id,
    entry_text,
    milliseconds,
)
from collab.store.store import Store

KEPT_SECONDS: Final = 86_400.0
"""Seconds that Redis keeps the damaged keys of a room that was mended, under other names."""
MAX_ITEMS: Final = 1_000_000
"""Entries, fields or items of a key that is still read."""
MISSING, NO_EXPIRY = -2, -1
"""What PTTL returns for a key that does not exist, and for one that does not expire."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key as it was found.

    ``kind`` is its type as TYPE returns it; ``ttl`` is in milliseconds, as PTTL returns it;
    ``items`` counts entries, fields or items; ``size`` is in bytes, -1 if it was not measured.
    ``value`` is what GET, XRANGE, HGETALL or LRANGE returns; None if it was too large, or of no
    such type.
    """

    name: str
    kind: str = "none"
    ttl: int = MISSING
    fingerprint: str = ""
    items: int = 0
    size: int = 0
    value: Any = None

    @property
    def exists(self) -> bool:
        """Whether Redis has the key."""
        return self.kind != "none"


@dataclass(frozen=True, slots=True)
class Contents:
    """The four keys of a room at one moment, and how many subscriptions its channel has."""

    room: str
    code: Key
    journal: Key
    head: Key
    ends: Key
    holders: int = 0

    def end_names(self) -> list[str]:
        """Return the names of the room's ends, newest first; without those that are no text."""
        if self.ends.kind != "list" or self.ends.value is None:
            return []
        return [each.decode("utf-8", errors="replace") for each in self.ends.value]


class NewJournal(NamedTuple):
    """A journal to be written: entries are ``(id, author, update)``; without an id, a new one."""

    epoch: str
    origin: str
    base: bytes
    base_id: EntryId
    entries: Sequence[tuple[EntryId | None, str, bytes]]


class NewRoom(NamedTuple):
    """A room to be written in place of a damaged one.

    ``text`` is that of ``code_{room}``, None for no such key. ``journal`` is None for none. The
    room lives for ``ttl`` seconds.
    """

    text: str | None
    journal: NewJournal | None
    ttl: float


CODE, JOURNAL, ENDS, EXPIRY = "c", "j", "e", "x"
"""What a mend replaces, as the script is told: ``code_{room}``, the journal and its head, the ends;
or only the expiry of the first three."""


class Mending:
    """Inspects and mends rooms. All methods raise StoreUnavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def inspect(self, room: str) -> Contents:
        """Return all that Redis has of a room (see inspect.lua)."""
        keys = script_keys(room)
        holders, *found = await self._store.run_on(
            scripts.INSPECT, keys, room_channel(room), self._store.max_reading, MAX_ITEMS
        )
        code, journal, head, ends = map(_key, keys, found)
        return Contents(room, code, journal, head, ends, holders)

    async def mend(self, contents: Contents, parts: str, new: NewRoom) -> Committed | None:
        """Replace ``parts`` of a room; None if it has changed since it was inspected (mend.lua).

        The keys that are replaced are kept for `KEPT_SECONDS` under other names.
        """
        room, asked = contents.room, asyncio.get_running_loop().time()
        keys = (*script_keys(room), *kept_keys(room))
        journal = new.journal or NewJournal("", "", b"", (0, 0), ())
        words: list[str | bytes] = []
        for id, author, update in journal.entries:
            words += ("*" if id is None else entry_text(id), author, update)
        found = (contents.code, contents.journal, contents.head, contents.ends)
        answer = await self._store.run_on(
            scripts.MEND, keys, *(key.fingerprint for key in found), parts,
            milliseconds(KEPT_SECONDS), milliseconds(new.ttl), int(new.text is not None),
            new.text or "", journal.epoch, journal.origin, journal.base,
            entry_text(journal.base_id), room_channel(room), writer_word(self._store.writer, ""),
            *words,
        )  # fmt: skip
        if answer[0] != b"ok":
            return None
        _, id, ttl, length, size = answer
        return Committed(entry_id(id), deadline(asked, ttl), length, size, [])


def _key(name: str, answer: Any) -> Key:
    try:
        kind, ttl, fingerprint, items, size, value = answer
        return Key(name, kind.decode(), ttl, fingerprint.decode(), items, size, value)
    except (ValueError, TypeError) as problem:
        raise BadRecord("Redis has not answered what the script returns") from problem
