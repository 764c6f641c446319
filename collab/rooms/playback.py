"""A room's history, played forward from its journal: each edit, its time and its author."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from collab.merge.delta import IDENTITY, Delta
from collab.merge.errors import MergeError
from collab.rooms.author import Author
from collab.rooms.history import add_up
from collab.store.records import ZERO, Entry, Reading, entry_text
from collab.store.store import Store

log = logging.getLogger(__name__)


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
    """

    def __init__(self, room: str, reading: Reading) -> None:
        self._room = room
        self._replica = add_up(room, reading.base, ())
        self.entries = [HistoryEntry.of(entry) for entry in reading.entries]
        self.base_update = reading.base
        if reading.code is not None:  # there is no journal yet
            self.base_update = self._replica.edit(Delta.of(_starter(reading.code)))
        self.base = self._replica.text

    def play(self) -> Iterator[Step]:
        """Apply and yield one entry after the other. Can be called only once."""
        for entry in self.entries:
            before = self._replica.text
            yield Step(entry, before, self._apply(entry.update))

    def _apply(self, update: bytes) -> Delta:
        try:
            return self._replica.apply_update(update).delta
        except MergeError as problem:
            # The nodes that hold the room skip the entry too.
            log.error("bad journal entry", extra={"room": self._room, "reason": problem.code})
            return IDENTITY


async def fetch_playback(store: Store, room: str) -> Playback | None:
    """Return a room's history from Redis, or None if there is no such room.

    Raises StoreUnavailable.
    """
    reading = await store.read(room, None, ZERO)
    if reading.epoch is None and reading.code is None:
        return None
    return Playback(room, reading)


async def fetch_text(store: Store, room: str) -> str:
    """Return the text that a room's journal adds up to. Raises StoreUnavailable."""
    return final_text(room, await store.read(room, None, ZERO))


def final_text(room: str, reading: Reading) -> str:
    """Return the text that a journal, read to its end, adds up to."""
    if reading.code is not None:
        return _starter(reading.code)
    return add_up(room, reading.base, reading.entries).text


def _starter(code: bytes) -> str:
    return code.decode("utf-8", errors="replace")
