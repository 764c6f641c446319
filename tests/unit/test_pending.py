"""Updates that wait for a commit: how they are merged, sent again, and found in the journal."""

from __future__ import annotations

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
    asked.wait(1.0, 1.0)
    whole.request_whole(1.0)
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
    typist.pending.request_whole(1.0)
    commit = typist.pending.make_commit(typist.replica)
    typist.type("b", "bob")
    typist.pending.drop_committed((1, commit.nonce))
    assert not typist.pending.whole
    assert typist.authors() == ["ada", "bob"]


def test_nothing_waits_and_nothing_was_sent_after_the_updates_were_dropped() -> None:
    typist = Typist()
    typist.type("a", "ada")
    commit = typist.pending.make_commit(typist.replica)
    typist.pending.request_whole(1.0)
    typist.pending.drop_updates()
    assert not typist.pending
    assert not typist.pending.was_sent((1, commit.nonce))
    typist.type("b", "ada")
    typist.type("c", "ada")
    assert typist.authors() == ["ada"]


async def test_two_pendings_become_one_that_lives_for_the_longer_time() -> None:
    first, later = Typist(), Pending()
    first.type("a", "ada")
    first.pending.wait(now=10.0, ttl=5.0)
    later.wait(now=20.0, ttl=60.0)
    both = first.pending.followed_by(later)
    assert (both.since, both.ttl, len(both.done)) == (10.0, 60.0, 2)
    assert later.followed_by(first.pending).ttl == 60.0
    assert not both.whole
    later.request_whole(1.0)
    assert first.pending.followed_by(later).whole
    assert later.followed_by(first.pending).whole


async def test_all_who_ask_whether_everything_is_stored_share_one_future() -> None:
    pending = Pending()
    assert pending.stored() is pending.stored()
    merged = pending.followed_by(Pending())
    assert merged.stored() is pending.stored()
    merged.succeed()
    assert pending.stored().done()


async def test_failing_fails_every_future_that_nobody_has_cancelled() -> None:
    pending = Pending()
    left, waiting = pending.wait(1.0, 1.0), pending.wait(1.0, 1.0)
    left.cancel()
    pending.fail(StoreUnavailable("closed"))
    with pytest.raises(StoreUnavailable):
        await waiting


def test_a_whole_document_replaces_the_updates_that_wait() -> None:
    typist = Typist()
    typist.replica.edit(Delta.of("lost "))
    typist.type("a", "ada")
    typist.pending.request_whole(ttl=9.0)
    commit = typist.pending.make_commit(typist.replica)
    assert [update.author for update in commit.updates] == [SEVERAL]
    assert text_of(*commit.updates) == "lost a"
    assert commit.ttl == 9.0
