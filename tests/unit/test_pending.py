"""Updates that wait for a commit: how they are merged, sent again, and found in the journal."""

from __future__ import annotations

import asyncio

import pytest

from collab.errors import StoreUnavailable
from collab.merge.delta import Delta
from collab.merge.replica import Replica
from collab.rooms.pending import MAX_PENDING, SEVERAL, Pending
from collab.store.records import Update


class Typist:
    """A replica that types letters, whose updates wait in ``pending``."""

    def __init__(self) -> None:
        self.replica = Replica()
        self.pending = Pending()

    def type(self, letter: str, author: str) -> None:
        at = len(self.replica.text)
        self.pending.add(author, self.replica.edit(Delta.of(*([at] if at else []), letter)))

    def authors(self) -> list[str]:
        return [update.author for update in self.pending.updates]


def text_of(*updates: Update) -> str:
    replica = Replica()
    for each in updates:
        replica.apply_update(each.update)
    return replica.text


async def test_updates_futures_and_a_requested_document_each_wait_for_a_commit() -> None:
    typist, asked, whole = Typist(), Pending(), Pending()
    assert not typist.pending
    typist.type("a", "ada")
    asked.request(1.0, 1.0)
    whole.request_whole(0.0, 1.0)
    assert typist.pending and asked and whole


def test_the_updates_of_one_author_in_a_row_are_one_entry() -> None:
    typist = Typist()
    for letter, author in zip("abcd", ("ada", "ada", "bob", "ada"), strict=True):
        typist.type(letter, author)
    assert typist.authors() == ["ada", "bob", "ada"]
    assert text_of(*typist.pending.updates) == "abcd"


def test_an_update_is_not_merged_into_one_that_was_sent() -> None:
    """Redis may have that one: the journal would then contain the new update twice or never."""
    typist = Typist()
    typist.type("a", "ada")
    commit = typist.pending.make_commit(typist.replica)
    typist.type("b", "ada")
    assert typist.authors() == ["ada", "ada"]
    typist.pending.drop_committed((1, commit.nonce))
    assert text_of(Update("", commit.merged), *typist.pending.updates) == "ab"


def test_however_many_authors_type_while_redis_is_away_a_bounded_number_of_updates_waits() -> None:
    typist = Typist()
    for number in range(MAX_PENDING):
        typist.type("x", f"author {number}")
    assert len(typist.authors()) == MAX_PENDING
    for number in range(2 * MAX_PENDING):
        typist.type("x", f"late author {number}")
        assert len(typist.authors()) <= MAX_PENDING
    assert SEVERAL in typist.authors()
    assert text_of(*typist.pending.updates) == "x" * 3 * MAX_PENDING


def test_a_commit_that_is_sent_again_is_found_under_its_first_nonce() -> None:
    typist = Typist()
    typist.type("a", "ada")
    first = typist.pending.make_commit(typist.replica)
    again = typist.pending.make_commit(typist.replica)
    assert first.nonce == again.nonce
    assert typist.pending.was_sent((5, first.nonce))
    assert not typist.pending.was_sent((5, first.nonce + 1))


def test_merged_updates_get_a_new_nonce() -> None:
    """An entry under the old nonce would be only a part of them."""
    typist = Typist()
    typist.type("a", "ada")
    first = typist.pending.make_commit(typist.replica)
    for number in range(MAX_PENDING):
        typist.type("x", f"author {number}")
    assert not typist.pending.was_sent((5, first.nonce))
    assert typist.authors() == [SEVERAL]
    typist.pending.add(SEVERAL, typist.replica.edit(Delta.of("y")))
    assert typist.authors() == [SEVERAL], "none of them counts as sent any more"


def test_entries_of_a_lost_commit_drop_the_updates_that_were_sent_and_no_others() -> None:
    typist = Typist()
    typist.type("a", "ada")
    typist.type("b", "bob")
    commit = typist.pending.make_commit(typist.replica)
    typist.type("c", "bob")
    assert typist.authors() == ["ada", "bob", "bob"]
    for number in range(1, 5):
        typist.pending.drop_committed((number, commit.nonce))
    assert typist.authors() == ["bob"]
    assert text_of(Update("", commit.merged), *typist.pending.updates) == "abc"


def test_the_entry_of_a_lost_whole_document_leaves_the_updates_that_may_have_come_later() -> None:
    typist = Typist()
    typist.type("a", "ada")
    typist.pending.request_whole(0.0, 1.0)
    commit = typist.pending.make_commit(typist.replica)
    typist.type("b", "bob")
    typist.pending.drop_committed((1, commit.nonce))
    assert not typist.pending.whole
    assert typist.authors() == ["ada", "bob"]


def test_nothing_waits_and_nothing_was_sent_after_the_updates_were_dropped() -> None:
    typist = Typist()
    typist.type("a", "ada")
    commit = typist.pending.make_commit(typist.replica)
    typist.pending.request_whole(0.0, 1.0)
    typist.pending.drop_updates()
    assert not typist.pending
    assert not typist.pending.was_sent((1, commit.nonce))
    typist.type("b", "ada")
    typist.type("c", "ada")
    assert typist.authors() == ["ada"]


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
    pending.request_whole(0.0, 5.0)
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
    sent.request(5.0, 30.0)
    later.request(9.0, 1800.0)
    first, second = sent.stored(), later.stored()
    sent.add("a", b"1")
    later.add("b", b"2")
    both = sent.followed_by(later)
    assert [update.update for update in both.updates] == [b"1", b"2"]
    assert (both.since, both.ttl) == (5.0, 1800.0)
    later.request_whole(0.0, 1.0)
    assert not both.whole and sent.followed_by(later).whole and later.followed_by(sent).whole
    first.cancel()  # the caller has gone away
    both.succeed()
    await second


async def test_futures_that_nobody_awaits_fail_without_a_warning() -> None:
    pending = Pending()
    pending.request(0.0, 1.0)
    done = pending.stored()
    pending.fail(StoreUnavailable("closed"))
    with pytest.raises(StoreUnavailable):
        await done
    assert isinstance(done, asyncio.Future)


def test_edits_are_counted_however_they_are_merged_until_the_journal_has_them() -> None:
    typist, later = Typist(), Pending()
    for letter, author in zip("abc", ("ada", "ada", "bob"), strict=True):
        typist.type(letter, author)
    commit = typist.pending.make_commit(typist.replica)
    assert (typist.pending.added, len(commit.updates)) == (3, 2)
    later.add("ada", commit.updates[0].update)
    both = typist.pending.followed_by(later)
    assert both.added == 4
    both.drop_updates()
    assert both.added == 0
    typist.pending.drop_committed((1, typist.pending.nonce))
    assert typist.pending.added == 3, "it is not known which of them Redis has"
    typist.pending.drop_committed((2, typist.pending.nonce))
    assert typist.pending.added == 0


def test_the_oldest_request_may_be_one_for_the_whole_document() -> None:
    pending, later = Pending(), Pending()
    assert pending.oldest == 0.0
    pending.request_whole(3.0, 1.0)
    pending.request(5.0, 1.0)
    later.request_whole(9.0, 1.0)
    assert pending.followed_by(later).oldest == 3.0
    pending.drop_updates()
    assert pending.oldest == 5.0
