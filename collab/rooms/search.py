"""Finds the earlier text of a room that an unknown page was showing.

A page that reconnects to a node that does not know it sends its whole text. The node treats this
text as an edit of that text in the room's history which makes the edit smallest. What was typed
shortly before may be missing in it: it was on its way to the page (`shown_text`). The texts are not
stored: the search plays the journal and compares each text. This may take some hundred milliseconds
for a large room, so a search runs in slices, one search at a time, and its work is bounded.
"""

from __future__ import annotations

import asyncio
import sys
from bisect import bisect_right
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import chain, pairwise
from typing import Final, NamedTuple

from collab.merge.delta import IDENTITY, Delta, compose
from collab.merge.diff import MAX_DISTANCE, MAX_QUICK_DISTANCE, diff, edit_distance
from collab.merge.replay import Examination, Replay
from collab.merge.trail import View
from collab.merge.units import MAX_UTF8, utf8_size
from collab.merge.unseen import Births, without
from collab.rooms.author import author_id
from collab.rooms.slices import Slices
from collab.store.records import Entry, EntryId, Reading

RECENT_SECONDS, MAX_RECENT = 120, 256
"""Seconds of history, and the most entries of it, that are always searched."""
NEAR: Final = 16
"""Code points of an edit: if a recent text is this near, older texts are not searched."""
BLOCK, MAX_BLOCKS = 256, 8
"""Older entries are searched in blocks, the newest first: entries of a block if there are few, and
the most blocks. The state of the document at the beginning of each is kept during a search."""
UNSEEN_SECONDS: Final = 2.0
"""Seconds for which a page may not yet have shown what the room has: the way to the page, and the
time until it renders (compare `MAX_UNCONFIRMED_VIEWS` and `PAST_WINDOW`)."""
MAX_SEARCH_SECONDS: Final = 1.0
"""Seconds of work after which a search compares no more texts; most take a tenth of that. What a
page may have shown is a search of its own: otherwise a long search would spare no unseen letter."""


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
        self._times = [reading.base_id[0], *(entry.id[0] for entry in reading.entries)]
        self._authors = ["", *(author_id(entry.author) for entry in reading.entries)]
        self._slices = slices
        self.needs_replica = False
        self.last = len(self._updates)

    async def examine(self) -> None:
        """Find out how the updates must be played."""
        examination = Examination()
        for update in self._updates:
            if update:
                examination.add(update)
            await self._slices.pause()
        self.needs_replica = examination.needs_replica

    async def states(self, numbers: Collection[int]) -> dict[int, bytes]:
        """Return the state of the document at the texts with these numbers, as updates."""
        past = Replay(needs_replica=self.needs_replica)
        states: dict[int, bytes] = {}
        played = 0
        for number in sorted(numbers):
            for update in self._updates[played:number]:
                past.skip(update)
                await self._slices.pause()
            states[number], played = past.state(), number
        return states

    async def play(self, state: bytes, start: int, end: int) -> AsyncIterator[tuple[int, Replay]]:
        """Yield a replay at each text from ``start``, which has that state, to ``end``.

        A text is computed only if somebody asks for it: that costs far more than to play on.
        """
        past = Replay(state, needs_replica=self.needs_replica)
        for number in range(start, end):
            yield number, past
            past.skip(self._updates[number])
            await self._slices.pause()
        yield end, past

    def first_unseen(self, number: int) -> int:
        """Return the number of the newest text that a page must have shown that shows this one.

        It is also the number of the first update that the page may lack. The base is none of these.
        """
        latest = self._times[number - 1] - UNSEEN_SECONDS * 1000
        return max(1, bisect_right(self._times, latest))

    def is_about(self, number: int, other: int) -> bool:
        """Whether two texts are from the same `UNSEEN_SECONDS`."""
        return self._times[number - 1] - self._times[other - 1] <= UNSEEN_SECONDS * 1000

    def unseen(self, number: int, births: Births) -> Iterator[list[range]]:
        """Yield the parts of the text ``number`` that its author may not have seen when it wrote.

        The author has seen all of its own letters, and those of others up to a moment. So each
        result is what others have inserted since one moment. The latest moments come first.
        """
        author = self._authors[number - 1]
        others = [
            born
            for born in births.since(self.first_unseen(number))
            if self._authors[born.number] != author
        ]
        for moment in sorted({born.number for born in others}, reverse=True):
            yield [born.part for born in others if born.number >= moment]

    async def play_edits(self, past: Replay, start: int) -> AsyncIterator[tuple[int, Delta]]:
        """Play on from the text ``start``; yield the number of each text, and the edit to it."""
        yield start, IDENTITY
        for number in range(start, self.last):
            yield number + 1, past.play(self._updates[number])
            await self._slices.pause()

    async def find(self, state: bytes, start: int, number: int, distance: int) -> Found:
        """Return the text with that number; ``state`` is that of an earlier one, or its own."""
        past = Replay(state, needs_replica=self.needs_replica)
        for update in self._updates[start:number]:
            past.skip(update)
            await self._slices.pause()
        view = View(past.text, IDENTITY)
        for update in self._updates[number:]:
            view = view.advanced(past.play(update))
            await self._slices.pause()
        return Found(view.text, view.to_present, past.text, distance)


class _Best(NamedTuple):
    """The number of a text; ``state`` is that of the text ``start``, from which it was played."""

    state: bytes
    start: int
    number: int


class _Search:
    """One search through one history, for a text within ``distance`` of the code."""

    def __init__(self, code: str, history: _History, slices: Slices, distance: int) -> None:
        self._code = code
        self._size = utf8_size(code)
        self._history = history
        self._slices = slices
        self._best: _Best | None = None
        self._end = MAX_SEARCH_SECONDS
        self.distance = distance

    @property
    def _over(self) -> bool:
        return self._slices.spent > self._end

    async def run(self, first: int, near: int) -> _Best | None:
        """Search the texts from the number ``first`` on; then, if none is ``near``, the others."""
        history, last = self._history, self._history.last
        starts = [*reversed(range(first, 0, -max(BLOCK, -(-first // MAX_BLOCKS))))]
        starts = [1, *starts] if starts[0] > 1 else starts
        states = await history.states(starts)
        await self._compare_all(states[first], first, last)
        if self.distance > MAX_QUICK_DISTANCE:
            # The quick comparison overestimates the distance if differences are many and scattered.
            await self._compare_all(states[first], first, last, exact=MAX_DISTANCE)
        for start, end in reversed([*pairwise(starts)]):
            is_oldest = self._best is not None and self._best.number == end
            if (self.distance <= near and not is_oldest) or self._over:
                break  # otherwise the texts before it may be nearer still
            await self._compare_all(states.pop(start), start, end)
        return self._best

    async def shown(self, best: _Best) -> Found:
        """Return the text that the page was showing, which may have lacked what was new.

        ``best`` is the text that is nearest, if all that the page lacks counts. It may be so near
        only because it lacks the same, and lacks letters that the page itself had typed before its
        connection broke. So all texts of about that time are also compared as their authors may
        have shown them (see `_History.unseen`): the page is one of the authors. A text that the
        room had wins over one that only a page can have shown, if both are as near.
        """
        self._end = self._slices.spent + MAX_SEARCH_SECONDS
        history, code = self._history, self._code
        start = history.first_unseen(best.number)
        past = Replay((await history.states([start]))[start], needs_replica=history.needs_replica)
        births = Births(len(past.text))
        view: View | None = None
        text, back = "", IDENTITY
        async for number, delta in history.play_edits(past, start):
            births.follow(delta, number - 1)
            if view is not None:
                view = view.advanced(delta)
            elif number == best.number:
                view, text = View(past.text, IDENTITY), past.text
            if self._over or not history.is_about(number, best.number):
                continue
            for unseen in chain([[]], history.unseen(number, births)):
                length = len(past.text) - sum(map(len, unseen))
                if abs(length - len(code)) < self.distance:
                    shown, missing = without(past.text, unseen)
                    distance = edit_distance(shown, code, self.distance - 1)
                    if distance is not None:
                        view, text, back = View(past.text, IDENTITY), shown, missing
                        self.distance = distance
                    await self._slices.pause()
                if self._over:
                    break
        assert view is not None
        return Found(text, compose(back, view.to_present), past.text, self.distance)

    async def _compare_all(
        self, state: bytes, start: int, end: int, *, exact: int = MAX_QUICK_DISTANCE
    ) -> None:
        """Compare the texts from ``start`` to ``end``; the one at ``start`` has that state.

        An exact comparison stops when the search has taken too long.
        """
        async for number, past in self._history.play(state, start, end):
            if exact > MAX_QUICK_DISTANCE and self._over:
                break
            limit = self.distance - (self._best is not None and number < self._best.number)
            if abs(past.size - self._size) > MAX_UTF8 * limit:
                continue
            distance = edit_distance(past.text, self._code, limit, exact=exact)
            if distance is not None:  # nearer, or as near and later
                self._best, self.distance = _Best(state, start, number), distance


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
        history, search = await _begin(code, reading, slices, max_distance)
        best = await search.run(_first_text(reading), near)
        return None if best is None else await history.find(*best, search.distance)


async def shown_text(
    code: str, reading: Reading, searches: Searches, *, max_distance: int
) -> Found | None:
    """Return what a page was showing that now sends ``code``, and that no node knows.

    It is found like `nearest_text`, but without what was inserted so shortly before that the page
    may not have shown it. ``None`` if the nearest text is farther than ``max_distance``.
    """
    if reading.epoch is None:
        return None
    async with searches.turn() as slices:
        _, search = await _begin(code, reading, slices, max_distance)
        best = await search.run(_first_text(reading), NEAR)
        return None if best is None else await search.shown(best)


async def _begin(
    code: str, reading: Reading, slices: Slices, max_distance: int | None
) -> tuple[_History, _Search]:
    history = _History(reading, slices)
    await history.examine()
    distance = sys.maxsize if max_distance is None else max_distance
    return history, _Search(code, history, slices, distance)


def _first_text(reading: Reading) -> int:
    """Return the number of the first text that is always searched."""
    return 1 + _first_recent(reading.entries, reading.tail[0])


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
        return await history.find(states[known], known, known, 0)
