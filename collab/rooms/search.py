"""Which of a room's texts somebody was looking at who sends one, and never got one from here.

A page that comes back after its connection broke, to a node that does not know it, sends its whole
text. It is taken for an edit of that text, of all that the room had, that makes the smallest edit.
The texts are not kept: the journal is played forward, and each is compared as it comes by. That may
take some hundred milliseconds for a large room, so it is done in slices, by one search at a time.
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
"""Seconds of history, and entries of it, that are searched in any case."""
NEAR: Final = 16
"""Code points of an edit: if a recent text is as near, older ones are not searched."""
MAX_UTF8: Final = 4
"""Bytes of a code point."""
SLICE_SECONDS: Final = 0.005
"""Seconds for which a search keeps everybody else from the event loop."""


class Searches:
    """Lets one search of a node go on at a time, and that one in slices."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._until = 0.0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until no other search of this node goes on."""
        async with self._turn:
            self._until = perf_counter() + SLICE_SECONDS
            yield

    async def pause(self) -> None:
        """Let others have the event loop, if it is time."""
        if perf_counter() > self._until:
            await asyncio.sleep(0)
            self._until = perf_counter() + SLICE_SECONDS

    async def replay_after(self, updates: list[bytes], others: list[bytes]) -> Replay:
        """Return a replay that is behind ``updates``, and that ``others`` will be played in."""
        past = Replay([*updates, *others])
        for update in updates:
            past.skip(update)
            await self.pause()
        return past


class Found(NamedTuple):
    """A text that the room had, the way from it to ``tail``, and how far it is from the one sought.

    ``tail`` is what the journal added up to when it was read.
    """

    text: str
    way: Delta
    tail: str
    distance: int


class _Search:
    """One search through one reading of a journal, for a text at a distance of ``max_distance``."""

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
        """Compare the text before each of the updates from ``first`` on, and after the last."""
        past = await self._searches.replay_after(self._updates[:first], self._updates[first:last])
        for index in range(first, last):
            self._compare(index, past, exact)
            past.skip(self._updates[index])
            await self._searches.pause()
        self._compare(last, past, exact)

    def _compare(self, index: int, past: Replay, exact: int) -> None:
        """Keep a text that is nearer, or as near and later."""
        max_distance = self.distance - (self._index is not None and index < self._index)
        if abs(past.size - self._size) > MAX_UTF8 * max_distance:
            return
        distance = edit_distance(past.text, self._code, max_distance, exact=exact)
        if distance is not None:
            self._index, self.distance = index, distance

    async def result(self) -> Found | None:
        """Return the nearest text, with the way from it to the tail."""
        if self._index is None:
            return None
        onward = self._updates[self._index :]
        past = await self._searches.replay_after(self._updates[: self._index], onward)
        text, way = past.text, IDENTITY
        for update in onward:
            way = compose(way, past.play(update))
            await self._searches.pause()
        return Found(text, way, past.text, self.distance)


async def nearest_text(
    code: str,
    reading: Reading,
    searches: Searches,
    *,
    near: int = NEAR,
    max_distance: int | None = None,
) -> Found | None:
    """Return the text in a room's history that ``code`` is the smallest edit of.

    ``reading`` is a complete one. Recent texts come first; if none is within ``near`` code points,
    all are searched, as far as the journal goes back. ``None`` if there is no journal, or no text
    within ``max_distance`` code points: the less that is, the faster it is known.
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
            # One with many differences here and there has seemed to be farther than an empty one.
            await search.compare_range(first, 1 + len(reading.entries), exact=MAX_DISTANCE)
        if search.distance > near:
            await search.compare_range(1, first)
        return await search.result()


def _first_recent(entries: Sequence[Entry], now: int) -> int:
    """Return which entry is the first of the recent ones; ``now`` is in milliseconds."""
    first = max(0, len(entries) - MAX_RECENT)
    while first < len(entries) and entries[first].id[0] < now - RECENT_SECONDS * 1000:
        first += 1
    return first


async def text_at(
    epoch: str | None, last: EntryId, reading: Reading, searches: Searches
) -> Found | None:
    """Return the text that the journal added up to when ``last`` was its last entry.

    ``epoch`` None is before there was a journal. ``None`` is returned if this is another journal,
    or if it does not reach back to that entry any more.
    """
    updates = [reading.base, *(entry.update for entry in reading.entries)]
    ids = [reading.base_id, *(entry.id for entry in reading.entries)]
    if epoch is not None and (reading.epoch != epoch or last not in ids):
        return None
    known = 0 if epoch is None else ids.index(last) + 1
    async with searches.turn():
        past = await searches.replay_after(updates[:known], updates[known:])
        text, way = past.text, IDENTITY
        for update in updates[known:]:
            way = compose(way, past.play(update))
            await searches.pause()
        return Found(text, way, past.text, 0)
