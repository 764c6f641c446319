"""The search through a room's history for the text that a client was showing."""

from __future__ import annotations

import asyncio
import gc
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import repeat
from typing import Any

import pytest

from collab.merge.delta import Delta
from collab.merge.diff import diff
from collab.merge.replay import Replay
from collab.merge.replica import Replica
from collab.merge.splice import edit_size
from collab.rooms import search
from collab.rooms.search import (
    MAX_RECENT,
    NEAR,
    RECENT_SECONDS,
    Found,
    Searches,
    nearest_text,
    shown_text,
    text_at,
)
from collab.rooms.slices import Slices
from collab.store.records import Entry, Reading
from tests.support import forge

AT_A_STRETCH = 0.02
"""Seconds for which a search may block the event loop."""
ATTEMPTS = 3


@pytest.fixture
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


def journal(*texts: str, every: int = 1000, authors: Iterable[str] = repeat("m")) -> Reading:
    """Return the journal of a room that had these texts, one every ``every`` milliseconds."""
    replica, entries = Replica(), []
    for number, (text, author) in enumerate(zip(texts, authors, strict=False)):
        update = replica.edit(Delta.from_splices(diff(replica.text, text)))
        entries.append(Entry((every * (number + 1), 0), author, update))
    return Reading("e", entries[-1].id, entries, None, complete=True)


def whole_state(reading: Reading) -> bytes:
    """Return the state of the document that a journal adds up to."""
    replica = Replica()
    for entry in reading.entries:
        replica.apply_update(entry.update)
    return replica.state()


async def find(code: str, reading: Reading, near: int = NEAR) -> Found:
    found = await nearest_text(code, reading, Searches(), near=near)
    assert found is not None
    assert found.to_tail.apply(found.text) == found.tail
    assert found.distance == edit_size(diff(found.text, code))
    return found


async def test_the_nearest_text_is_found_with_the_delta_from_it() -> None:
    lines = ["start\n" + "".join(f"line {n}\n" for n in range(count)) for count in range(8)]
    reading = journal(*lines)
    for text in lines:
        assert (await find(text + "?", reading)).text == text
    assert (await find(lines[3], reading)).tail == lines[-1]


async def test_of_equally_near_texts_the_latest_is_found() -> None:
    found = await find("ab!", journal("ab", "abc", "ab", "x"))
    assert found.to_tail.apply("ab") == "x"
    assert edit_size(found.to_tail.to_splices()) == 3, "by the short way"


async def test_a_text_beyond_the_maximal_distance_is_not_found() -> None:
    texts = ["start\n" + "".join(f"line {n}\n" for n in range(count)) for count in range(8)]
    texts[4] += "größer 🐍\n"
    reading, searches = journal(*texts), Searches()
    for text in texts:
        for typed in ("?", "é", "🐍🐍"):
            code = text + typed
            assert await nearest_text(code, reading, searches, max_distance=len(typed) - 1) is None
            found = await nearest_text(code, reading, searches, max_distance=len(typed))
            assert found is not None and found.text == text
            assert found.to_tail.apply(found.text) == found.tail == texts[-1]


async def test_the_history_of_a_room_begins_with_an_empty_text() -> None:
    assert (await find("", journal("abc", "abcd"))).text == ""


async def test_nothing_is_found_without_a_journal() -> None:
    assert (
        await nearest_text("a", Reading(None, (0, 0), [], None, complete=True), Searches()) is None
    )


async def test_if_no_recent_text_is_near_the_whole_journal_is_searched() -> None:
    old = "a text that was there an hour ago, and was replaced\n" * 3
    new = "another one altogether, of which little is the same"
    reading = journal(old, new, new + "!", every=(RECENT_SECONDS + 1) * 1000)
    assert (await find(old + "x", reading)).text == old
    near = new[:-1]
    assert len(new) - len(near) < NEAR
    assert (await find(near, reading)).text == new


async def test_if_the_oldest_recent_text_is_the_nearest_the_ones_before_it_are_searched() -> None:
    """Somebody types so fast that it is near, though much has been typed since the page's text."""
    texts = ["".join(chr(0x4E00 + n) for n in range(count)) for count in range(1, MAX_RECENT + 60)]
    reading = journal(*texts, every=15)
    for number in (59, 50, 40):
        found = await find(texts[number] + "!", reading)
        assert (found.text, found.distance) == (texts[number], 1)


async def test_a_text_with_many_scattered_differences_is_nearer_than_an_empty_one() -> None:
    """Otherwise all of the text would be in the room twice."""
    letters = [chr(0x4E00 + n) for n in range(600)]
    room = "".join(letters)
    for place in range(0, 600, 12):
        letters[place] = "x"
    assert (await find("".join(letters), journal(room[:1], room))).text == room


async def test_a_text_from_long_ago_is_found_though_a_recent_text_is_near() -> None:
    reading = journal("one", "one two", "one two!", every=(RECENT_SECONDS + 1) * 1000)
    found = await find("one two", reading, near=0)
    assert (found.text, found.distance, found.tail) == ("one two", 0, "one two!")


async def test_the_history_begins_with_a_compacted_base() -> None:
    whole = journal("one", "one two", "one two three")
    base = whole_state(replace(whole, entries=whole.entries[:2]))
    compacted = replace(whole, entries=whole.entries[2:], base=base, base_id=(2000, 0))
    assert (await find("one two!", compacted)).text == "one two"
    assert (await find("", compacted)).text == "one two", "what was before is not known any more"


async def test_the_text_of_a_moment_is_found_by_the_last_entry_of_that_moment() -> None:
    reading = journal("one", "one two", "one two three")
    found = await text_at("e", (2000, 0), reading, Searches())
    assert found is not None
    assert (found.text, found.tail) == ("one two", "one two three")
    assert found.to_tail.apply(found.text) == found.tail
    begun = await text_at(None, (0, 0), reading, Searches())
    assert begun is not None and begun.text == ""
    assert await text_at("another", (2000, 0), reading, Searches()) is None
    assert await text_at("e", (2500, 0), reading, Searches()) is None


@pytest.mark.parametrize("every", [1000, (RECENT_SECONDS + 1) * 1000])
async def test_each_text_of_a_long_history_is_found_whichever_block_it_is_in(
    every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "BLOCK", 3)
    monkeypatch.setattr(search, "MAX_BLOCKS", 4)
    for count in (*range(1, 15), 24, 25, 29):  # about the ends of each number of blocks
        texts = [f"{number:03}" * 20 for number in range(count)]
        reading = journal(*texts, every=every)
        for text in (texts[0], texts[count // 3], texts[count // 2], texts[-1]):
            found = await find(text + "!", reading)
            assert (found.text, found.tail) == (text, texts[-1])


async def test_a_history_in_which_surrogate_pairs_are_split_is_searched_too() -> None:
    def one(client: int, text: str, left: int | None = None) -> bytes:
        origin, right = (None, None) if left is None else ((7, left), (7, left + 1))
        content = forge.struct(forge.STRING, forge.varstring(text), origin, right)
        return forge.update([(client, 0, [content])])

    updates = [one(7, "<🐍> and more"), one(8, "x", left=1), one(9, "!", left=5)]
    entries = [Entry((1000 + at, 0), "m", update) for at, update in enumerate(updates)]
    reading = Reading("e", entries[-1].id, entries, None, complete=True)
    found = await find("<\ufffdx\ufffd> and more", reading)
    assert (found.distance, found.tail) == (0, "<\ufffdx\ufffd> a!nd more")
    assert (await find("<🐍> and more", reading)).distance == 0


async def test_a_search_plays_an_update_three_times_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    played: Counter[bytes] = Counter()
    for name in ("play", "skip"):
        original = getattr(Replay, name)

        def counting(self: Replay, update: bytes, original: Any = original) -> Any:
            played[update] += 1
            return original(self, update)

        monkeypatch.setattr(Replay, name, counting)
    reading = _long_history(300, 700, "x")
    await find("A" * 200 + "B\nC" * 50, reading)
    assert sum(played.values()) < 3 * len(reading.entries) + 20


async def test_a_search_that_takes_too_long_finds_the_nearest_recent_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old, new = "a text of an hour ago " * 5, "quite another one " * 9
    reading = journal(old, new, new + "!", every=(RECENT_SECONDS + 1) * 1000)
    assert (await find(old, reading)).text == old
    monkeypatch.setattr(search, "MAX_SEARCH_SECONDS", -1)
    found = await nearest_text(old, reading, Searches())
    assert found is not None
    assert found.text in (new, new + "!") and found.tail == new + "!"


async def test_others_get_as_much_time_as_long_work_takes() -> None:
    slices, turns, over = Slices(), 0, False

    async def turn() -> None:
        nonlocal turns
        while not over:
            turns += 1
            await asyncio.sleep(0.001)

    others = asyncio.create_task(turn())
    began = time.perf_counter()
    for _ in range(40):
        until = time.process_time() + 0.002
        while time.process_time() < until:
            pass
        await slices.pause()
    took, over = time.perf_counter() - began, True
    await others
    assert slices.spent < took < 5 * slices.spent
    assert took - slices.spent > 0.9 * slices.spent
    assert turns > 20, "with one turn between two slices there would be 14"


def _long_history(size: int, entries: int, letter: str) -> Reading:
    """Return the journal of a room of ``size`` code points with edits all over its text."""
    rng = random.Random(size)
    text = "".join(rng.choice("abcdefgh \n") for _ in range(size))
    texts = [text]
    for _ in range(entries):
        at = rng.randrange(len(text))
        text = text[:at] + letter * 3 + text[at + 3 :]
        texts.append(text)
    return journal(*texts, every=100)


Search = Callable[[str, Reading, Searches], Awaitable[Found | None]]
SEARCHES: dict[str, Search] = {
    "nearest": nearest_text,
    "shown": partial(shown_text, max_distance=sys.maxsize),
}


async def longest_stretch(search: Search, code: str, reading: Reading) -> float:
    """Let three clients return at once with this text; return the longest time, of the processor,
    for which a search has kept the event loop."""
    searches, longest, over = Searches(), 0.0, False

    async def watch() -> None:
        nonlocal longest
        while not over:
            began = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - began)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(search(code, reading, searches) for _ in range(3)))
    over = True
    await watching
    return longest


@pytest.mark.no_cover
@pytest.mark.parametrize("letter", ["x", "🐍"])
@pytest.mark.parametrize("size", [5_000, 100_000])
@pytest.mark.parametrize("search", SEARCHES)
async def test_a_search_does_not_block_the_event_loop(
    search: str, size: int, letter: str, thawed: None
) -> None:
    """A search is the same work each time, and what else the machine does only adds to it. So the
    shortest of some longest stretches is that of the search itself."""
    reading = _long_history(size, 500, letter)
    rng = random.Random(1)
    strange = "".join(rng.choice("ABCDEFGH \n") for _ in range(size // 2))
    gc.freeze()  # what other tests have left is not the search's to collect
    for _ in range(ATTEMPTS):
        if (longest := await longest_stretch(SEARCHES[search], strange, reading)) < AT_A_STRETCH:
            return
    pytest.fail(f"a search blocks the event loop for {longest:.3f} s")
