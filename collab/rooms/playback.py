"""A room's history, played forward from its journal: each edit, its time and its author."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from collab.merge.delta import IDENTITY, Delta
from collab.merge.errors import MergeError
from collab.rooms.author import Author
from collab.rooms.history import add_up, starter_text
from collab.store.records import (
    ANY_EPOCH,
    MAX_ID_PART,
    ZERO,
    Entry,
    EntryId,
    Reading,
    entry_id,
    entry_text,
)
from collab.store.store import Store

_ENTRY_ID = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")


def is_entry_id(words: str) -> bool:
    """Whether a text can be the id of an entry."""
    return bool(_ENTRY_ID.fullmatch(words)) and max(_parsed(words)) <= MAX_ID_PART


def _parsed(id: str) -> EntryId:
    return entry_id(id.encode())


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One entry of a history: its id, author and Yjs update.

    ``at`` is the time of the commit, in milliseconds since 1970. ``author`` is None if several
    members, or none, wrote the entry.
    """

    id: str
    at: int
    author: Author | None
    update: bytes

    @classmethod
    def of(cls, entry: Entry) -> HistoryEntry:
        """Return an entry of the journal as a history contains it."""
        return cls(entry_text(entry.id), entry.id[0], Author.parse(entry.author), entry.update)


@dataclass(frozen=True, slots=True)
class Step:
    """One entry, the text before it, and the entry as an edit of that text."""

    entry: HistoryEntry
    before: str
    edit: Delta


class Playback:
    """A journal as it was read at one moment: the base, then the entries, applied one at a time.

    ``base`` is the text with which the history begins, ``base_update`` the same as a Yjs update.
    ``entries`` are those after the entry ``after``, if it is one of the journal's; else all.
    """

    def __init__(self, room: str, reading: Reading, after: str | None = None) -> None:
        self._replica = add_up(room, reading.base, ())
        self._earlier = None if after is None else _count_up_to(reading, _parsed(after))
        self.after = after if self._earlier is not None else None
        self._all = [HistoryEntry.of(entry) for entry in reading.entries]
        self.entries = self._all[self._earlier or 0 :]
        self.base_update = reading.base
        if reading.code is not None:  # there is no journal yet
            self.base_update = self._replica.edit(Delta.of(starter_text(reading.code)))
        self.base = self._replica.text

    def play(self) -> Iterator[Step | None]:
        """Apply one entry after the other; yield each, None for an entry up to ``after``.

        Can be called only once.
        """
        for index, entry in enumerate(self._all):
            if index < (self._earlier or 0):
                self._apply(entry.update)
                yield None
                continue
            before = self._replica.text
            yield Step(entry, before, self._apply(entry.update))

    def _apply(self, update: bytes) -> Delta:
        try:
            return self._replica.apply_update(update).delta
        except MergeError:  # the room can't be opened before it is mended; its history can be seen
            return IDENTITY


def _count_up_to(reading: Reading, after: EntryId) -> int | None:
    """Return how many entries there are up to ``after``; None if the journal has no such entry."""
    if after == reading.base_id != ZERO:
        return 0
    found = (index for index, entry in enumerate(reading.entries) if entry.id == after)
    return next((index + 1 for index in found), None)


async def fetch_playback(store: Store, room: str, after: str | None = None) -> Playback | None:
    """Return a room's history from Redis, or None if there is no such room.

    It can be played from the entry ``after``, if the journal has it. Raises StoreUnavailable.
    """
    with store.damage.watch(room):
        reading = await store.read(room, None, ZERO)
        if reading.epoch is None and reading.code is None:
            return None
        return Playback(room, reading, after)


async def fetch_entries(store: Store, room: str, after: str) -> list[HistoryEntry] | None:
    """Return the entries of a room's journal after the entry ``after``, as they are in Redis.

    Redis does not read the rest of the journal for it, so it costs little to ask again and again.
    Returns None if the journal does not have that entry. Raises StoreUnavailable.
    """
    reading = await store.read(room, ANY_EPOCH, _parsed(after))
    return None if reading.complete else [HistoryEntry.of(entry) for entry in reading.entries]


async def fetch_text(store: Store, room: str) -> str:
    """Return the text that a room's journal adds up to. Raises StoreUnavailable."""
    with store.damage.watch(room):
        return final_text(room, await store.read(room, None, ZERO))


def final_text(room: str, reading: Reading) -> str:
    """Return the text that a journal, read to its end, adds up to."""
    if reading.code is not None:
        return starter_text(reading.code)
    return add_up(room, reading.base, reading.entries).text
