"""Finds the earlier text of a room that an unknown page was showing.

A page that reconnects to a node that does not know it sends its whole text. The node treats this
text as an edit of that text in the room's history which makes the edit smallest. The texts are not
stored: the search plays the journal forward and compares each text. This may take some hundred
milliseconds for a large room, so a search runs in slices, one search at a time.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Final, NamedTuple

from collab.merge.delta import IDENTITY, Delta, compose
from collab.merge.diff import MAX_DISTANCE, MAX_QUICK_DISTANCE, edit_distance
from collab.merge.replay import Replay
from collab.merge.units import utf8_size
from collab.store.records import Entry, EntryId, Reading

RECENT_SECONDS, MAX_RECENT = 120, 256
"""Seconds of history, and the most entries of it, that are always searched."""
NEAR: Final = 16
"""Code points of an edit: if a recent text is this near, older texts are not searched."""
MAX_UTF8: Final = 4
"""Bytes of a code point, at most."""
SLICE_SECONDS: Final = 0.005
"""Seconds for which a search blocks the event loop."""


class Searches:
    """Lets one search of a node run at a time, in slices."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._until = 0.0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until no other search of this node runs."""
        async with self._turn:
            self._until = perf_counter() + SLICE_SECONDS
            yield

    async def pause(self) -> None:
        """Yield to the event loop if the slice is over."""
        if perf_counter() > self._until:
            await asyncio.sleep(0)
            self._until = perf_counter() + SLICE_SECONDS

    async def replay_after(self, updates: list[bytes], others: list[bytes]) -> Replay:
        """Return a replay that has skipped ``updates`` and will play ``others``."""
        past = Replay([*updates, *others])
        for update in updates:
            past.skip(update)
            await self.pause()
        return past


class Found(NamedTuple):
    """A text that the room had, the delta from it to ``tail``, and its distance from the code.

    ``tail`` is the text that the journal added up to when it was read.
    """

    text: str
    to_tail: Delta
    tail: str
    distance: int


class _Search:
    """One search through one reading of a journal, for a text within ``max_distance``."""

    def __init__(self, code: str, reading: Reading, searches: Searches, max_distance: int) -> None:
        self._code = code
        self._size = utf8_size(code)
        self._updates = [reading.base, *(entry.update for entry in reading.entries)]
        self._searches = searches
        self._index: int | None = None
        self.distance = max_distance

    async def compare_range(
        self, first: int, last: int, *, exact: int = MAX_QUICK_DISTANCE
    ) -> None:
        """Compare the texts before the updates from ``first`` to ``last``, both included."""
        past = await self._searches.replay_after(self._updates[:first], self._updates[first:last])
        for index in range(first, last):
            self._compare(index, past, exact)
            past.skip(self._updates[index])
            await self._searches.pause()
        self._compare(last, past, exact)

    def _compare(self, index: int, past: Replay, exact: int) -> None:
        """Keep the text as the best so far if it is nearer, or as near and later."""
        max_distance = self.distance - (self._index is not None and index < self._index)
        if abs(past.size - self._size) > MAX_UTF8 * max_distance:
            return
        distance = edit_distance(past.text, self._code, max_distance, exact=exact)
        if distance is not None:
            self._index, self.distance = index, distance

    async def result(self) -> Found | None:
        """Return the nearest text, with the delta from it to the tail."""
        if self._index is None:
            return None
        onward = self._updates[self._index :]
        past = await self._searches.replay_after(self._updates[: self._index], onward)
        text, to_tail = past.text, IDENTITY
        for update in onward:
            to_tail = compose(to_tail, past.play(update))
            await self._searches.pause()
        return Found(text, to_tail, past.text, self.distance)


async def nearest_text(
    code: str,
    reading: Reading,
    searches: Searches,
    *,
    near: int = NEAR,
    max_distance: int | None = None,
) -> Found | None:
    """Return the text in a room's history that ``code`` is the smallest edit of.

    ``reading`` is a complete one. Recent texts are searched first; if none is within ``near`` code
    points, all are searched, as far as the journal goes back. ``None`` if there is no journal, or
    no text within ``max_distance`` code points; a smaller distance makes the search faster.
    """
    if reading.epoch is None:
        return None
    async with searches.turn():
        search = _Search(
            code, reading, searches, sys.maxsize if max_distance is None else max_distance
        )
        first = 1 + _first_recent(reading.entries, reading.tail[0])
        await search.compare_range(first, 1 + len(reading.entries))
        if search.distance > MAX_QUICK_DISTANCE:
            # The quick comparison overestimates the distance if differences are many and scattered.
            await search.compare_range(first, 1 + len(reading.entries), exact=MAX_DISTANCE)
        if search.distance > near:
            await search.compare_range(1, first)
        return await search.result()


def _first_recent(entries: Sequence[Entry], now: int) -> int:
    """Return the index of the first recent entry; ``now`` is in milliseconds."""
    first = max(0, len(entries) - MAX_RECENT)
    while first < len(entries) and entries[first].id[0] < now - RECENT_SECONDS * 1000:
        first += 1
    return first


async def text_at(
    epoch: str | None, last: EntryId, reading: Reading, searches: Searches
) -> Found | None:
    """Return the text that the journal added up to when ``last`` was its last entry.

    If ``epoch`` is None, there was no journal yet. Returns None if this is another journal, or if
    it does not reach back to that entry any more.
    """
    updates = [reading.base, *(entry.update for entry in reading.entries)]
    ids = [reading.base_id, *(entry.id for entry in reading.entries)]
    if epoch is not None and (reading.epoch != epoch or last not in ids):
        return None
    known = 0 if epoch is None else ids.index(last) + 1
    async with searches.turn():
        past = await searches.replay_after(updates[:known], updates[known:])
        text, to_tail = past.text, IDENTITY
        for update in updates[known:]:
            to_tail = compose(to_tail, past.play(update))
            await searches.pause()
        return Found(text, to_tail, past.text, 0)
