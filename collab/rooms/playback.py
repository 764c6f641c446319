"""A room's history, played forward: what its journal says was done, when and by whom."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from collab.merge.delta import IDENTITY, Delta
from collab.merge.errors import MergeError
from collab.rooms.history import add_up
from collab.store.records import Entry, Reading

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Step:
    """One entry, the text before it, and the edit of that text that it is."""

    entry: Entry
    before: str
    edit: Delta


class Playback:
    """A journal as it was read at one moment: the base, then its entries, each applied when asked.

    ``base`` is the text that the history begins with, and ``base_update`` makes it.
    """

    def __init__(self, room: str, reading: Reading) -> None:
        self._room = room
        self._replica = add_up(room, reading.base, ())
        self.entries = reading.entries
        self.base_update = reading.base
        if reading.code is not None:  # there is no journal yet
            self.base_update = self._replica.edit(Delta.of(_starter(reading.code)))
        self.base = self._replica.text

    def play(self) -> Iterator[Step]:
        """Apply one entry after the other, once."""
        for entry in self.entries:
            before = self._replica.text
            yield Step(entry, before, self._apply(entry.update))

    def _apply(self, update: bytes) -> Delta:
        try:
            return self._replica.apply_update(update)
        except MergeError as problem:
            # The nodes that hold the room pass it over too.
            log.error("bad journal entry", extra={"room": self._room, "reason": problem.code})
            return IDENTITY


def final_text(room: str, reading: Reading) -> str:
    """Return the text that a journal, read to its end, adds up to."""
    if reading.code is not None:
        return _starter(reading.code)
    return add_up(room, reading.base, reading.entries).text


def _starter(code: bytes) -> str:
    return code.decode("utf-8", errors="replace")
