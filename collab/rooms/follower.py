"""What one node has of a room's journal, and what it has that the journal lacks.

No Redis here: `Journal` and `Recovery` ask it, and bring the answers.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterable

from collab.errors import CollabError
from collab.merge.errors import MergeError
from collab.merge.replica import Edit, Replica
from collab.metrics import Metrics
from collab.rooms.journal_state import Event, JournalState, Phase
from collab.rooms.pending import Pending
from collab.store.channel import Announcement
from collab.store.records import ZERO, Commit, Committed, Entry, EntryId, Refused, Standing

log = logging.getLogger(__name__)

EXPIRY_TOLERANCE = 1.0
"""Seconds around a room's deadline in which a missing room counts as expired."""

OnEdit = Callable[[Edit], None]
"""Called with each edit of the replica that was not made on this node."""


class Follower:
    """A room's replica, the place in the journal that it has come to, and what waits for a commit.

    The replica is ahead of the journal by what this node's members did and Redis has not confirmed.
    Entries of others are applied strictly in the journal's order. ``epoch`` is None before a
    journal is known; ``last`` is the last entry that was applied, ``deadline`` the time by
    ``clock`` at which the room expires. ``ttl``, in seconds, is how long a change lets it live.
    """

    def __init__(
        self,
        room: str,
        metrics: Metrics,
        on_edit: OnEdit,
        *,
        ttl: float,
        clock: Callable[[], float],
    ) -> None:
        self.room = room
        self.ttl = ttl
        self.clock = clock
        self.state = JournalState()
        self.replica = Replica()
        self.epoch: str | None = None
        self.last: EntryId = ZERO
        self.deadline = 0.0
        self.waiting = Pending()
        self.in_flight = Pending()
        self._metrics = metrics
        self._on_edit = on_edit

    @property
    def expired(self) -> bool:
        """Whether the room's time is up, and nobody was changing it before that."""
        changing = self.waiting.since and self.waiting.since < self.deadline
        return not changing and self.deadline - self.clock() <= EXPIRY_TOLERANCE

    def set_deadline(self, deadline: float | None) -> None:
        """Let the room expire at a time; None: as if it was changed now."""
        self.deadline = self.clock() + self.ttl if deadline is None else deadline

    # Entries of others

    def handle_announcement(self, announcement: Announcement, *, own: bool) -> None:
        """Apply an announced commit if it is the journal's next; else the journal is to be read.

        ``own`` says that it was made by this node. That of the commit in flight is as good as its
        answer, which may be lost.
        """
        id, same = announcement.id, announcement.epoch == self.epoch
        if same and announcement.previous == self.last:
            deadline = self.clock() + announcement.ttl
            if self.in_flight.was_sent(id):
                self.confirm(id, deadline)
            elif self.waiting.was_sent(
                id
            ):  # only the entries say which part of what waits is there
                self.state.on(Event.MISSED)
            elif not announcement.update or self.apply(announcement.update):
                self.advance_to(id)
                self.set_deadline(deadline)
            else:
                self.state.on(Event.DISTRUSTED)
        elif not own and not (same and id <= self.last):
            self.state.on(Event.MISSED)

    def apply_entries(self, entries: Iterable[Entry]) -> None:
        """Apply entries that follow the last one; those that were applied before are skipped."""
        for entry in entries:
            if entry.id > self.last:
                if not self.apply(entry.update):
                    self.state.on(Event.DISTRUSTED)
                    return
                if self.waiting.was_sent(entry.id):
                    self.waiting.drop_committed(entry.id)
                self.advance_to(entry.id)

    def apply(self, update: bytes) -> bool:
        """Apply what others did; return False if the replica is not ready for it."""
        try:
            edit = self.replica.apply_update(update)
        except MergeError as problem:
            log.error("bad journal entry", extra={"room": self.room, "reason": problem.code})
            return False
        if edit:
            self._on_edit(edit)
        return True

    def advance_to(self, last: EntryId) -> None:
        """The replica has all entries of the journal up to ``last``."""
        self.last = max(self.last, last)
        self.state.on(Event.FOLLOWED)

    def compare(self, standing: Standing) -> None:
        """Compare what is here with what Redis has; what is to be done about it becomes due."""
        state = self.state
        if state.phase is Phase.ABSENT:
            if standing.epoch or standing.digest:
                state.on(Event.MISSED)
        elif (standing.epoch, standing.tail) != (self.epoch, self.last):
            state.on(Event.MISSED)
        else:
            self.set_deadline(standing.deadline)
            if not self.waiting and standing.digest != _digest(self.replica.text):
                settled = standing.snapshot_at == standing.tail
                state.on(Event.SNAPSHOT_WRONG if settled else Event.SNAPSHOT_OWED)

    # Commits

    def touch(self) -> asyncio.Future[None]:
        """Refresh the room's expiry with the next commit; the Future is done when Redis has it."""
        return self.waiting.wait(self.clock(), self.ttl)

    def start_commit(self) -> Commit:
        """Return all that waits as one commit, which is in flight from now on."""
        assert not self.in_flight, "one commit of a room is in flight at a time"
        self.in_flight, self.waiting = self.waiting, Pending()
        return self.in_flight.make_commit(self.replica)

    def requeue_commit(self) -> None:
        """Let what is in flight, if anything, wait again, before what came meanwhile."""
        if self.in_flight:
            self.waiting = self.in_flight.followed_by(self.waiting)
            self.in_flight = Pending()

    def handle_committed(self, answer: Committed) -> None:
        """Redis took the commit, maybe behind entries that are not here."""
        self.apply_entries(answer.missed)
        self.state.on(Event.SNAPSHOT_OWED if answer.missed else Event.SNAPSHOT_SET)
        if self.in_flight:  # else the announcement came first
            self.confirm(answer.id, answer.deadline)

    def handle_refused(self, answer: Refused) -> None:
        """Redis refused the commit: others were first, or the journal is another."""
        self.requeue_commit()
        self.state.on(Event.REFUSED if answer.reason == "behind" else Event.MISSED)
        self.apply_entries(answer.missed)

    def confirm(self, last: EntryId, deadline: float | None) -> None:
        """Redis has what is in flight, up to the entry ``last``: acknowledge it."""
        confirmed, self.in_flight = self.in_flight, Pending()
        self.state.on(Event.CONFIRMED)
        self.advance_to(last)
        self.set_deadline(deadline)
        if confirmed.since:
            self._metrics.commit_seconds.observe(self.clock() - confirmed.since)
        confirmed.succeed()

    def commit_whole(self) -> None:
        """Let the whole document be committed, with all that waits, which is in it.

        Nothing less will do where the journal lacks some of it: an edit alone may build on what is
        not there. It lives for the time that was left, unless what waits gives it more.
        """
        self.waiting.request_whole(max(self.deadline - self.clock(), EXPIRY_TOLERANCE))

    def fail_pending(self, problem: CollabError) -> None:
        """Fail all that Redis has not confirmed."""
        self.requeue_commit()
        self.waiting.fail(problem)
        self.waiting = Pending()


def _digest(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
