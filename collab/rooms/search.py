"""Finds the earlier text of a room that an unknown page was showing.

A page that reconnects to a node that does not know it sends its whole text. The node treats this
text as an edit of that text in the room's history which makes the edit smallest. The texts are not
stored: the search plays the journal and compares each text. This may take some hundred milliseconds
for a large room, so a search runs in slices, one search at a time, and its work is bounded.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Final, NamedTuple

from collab.merge.delta import IDENTITY, Delta, compose
from collab.merge.diff import MAX_DISTANCE, MAX_QUICK_DISTANCE, diff, edit_distance
from collab.merge.replay import Examination, Replay
from collab.merge.trail import View
from collab.rooms.slices import Slices
from collab.store.records import Entry, EntryId, Reading

RECENT_SECONDS, MAX_RECENT = 120, 256
"""Seconds of history, and the most entries of it, that are always searched."""
NEAR: Final = 16
"""Code points of an edit: if a recent text is this near, older texts are not searched."""
BLOCK, MAX_BLOCKS = 256, 8
"""Older entries are searched in blocks, the newest first: entries of a block if there are few, and
the most blocks. The state of the document at the beginning of each is kept during a search."""
MAX_SEARCH_SECONDS: Final = 1.0
"""Seconds of work after which a search compares no more texts; most take a tenth of that."""


class Searches:
    """Lets one search of a node run at a time, in slices."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Slices]:
        """Wait until no other search of this node runs."""
        async with self._turn:
            yield Slices()


class Found(NamedTuple):
    """A text that the room had, the delta from it to ``tail``, and its distance from the code.

    ``tail`` is the text that the journal added up to when it was read.
    """

    text: str
    to_tail: Delta
    tail: str
    distance: int

    def delta_to(self, present: str) -> Delta:
        """Return the delta to the present text, of which updates after the tail are not known."""
        return compose(self.to_tail, Delta.from_splices(diff(self.tail, present)))


class _History:
    """The texts of one reading of a journal. The number of a text is that of the updates before it.

    The first update is the base of the journal. `examine` must be called before the other methods.
    """

    def __init__(self, reading: Reading, slices: Slices) -> None:
        self._updates = [reading.base, *(entry.update for entry in reading.entries)]
        self._slices = slices
        self._needs_replica = False
        self._edits: dict[int, Delta] = {}  # by the number of the text that they change
        self.last = len(self._updates)

    async def examine(self) -> None:
        """Find out how the updates must be played."""
        examination = Examination()
        for update in self._updates:
            if update:
                examination.add(update)
            await self._slices.pause()
        self._needs_replica = examination.needs_replica

    async def states(self, numbers: Collection[int]) -> dict[int, bytes]:
        """Return the state of the document at the texts with these numbers, as updates."""
        past = Replay(needs_replica=self._needs_replica)
        states: dict[int, bytes] = {}
        played = 0
        for number in sorted(numbers):
            for update in self._updates[played:number]:
                past.skip(update)
                await self._slices.pause()
            states[number], played = past.state(), number
        return states

    async def play(self, state: bytes, start: int, end: int) -> AsyncIterator[tuple[int, str]]:
        """Yield the texts from ``start`` to ``end``, both included, with their numbers."""
        past = Replay(state, needs_replica=self._needs_replica)
        for number in range(start, end):
            yield number, past.text
            self._edits[number] = past.play(self._updates[number])
            await self._slices.pause()
        yield end, past.text

    async def play_again(self, text: str, start: int, end: int) -> AsyncIterator[tuple[int, str]]:
        """Yield texts that were played before; the first is ``text``."""
        for number in range(start, end):
            yield number, text
            text = self._edits[number].apply(text)
            await self._slices.pause()
        yield end, text

    async def onward(self, text: str, number: int) -> Delta:
        """Return the delta from the text with that number, which was played, to the last one."""
        view = View(text, IDENTITY)
        for later in range(number, self.last):
            view = view.advanced(self._edits[later])
            await self._slices.pause()
        return view.to_present


class _Search:
    """One search through one history, for a text within ``distance`` of the code."""

    def __init__(self, code: str, history: _History, slices: Slices, distance: int) -> None:
        self._code = code
        self._history = history
        self._slices = slices
        self._best: tuple[int, str] | None = None
        self.distance = distance

    @property
    def _over(self) -> bool:
        return self._slices.spent > MAX_SEARCH_SECONDS

    async def run(self, first: int, near: int) -> Found | None:
        """Search the texts from the number ``first`` on; then, if none is ``near``, the others."""
        history, last = self._history, self._history.last
        starts = [*reversed(range(first, 0, -max(BLOCK, -(-first // MAX_BLOCKS))))]
        starts = [1, *starts] if starts[0] > 1 else starts
        states = await history.states(starts)
        oldest = tail = ""
        async for number, text in history.play(states.pop(first), first, last):
            oldest = text if number == first else oldest
            tail = text
            self._compare(number, text)
        if self.distance > MAX_QUICK_DISTANCE:
            # The quick comparison overestimates the distance if differences are many and scattered.
            async for number, text in history.play_again(oldest, first, last):
                if not self._over:
                    self._compare(number, text, exact=MAX_DISTANCE)
        for start, end in reversed([*pairwise(starts)]):
            if self.distance <= near or self._over:
                break
            async for number, text in history.play(states.pop(start), start, end):
                self._compare(number, text)
        if self._best is None:
            return None
        number, text = self._best
        return Found(text, await history.onward(text, number), tail, self.distance)

    def _compare(self, number: int, text: str, *, exact: int = MAX_QUICK_DISTANCE) -> None:
        """Keep the text as the best so far if it is nearer, or as near and later."""
        limit = self.distance - (self._best is not None and number < self._best[0])
        distance = edit_distance(text, self._code, limit, exact=exact)
        if distance is not None:
            self._best, self.distance = (number, text), distance


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
    points, all are searched, as far as the journal goes back, from the newest to the oldest, until
    `MAX_SEARCH_SECONDS` are over. ``None`` if there is no journal, or no text within
    ``max_distance`` code points; a smaller distance makes the search faster.
    """
    if reading.epoch is None:
        return None
    async with searches.turn() as slices:
        history = _History(reading, slices)
        await history.examine()
        distance = sys.maxsize if max_distance is None else max_distance
        first = 1 + _first_recent(reading.entries, reading.tail[0])
        return await _Search(code, history, slices, distance).run(first, near)


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
    ids = [reading.base_id, *(entry.id for entry in reading.entries)]
    if epoch is not None and (reading.epoch != epoch or last not in ids):
        return None
    known = 0 if epoch is None else ids.index(last) + 1
    async with searches.turn() as slices:
        history = _History(reading, slices)
        await history.examine()
        states = await history.states([known])
        first = tail = None
        async for _, tail in history.play(states[known], known, history.last):
            first = tail if first is None else first
        assert first is not None and tail is not None
        return Found(first, await history.onward(first, known), tail, 0)
