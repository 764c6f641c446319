"""The document that a journal adds up to, without Redis."""

from __future__ import annotations

from dataclasses import replace
from time import process_time
from typing import Any

import pytest
from pycrdt import Doc, Map

from collab.errors import RoomUnreadable
from collab.merge.delta import Delta
from collab.merge.diff import diff
from collab.merge.replica import Replica
from collab.merge.steps import finish
from collab.rooms.history import (
    add_up,
    add_up_steps,
    compact,
    earlier_state,
    same,
    share_authors,
    text_digest,
)
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


@pytest.mark.parametrize("letter", ["x", "🐍"])
def test_a_journal_with_an_invalid_update_has_no_sum(letter: str) -> None:
    """Left out, it would be lost for good with the next compaction, and what builds on it too."""
    _, entries = written(letter, letter * 2, letter * 3)
    entries.insert(1, Entry((1, 1), "", b"\xff\xff nonsense"))
    with pytest.raises(RoomUnreadable):
        add_up("r", b"", entries)
    with pytest.raises(RoomUnreadable):
        finish(compact("r", reading(entries), 2, 1 << 20))


@pytest.mark.parametrize("letter", ["x", "🐍"])
def test_a_journal_with_an_update_that_depends_on_a_missing_one_has_no_sum(letter: str) -> None:
    """A document with pending pieces must never be written back, nor become a base."""
    _, entries = written(letter, letter * 2, letter * 3)
    snapshot = text_digest(letter * 3)
    assert finish(add_up_steps("r", b"", entries, snapshot, exact=True)).text == letter * 3
    del entries[1]
    with pytest.raises(RoomUnreadable):
        finish(add_up_steps("r", b"", entries, snapshot))
    with pytest.raises(RoomUnreadable):
        finish(compact("r", reading(entries), 0, 1 << 20))


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
    kept = [len(entry.update) for entry in left]
    assert kept and len(kept) <= most_entries // 2 and sum(kept) <= most_bytes // 2
    assert len(kept) == most_entries // 2 or sum(kept) + len(gone[-1].update) > most_bytes // 2
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
    assert earlier_state("r", reading(entries), (1000, 0)).text == "ab"
    assert earlier_state("r", reading(entries), (-1, 0)).text == ""
    begun = replace(reading(entries), origin=STARTER)
    assert earlier_state("r", begun, (-1, 0)).text == "a"
    assert earlier_state("r", begun, (1500, 0)).text == "ab"
    compacted = replace(reading(entries[2:], written("ab")[0].state()), base_id=(1000, 0))
    assert earlier_state("r", compacted, (1500, 0)).text == "ab"
    assert earlier_state("r", compacted, (1000, 0)).text == "ab"
    assert earlier_state("r", compacted, (500, 0)).text == "", "the base may hold what came since"
