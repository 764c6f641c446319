"""The part of a room's journal that one node has applied, and the updates that the journal lacks.

This module knows no Redis: `Journal` and `Recovery` send the commands and pass on the answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from collab.errors import CollabError
from collab.merge.errors import MergeError
from collab.merge.replica import Edit, Replica
from collab.metrics import Metrics
from collab.rooms.journal_state import Event, JournalState, Phase
from collab.rooms.pending import Pending
from collab.store.channel import Announcement
from collab.store.records import ZERO, Commit, Committed, Entry, EntryId, Refused, Standing

if TYPE_CHECKING:  # it needs the packages of an extra
    from collab.tracing import RoomTraces

EXPIRY_TOLERANCE = 1.0
"""Seconds around a room's deadline in which a missing room counts as expired."""

OnEdit = Callable[[Edit], None]
"""Called with each edit of the replica that no member of this node has made."""


class Follower:
    """A room's replica, its position in the journal, and the updates that wait for a commit.

    The replica is ahead of the journal by those edits of this node's members that Redis has not
    confirmed. Entries of other nodes are applied strictly in the journal's order. ``epoch`` is None
    before a journal is known; ``last`` is the last entry that was applied; ``deadline`` is the time
    by ``clock`` at which the room expires. A change lets the room live for ``ttl`` seconds.
    ``traces`` has the spans of the commits, if changes are traced.
    """

    def __init__(
        self,
        room: str,
        metrics: Metrics,
        on_edit: OnEdit,
        *,
        ttl: float,
        clock: Callable[[], float],
        traces: RoomTraces | None = None,
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
        self._digested = "", hashlib.sha1(b"", usedforsecurity=False).hexdigest()
        self._metrics = metrics
        self._on_edit = on_edit
        self._traces = traces

    @property
    def expired(self) -> bool:
        """Whether the deadline has passed, and no change from before it waits for a commit."""
        changing = self.waiting.since and self.waiting.since < self.deadline
        return not changing and self.deadline - self.clock() <= EXPIRY_TOLERANCE

    @property
    def uncommitted(self) -> tuple[int, float]:
        """How many edits Redis has not confirmed, and the seconds for which the oldest waits.

        If only the room's expiry or the whole document waits, these are 0 and its seconds.
        """
        oldest = self.in_flight.oldest or self.waiting.oldest
        edits = self.in_flight.added + self.waiting.added
        return edits, self.clock() - oldest if oldest else 0.0

    def set_deadline(self, deadline: float | None) -> None:
        """Set the time at which the room expires; None: ``ttl`` from now."""
        self.deadline = self.clock() + self.ttl if deadline is None else deadline

    # Entries of others

    def handle_announcement(self, announcement: Announcement, *, own: bool) -> None:
        """Apply an announced commit if it is the journal's next entry; else make a read due.

        ``own`` says that this node made the commit. The announcement of the commit in flight
        confirms it as well as Redis' answer does, which may be lost.
        """
        id, same = announcement.id, announcement.epoch == self.epoch
        if same and announcement.previous == self.last:
            deadline = self.clock() + announcement.ttl
            if self.in_flight.was_sent(id):
                self.confirm(id, deadline)
            elif self.waiting.was_sent(id):  # only the entries tell which of the updates are there
                self.state.on(Event.MISSED)
            elif not announcement.update or self.apply(announcement.update):
                self.advance_to(id)
                self.set_deadline(deadline)
            else:
                self.state.on(Event.DISTRUSTED)
        elif not own and not (same and id <= self.last):
            self.state.on(Event.MISSED)

    def apply_entries(self, entries: Iterable[Entry]) -> None:
        """Apply entries in order, without those that were applied before."""
        for entry in entries:
            if entry.id > self.last:
                if not self.apply(entry.update):
                    self.state.on(Event.DISTRUSTED)
                    return
                if self.waiting.was_sent(entry.id):
                    self.waiting.drop_committed(entry.id)
                self.advance_to(entry.id)

    def apply(self, update: bytes) -> bool:
        """Apply an update of another node; return False if the replica cannot apply it."""
        try:
            edit = self.replica.apply_update(update)
        except MergeError:  # whoever reads the whole journal next says what is wrong with it
            return False
        self.show(edit)
        return True

    def show(self, edit: Edit) -> None:
        """Send an edit of others, which is in the replica, to the members of this node."""
        if edit:
            self._on_edit(edit)

    def advance_to(self, last: EntryId) -> None:
        """Record that the replica has all entries of the journal up to ``last``."""
        self.last = max(self.last, last)
        self.state.on(Event.FOLLOWED)

    def compare(self, standing: Standing) -> None:
        """Compare replica and journal with Redis; the work to repair a difference becomes due."""
        state = self.state
        if state.phase is Phase.ABSENT:
            if standing.epoch or standing.digest:
                state.on(Event.MISSED)
        elif (standing.epoch, standing.tail) != (self.epoch, self.last):
            state.on(Event.MISSED)
        else:
            self.set_deadline(standing.deadline)
            if not self.waiting and standing.digest != self._text_digest():
                settled = standing.snapshot_at == standing.tail
                state.on(Event.SNAPSHOT_WRONG if settled else Event.SNAPSHOT_OWED)

    def _text_digest(self) -> str:
        """Return the SHA-1 of the text: it is computed again only if the text is another one."""
        text, (digested, digest) = self.replica.text, self._digested
        if text is not digested:
            digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
            self._digested = text, digest
        return digest

    # Commits

    def touch(self) -> None:
        """Refresh the room's expiry with the next commit."""
        self.waiting.request(self.clock(), self.ttl)

    def announce_again(self) -> None:
        """Announce the journal's last entry with the next commit, which extends no life."""
        if self.state.phase is Phase.FOLLOWING and not self.expired:
            now = self.clock()
            self.waiting.request(now, self.deadline - now)

    def start_commit(self) -> Commit:
        """Return all updates that wait as one commit, which is in flight from now on."""
        assert not self.in_flight, "one commit of a room is in flight at a time"
        self.in_flight, self.waiting = self.waiting, Pending()
        trace = self._traces.begin_commit() if self._traces else ""
        return self.in_flight.make_commit(self.replica, trace)

    def requeue_commit(self) -> None:
        """Put a commit in flight back at the head of the updates that wait."""
        if self.in_flight:
            if self._traces:
                self._traces.end_commit("unanswered")
            self.waiting = self.in_flight.followed_by(self.waiting)
            self.in_flight = Pending()

    def handle_committed(self, answer: Committed) -> None:
        """Handle a commit that Redis appended, maybe behind entries that this node had missed."""
        if self._traces:
            self._traces.end_commit("ok")
        if answer.missed:
            self.apply_entries(answer.missed)
        self.state.on(Event.SNAPSHOT_OWED if answer.missed else Event.SNAPSHOT_SET)
        if self.in_flight:  # otherwise the announcement came first
            self.confirm(answer.id, answer.deadline)

    def handle_refused(self, answer: Refused) -> None:
        """Handle a refused commit: another node was first, or this is another journal."""
        if self._traces:
            self._traces.end_commit(answer.reason)
        self.requeue_commit()
        self.state.on(Event.REFUSED if answer.reason == "behind" else Event.MISSED)
        self.apply_entries(answer.missed)

    def confirm(self, last: EntryId, deadline: float | None) -> None:
        """Acknowledge the commit in flight, which Redis has as the entries up to ``last``."""
        confirmed, self.in_flight = self.in_flight, Pending()
        self.state.on(Event.CONFIRMED)
        self.last = max(self.last, last)
        self.set_deadline(deadline)
        if confirmed.since:
            self._metrics.commit_seconds.observe(self.clock() - confirmed.since)
        confirmed.succeed()

    def commit_whole(self) -> None:
        """Commit the whole document next; it contains all updates that wait.

        This is needed if the journal lacks a part of the document, because an update may build on
        that part. The room lives for the time that was left, or longer if an update that waits
        extends it.
        """
        now = self.clock()
        self.waiting.request_whole(now, max(self.deadline - now, EXPIRY_TOLERANCE))

    def fail_pending(self, problem: CollabError) -> None:
        """Fail the Futures of all updates that Redis has not confirmed."""
        self.requeue_commit()
        self.waiting.fail(problem)
        self.waiting = Pending()
