"""How a node handles announcements and answers of Redis, without Redis."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace

import pytest

from collab.errors import StoreUnavailable
from collab.merge.delta import Delta
from collab.merge.replica import Edit, Replica
from collab.metrics import Metrics
from collab.rooms.follower import EXPIRY_TOLERANCE, Follower
from collab.rooms.journal_state import REFUSALS_BEFORE_APPEND, Event, Phase, Work
from collab.store.channel import Announcement
from collab.store.records import ZERO, Committed, Entry, EntryId, Refused, Standing

NOW, TTL = 1000.0, 60.0
FIRST, SECOND, THIRD = (1, 7), (2, 7), (3, 7)


class Node:
    """A follower of the journal ``e`` with the last entry FIRST, and the edits sent to members.

    If ``loaded`` is False, it has no journal yet.
    """

    def __init__(self, *, loaded: bool = True) -> None:
        self.now = NOW
        self.sent: list[Edit] = []
        self.follower = Follower(
            "room", Metrics(), self.sent.append, ttl=TTL, clock=lambda: self.now
        )
        self.state = self.follower.state
        if loaded:
            self.follower.epoch, self.follower.last = "e", FIRST
            self.follower.set_deadline(None)
        self.state.on(Event.LOADED if loaded else Event.LOADED_EMPTY)

    @property
    def text(self) -> str:
        return self.follower.replica.text

    def type(self, text: str, author: str = "a") -> asyncio.Future[None]:
        """Edit the replica, and let the edit wait for a commit."""
        follower = self.follower
        follower.waiting.add(author, follower.replica.edit(Delta.of(text)))
        follower.touch()
        return follower.waiting.stored()


@pytest.fixture
async def node() -> Node:
    return Node()


def typed(text: str) -> bytes:
    """Return an update that depends on no other."""
    return Replica().edit(Delta.of(text))


def announced(previous: EntryId, id: EntryId, update: bytes, *, epoch: str = "e") -> Announcement:
    return Announcement(epoch, "writer", previous, id, 30.0, update)


# Announcements


async def test_an_announced_entry_that_is_next_is_applied_and_sent_to_members(node: Node) -> None:
    node.follower.handle_announcement(announced(FIRST, SECOND, typed("x")), own=False)
    assert node.text == "x"
    assert [edit.delta for edit in node.sent] == [Delta.of("x")]
    assert (node.follower.last, node.follower.deadline) == (SECOND, NOW + 30.0)
    assert node.state.due == set()


async def test_an_announced_entry_behind_one_that_is_missing_is_not_applied(node: Node) -> None:
    """The update depends on no other, but entries are applied only in the journal's order."""
    node.follower.handle_announcement(announced(SECOND, THIRD, typed("x")), own=False)
    assert (node.text, node.sent, node.follower.last) == ("", [], FIRST)
    assert node.state.due == {Work.CATCH_UP}


async def test_an_entry_of_another_journal_is_not_applied(node: Node) -> None:
    node.follower.handle_announcement(
        announced(FIRST, SECOND, typed("x"), epoch="other"), own=False
    )
    assert (node.text, node.follower.last) == ("", FIRST)
    assert node.state.due == {Work.CATCH_UP}


@pytest.mark.parametrize("own", [False, True])
async def test_an_announcement_of_an_applied_entry_changes_nothing(node: Node, own: bool) -> None:
    node.follower.handle_announcement(announced(ZERO, FIRST, typed("x")), own=own)
    assert (node.text, node.follower.last, node.state.due) == ("", FIRST, set())


async def test_an_own_commit_behind_missed_entries_waits_for_its_answer(
    node: Node,
) -> None:
    node.follower.handle_announcement(announced(SECOND, THIRD, typed("x")), own=True)
    assert (node.text, node.follower.last, node.state.due) == ("", FIRST, set())


async def test_an_entry_that_changes_nothing_is_sent_to_nobody(node: Node) -> None:
    """Another node has written back what this node has."""
    update = typed("x")
    node.follower.handle_announcement(announced(FIRST, SECOND, update), own=False)
    node.follower.handle_announcement(announced(SECOND, THIRD, update), own=False)
    assert node.follower.last == THIRD and len(node.sent) == 1


async def test_an_expired_room_is_followed_again_with_the_next_entry(node: Node) -> None:
    node.state.on(Event.EXPIRED)
    node.follower.handle_announcement(announced(FIRST, SECOND, typed("x")), own=False)
    assert node.state.phase is Phase.FOLLOWING


async def test_an_announced_refresh_of_the_expiry_moves_the_deadline_alone(node: Node) -> None:
    node.follower.handle_announcement(announced(FIRST, SECOND, b""), own=False)
    assert (node.follower.last, node.follower.deadline) == (SECOND, NOW + 30.0)
    assert node.sent == []


async def test_an_announced_entry_that_cannot_be_applied_makes_a_reload_due(
    node: Node,
) -> None:
    node.follower.handle_announcement(announced(FIRST, SECOND, b"\xff nonsense"), own=False)
    assert node.follower.last == FIRST
    assert node.state.due == {Work.RELOAD}


async def test_the_announcement_of_the_commit_in_flight_is_as_good_as_its_answer(
    node: Node,
) -> None:
    done = node.type("x")
    commit = node.follower.start_commit()
    id = (2, commit.nonce)
    node.follower.handle_announcement(announced(FIRST, id, commit.merged), own=True)
    assert done.done() and node.follower.last == id
    assert node.follower.deadline == NOW + 30.0
    assert node.sent == [], "the members know what one of them did"
    node.follower.handle_committed(Committed(id, NOW + 60.0, 2, 20, []))
    assert not node.follower.in_flight and node.follower.last == id


async def test_the_announcement_of_a_commit_whose_answer_was_lost_makes_the_node_read(
    node: Node,
) -> None:
    """By then more updates may wait than were committed."""
    done = node.type("x")
    commit = node.follower.start_commit()
    node.follower.requeue_commit()
    node.follower.handle_announcement(announced(FIRST, (2, commit.nonce), commit.merged), own=True)
    assert not done.done() and node.state.due == {Work.CATCH_UP}
    node.follower.apply_entries([Entry((2, commit.nonce), "a", commit.merged)])
    assert node.follower.waiting.updates == []


# Answers


async def test_an_entry_of_a_lost_commit_is_found_once_however_often_it_is_read(node: Node) -> None:
    """The update of the second author is a separate entry, which may be missing."""
    node.type("one ", "a")
    node.type("two ", "b")
    commit = node.follower.start_commit()
    node.follower.requeue_commit()
    entries = [Entry((2, commit.nonce), "a", commit.updates[0].update)]
    node.follower.apply_entries(entries)
    node.follower.apply_entries(entries)
    assert node.follower.waiting.updates == commit.updates[1:]


async def test_the_position_in_the_journal_never_goes_back(node: Node) -> None:
    node.follower.advance_to(THIRD)
    node.follower.advance_to(SECOND)
    assert node.follower.last == THIRD


async def test_entries_are_applied_in_order_and_once(node: Node) -> None:
    author = Replica()
    updates = [author.edit(Delta.of(letter)) for letter in "xyz"]
    entries = [
        Entry(id, "b", update) for id, update in zip((FIRST, SECOND, THIRD), updates, strict=True)
    ]
    node.follower.apply(updates[0])
    node.follower.apply_entries(entries)
    node.follower.apply_entries(entries)
    assert (node.text, node.follower.last) == ("zyx", THIRD)
    assert len(node.sent) == 3


async def test_entries_behind_one_that_cannot_be_applied_are_not(node: Node) -> None:
    entries = [Entry(SECOND, "b", b"\xff nonsense"), Entry(THIRD, "b", typed("x"))]
    node.follower.apply_entries(entries)
    assert (node.text, node.follower.last) == ("", FIRST)
    assert node.state.due == {Work.RELOAD}


async def test_a_commit_behind_entries_that_were_missed_applies_them_and_owes_the_snapshot(
    node: Node,
) -> None:
    done = node.type("mine")
    node.follower.start_commit()
    missed = [Entry(SECOND, "b", typed("theirs "))]
    node.follower.handle_committed(Committed(THIRD, NOW + 90.0, 3, 30, missed))
    assert sorted(node.text) == sorted("theirs mine")
    assert done.done() and node.follower.last == THIRD
    assert node.follower.deadline == NOW + 90.0
    assert node.state.due == {Work.SETTLE}


async def test_a_commit_that_sets_the_snapshot_makes_a_settle_unnecessary(node: Node) -> None:
    node.state.on(Event.SNAPSHOT_OWED)
    node.type("mine")
    node.follower.start_commit()
    node.now += 5.0
    node.follower.handle_committed(Committed(SECOND, None, 2, 20, []))
    assert node.state.due == set()
    assert node.follower.deadline == NOW + 5.0 + TTL


async def test_after_several_refusals_in_a_row_a_node_may_append(node: Node) -> None:
    done = node.type("mine")
    for number in range(REFUSALS_BEFORE_APPEND):
        assert not node.state.may_append
        node.follower.start_commit()
        entry = Entry((2 + number, 0), "b", typed(str(number)))
        node.follower.handle_refused(Refused("behind", [entry]))
        assert not done.done() and node.follower.last == entry.id
    assert node.state.may_append
    assert node.state.next(waiting=True) is Work.COMMIT
    node.follower.start_commit()
    node.follower.handle_committed(Committed((9, 9), None, 5, 50, []))
    assert done.done() and not node.state.may_append


@pytest.mark.parametrize("reason", ["epoch", "lost", "ended", "other"])
async def test_any_other_refusal_makes_the_node_read_the_journal(node: Node, reason: str) -> None:
    done = node.type("mine")
    node.follower.start_commit()
    node.follower.handle_refused(Refused(reason, []))
    assert not done.done() and not node.state.may_append
    assert node.state.next(waiting=True) is Work.CATCH_UP


async def test_fail_pending_fails_updates_that_wait_and_those_in_flight(node: Node) -> None:
    first = node.type("one")
    node.follower.start_commit()
    second = node.type("two")
    node.follower.fail_pending(StoreUnavailable("closed"))
    for done in (first, second):
        with pytest.raises(StoreUnavailable):
            await done
    assert not node.follower.waiting and not node.follower.in_flight


# Checks


async def test_a_check_finds_differences_and_makes_their_repair_due(node: Node) -> None:
    node.follower.apply(typed("text"))
    digest = hashlib.sha1(b"text").hexdigest()
    as_it_is = Standing("e", FIRST, FIRST, digest, NOW + 5.0)
    cases: list[tuple[Standing, set[Work]]] = [
        (as_it_is, set()),
        (replace(as_it_is, epoch="other"), {Work.CATCH_UP}),
        (replace(as_it_is, tail=SECOND), {Work.CATCH_UP}),
        (Standing("", ZERO, ZERO, "", None), {Work.CATCH_UP}),
        (replace(as_it_is, digest="", snapshot_at=ZERO), {Work.SETTLE}),
        (replace(as_it_is, digest="other"), {Work.SETTLE, Work.RELOAD}),
    ]
    for standing, due in cases:
        node.state.due.clear()
        node.follower.compare(standing)
        assert node.state.due == due, standing
    node.follower.compare(as_it_is)
    assert node.follower.deadline == NOW + 5.0


async def test_a_snapshot_is_not_compared_while_edits_wait(node: Node) -> None:
    node.type("mine")
    node.follower.compare(Standing("e", FIRST, FIRST, hashlib.sha1(b"").hexdigest(), None))
    assert node.state.due == set()


@pytest.mark.parametrize("begun", [False, True])
async def test_a_room_without_a_journal_is_read_only_if_redis_has_anything_of_it(
    begun: bool,
) -> None:
    """Nobody has begun a journal, or it has expired: a check restores nothing."""
    node = Node(loaded=begun)
    node.state.on(Event.EXPIRED)
    assert node.state.phase is Phase.ABSENT
    node.follower.compare(Standing("", ZERO, ZERO, "", None))
    assert node.state.due == set()
    for found in (Standing("", ZERO, ZERO, "a starter", None), Standing("e2", THIRD, ZERO, "", 9)):
        node.state.due.clear()
        node.follower.compare(found)
        assert node.state.due == {Work.CATCH_UP}


# The deadline


async def test_a_room_is_expired_at_its_deadline_unless_somebody_was_changing_it_before(
    node: Node,
) -> None:
    assert not node.follower.expired
    node.now = node.follower.deadline - EXPIRY_TOLERANCE
    assert node.follower.expired
    node.type("in time")
    assert not node.follower.expired
    node.follower.fail_pending(StoreUnavailable("gone"))
    node.now = node.follower.deadline
    node.type("too late")
    assert node.follower.expired


@pytest.mark.parametrize("left, ttl", [(10.0, 10.0), (-5.0, EXPIRY_TOLERANCE)])
async def test_a_whole_document_is_committed_for_the_time_that_was_left(
    node: Node, left: float, ttl: float
) -> None:
    node.now = node.follower.deadline - left
    node.follower.commit_whole()
    assert node.follower.start_commit().ttl == ttl
