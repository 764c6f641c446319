"""The document that a journal adds up to, and the updates that wait, without Redis."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from time import process_time
from typing import Any

import pytest
from pycrdt import Doc, Map

from collab.errors import StoreUnavailable
from collab.merge.delta import Delta
from collab.merge.diff import diff
from collab.merge.replica import Replica
from collab.merge.steps import finish
from collab.rooms.history import add_up, add_up_steps, compact, earlier_state, same, share_authors
from collab.rooms.pending import MAX_PENDING, Pending
from collab.store.records import STARTER, Entry, Reading


def written(*texts: str) -> tuple[Replica, list[Entry]]:
    """Return a replica that had these texts one after the other, and the entries that led to it."""
    replica = Replica()
    entries = []
    for number, text in enumerate(texts):
        update = replica.edit(Delta.from_splices(diff(replica.text, text)))
        entries.append(Entry((1000 * number, 0), "m", update))
    return replica, entries


def reading(entries: list[Entry], base: bytes = b"") -> Reading:
    return Reading("e", entries[-1].id, entries, None, complete=True, base=base)


@pytest.mark.parametrize("letter", ["x", "é", "漢", "🐍"])
def test_the_sum_is_the_document_whatever_its_characters(letter: str) -> None:
    """Documents with and without surrogate pairs are summed in different ways."""
    replica, entries = written(*(letter * (number % 9) for number in range(40)))
    total = add_up("r", b"", entries)
    total.check()
    assert same(total, replica)
    assert share_authors(total, replica) and not share_authors(total, written("other")[0])


def test_documents_of_many_authors_are_equal_whatever_the_order_of_their_state_vectors() -> None:
    """Their state vectors are equal, but the order of the bytes varies."""
    authors = [written(str(number))[0] for number in range(8)]
    for _ in range(5):
        one, other = Replica(), Replica()
        for author in authors:
            one.apply_update(author.state())
        for author in reversed(authors):
            other.apply_update(author.state())
        assert same(one, other)


def test_an_invalid_update_is_skipped_and_the_others_stay() -> None:
    replica, entries = written("a", "ab", "abc")
    entries.insert(1, Entry((1, 1), "", b"\xff\xff nonsense"))
    total = add_up("r", b"", entries)
    total.check()
    assert same(total, replica)


def test_an_update_that_depends_on_a_missing_one_is_left_out_of_the_sum_and_the_base() -> None:
    """A document with pending pieces must never be written back, nor become a base."""
    _, entries = written("a", "ab", "abc")
    del entries[1]
    total = add_up("r", b"", entries)
    total.check()
    assert total.text == "a"


@pytest.mark.parametrize("most_entries, most_bytes", [(10, 1 << 20), (10_000, 600)])
def test_a_compaction_brings_the_journal_to_half_its_bounds_and_keeps_the_sum(
    most_entries: int, most_bytes: int
) -> None:
    replica, entries = written(*("x" * number for number in range(1, 60)))
    compacted = finish(compact("r", reading(entries), most_entries, most_bytes))
    assert compacted is not None
    left = [entry for entry in entries if entry.id > compacted.last]
    gone = entries[: len(entries) - len(left)]
    assert compacted.size == sum(len(entry.update) for entry in gone)
    assert len(left) <= most_entries // 2 and left
    assert sum(len(entry.update) for entry in left) <= most_bytes // 2
    assert same(add_up("r", compacted.base, left), replica)
    again = compact("r", reading(left, compacted.base), most_entries, most_bytes)
    assert finish(again) is None


@pytest.mark.no_cover
@pytest.mark.parametrize("letter", ["x", "🐍"])
def test_a_long_journal_is_added_up_in_short_steps(letter: str) -> None:
    replica, entries = Replica(), []
    base = replica.edit(Delta.of("some line\n" * 10_000))
    for number in range(500):
        update = replica.edit(Delta.of(*(op for _ in range(30) for op in (3000, letter, -1))))
        entries.append(Entry((number, 0), "", update))
    longest, steps, work = 0.0, 0, add_up_steps("r", base, entries)
    while True:
        start = process_time()
        try:
            next(work)
        except StopIteration as end:
            assert same(end.value, replica)
            break
        finally:
            longest = max(longest, process_time() - start)
        steps += 1
    assert steps > 5
    assert longest < 0.25, "in one step it takes 0.4 s"


def test_documents_with_different_deletions_outside_the_text_are_not_the_same() -> None:
    """Their texts and state vectors are equal."""
    client: Doc[Any] = Doc()
    shared = client.get("settings", type=Map)
    shared["language"] = "python"
    one, other = Replica(), Replica()
    for replica in (one, other):
        replica.apply_update(client.get_update())
    before = client.get_state()
    del shared["language"]
    one.apply_update(client.get_update(before))
    assert not same(one, other)
    other.apply_update(one.state())
    assert same(one, other)


def test_entries_up_to_a_nodes_last_one_are_earlier_and_a_starter_always_is() -> None:
    _, entries = written("a", "ab", "abc")
    assert earlier_state("r", reading(entries), (1500, 0)).text == "ab"
    assert earlier_state("r", reading(entries), (-1, 0)).text == ""
    begun = replace(reading(entries), origin=STARTER)
    assert earlier_state("r", begun, (-1, 0)).text == "a"
    assert earlier_state("r", begun, (1500, 0)).text == "ab"
    compacted = replace(reading(entries[2:], written("ab")[0].state()), base_id=(1000, 0))
    assert earlier_state("r", compacted, (1500, 0)).text == "ab"
    assert earlier_state("r", compacted, (500, 0)).text == "", "the base may hold what came since"


def test_updates_keep_their_authors_until_there_are_too_many() -> None:
    replica = Replica()
    pending = Pending()
    for number in range(MAX_PENDING):
        pending.add(str(number // 2), replica.edit(Delta.of("x")))
    assert [update.author for update in pending.updates] == [str(n) for n in range(32)]
    for number in range(100, 100 + MAX_PENDING):
        pending.add(str(number), replica.edit(Delta.of("y")))
    assert len(pending.updates) <= MAX_PENDING
    copy = Replica()
    copy.apply_update(pending.make_commit(replica).merged)
    assert same(copy, replica)


async def test_updates_found_in_the_journal_wait_no_longer_and_later_ones_do() -> None:
    replica, sent, later = Replica(), Pending(), Pending()
    for author in "ab":
        sent.add(author, replica.edit(Delta.of(author)))
    commit = sent.make_commit(replica)
    later.add("b", replica.edit(Delta.of("c")))
    waiting = sent.followed_by(later)
    waiting.add("b", replica.edit(Delta.of("d")))
    assert [update.author for update in waiting.updates] == ["a", "b", "b"]
    assert waiting.was_sent((7, commit.nonce)) and not waiting.was_sent((7, commit.nonce + 1))
    for _ in commit.updates:
        waiting.drop_committed((7, commit.nonce))
    assert [update.author for update in waiting.updates] == ["b"]
    again = waiting.make_commit(replica)
    assert len(again.updates) == 1 and again.text == "dcba"


async def test_the_whole_document_is_sent_in_place_of_updates_until_it_is_in_the_journal() -> None:
    replica, pending = Replica(), Pending()
    replica.edit(Delta.of("old "))
    pending.add("a", replica.edit(Delta.of("new ")))
    pending.request_whole(5.0)
    commit = pending.make_commit(replica)
    assert [update.update for update in commit.updates] == [replica.state()]
    pending.drop_committed((7, commit.nonce))
    assert [update.author for update in pending.make_commit(replica).updates] == ["a"]


async def test_all_callers_of_stored_share_a_future_that_is_done_when_all_is_stored() -> None:
    sent, later = Pending(), Pending()
    first = sent.stored()
    assert sent.stored() is first
    second = later.stored()
    both = sent.followed_by(later)
    assert both.stored() is first
    both.succeed()
    await asyncio.gather(first, second)


async def test_sent_updates_wait_again_before_later_ones_with_the_longer_ttl() -> None:
    sent, later = Pending(), Pending()
    first, second = sent.wait(5.0, 30.0), later.wait(9.0, 1800.0)
    sent.add("a", b"1")
    later.add("b", b"2")
    both = sent.followed_by(later)
    assert [update.update for update in both.updates] == [b"1", b"2"]
    assert (both.since, both.ttl) == (5.0, 1800.0)
    first.cancel()  # the caller has gone away
    both.succeed()
    await second


async def test_futures_that_nobody_awaits_fail_without_a_warning() -> None:
    pending = Pending()
    done = pending.wait(0.0, 1.0)
    pending.fail(StoreUnavailable("closed"))
    with pytest.raises(StoreUnavailable):
        await done
    assert isinstance(done, asyncio.Future)
