"""A room's journal as one node follows it: one piece of work at a time, the most urgent first.

docs/journal.md explains why, and what can go wrong. `follower` keeps what the node has of the
journal, `journal_state` decides which work is next, and `recovery` repairs differences.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from collab.errors import RoomClosed, RoomUnreadable, StoreUnavailable
from collab.merge.replica import Replica
from collab.metrics import Metrics
from collab.rooms.follower import Follower, OnEdit
from collab.rooms.history import compact, size_limit
from collab.rooms.journal_state import Event, Phase, Work
from collab.rooms.recovery import Recovery
from collab.rooms.slices import in_slices
from collab.rooms.worker import Worker
from collab.store.channel import Announcement
from collab.store.checks import Checks
from collab.store.commits import Commits
from collab.store.records import ZERO, Committed, EntryId, NextCommit, Reading, Refused, Standing
from collab.store.store import Store

if TYPE_CHECKING:  # it needs the packages of an extra
    from collab.tracing import RoomTraces

log = logging.getLogger(__name__)


class Journal:
    """Follows and extends the journal of one room.

    ``on_edit`` is called with each edit of the replica that no member of this node has made,
    ``on_end`` when somebody has ended the room. ``own_subscriptions`` returns how many
    subscriptions of the room's channel are this node's, as far as it knows: nobody else needs the
    announcements. ``ttl`` is in seconds; ``max_entries`` and ``max_bytes`` bound the history.
    ``traces`` has the spans of the commits, if changes are traced.
    """

    def __init__(
        self,
        room: str,
        store: Store,
        metrics: Metrics,
        on_edit: OnEdit,
        *,
        on_end: Callable[[], None] = lambda: None,
        own_subscriptions: Callable[[], int] = lambda: 0,
        ttl: float,
        max_entries: int,
        max_bytes: int,
        traces: RoomTraces | None = None,
    ) -> None:
        self._room = room
        self._store = store
        self._commits = Commits(store, room)
        self._checks = Checks(store, room)
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._lowest_limit = size_limit(max_bytes, "", scarce=True)
        self._own_subscriptions = own_subscriptions
        clock = asyncio.get_running_loop().time
        self._follower = Follower(room, metrics, on_edit, ttl=ttl, clock=clock, traces=traces)
        self._state = self._follower.state
        self._recovery = Recovery(self._follower, store, self._checks, on_end)
        self._counted_own = False
        self._reading: asyncio.Task[Reading] | None = None
        me = weakref.proxy(self)  # no cycle, for the same reason as in Room
        self._worker = Worker(room, lambda: me._step(), lambda: me._recover())

    async def open(self) -> None:
        """Load the room. Raises StoreUnavailable."""
        self._state.on(Event.MISSED)
        while await self._step():
            pass
        self._state.on(Event.LOADED_EMPTY if self.epoch is None else Event.LOADED)

    async def close(self) -> None:
        """Stop, and fail all updates that Redis has not confirmed. `flush` waits for them."""
        self._state.on(Event.CLOSED)
        await self._worker.close()
        self._give_up()

    # State

    @property
    def replica(self) -> Replica:
        """The room's document on this node."""
        return self._follower.replica

    @property
    def epoch(self) -> str | None:
        """The name of the journal that the node follows; None if there is none."""
        return self._follower.epoch

    @property
    def last(self) -> EntryId:
        """The last entry that the node has applied."""
        return self._follower.last

    @property
    def exists(self) -> bool:
        """Whether the room has a text, which may be empty."""
        follower = self._follower
        return follower.epoch is not None or bool(follower.waiting or follower.in_flight)

    @property
    def uncommitted(self) -> tuple[int, float]:
        """How many edits wait for Redis, and for how many seconds the oldest has waited."""
        return self._follower.uncommitted

    @property
    def ended(self) -> bool:
        """Whether somebody has ended the room."""
        return self._state.phase is Phase.ENDED

    @property
    def settled(self) -> bool:
        """Whether nothing waits to be written to Redis."""
        return not self._worker.busy and not self._follower.waiting

    # Edits of this node's members

    def append(self, update: bytes, author: str) -> None:
        """Commit an update that is in the replica already. `stored` tells when Redis has it."""
        self._follower.waiting.add(author, update)
        self.touch()

    def touch(self) -> None:
        """Refresh the room's expiry with the next commit."""
        self._follower.touch()
        self._start_work()
        if self._state.over:
            self._give_up()

    def stored(self) -> asyncio.Future[None] | None:
        """Return a Future that is done when Redis has the present replica; None if Redis has it.

        All callers share the Future. While Redis is away it waits, and does not fail.
        """
        unsaved = self._follower.waiting or self._follower.in_flight
        if not (unsaved or self._state.over):
            return None
        stored = (unsaved or self._follower.waiting).stored()
        if self._state.over:
            self._give_up()
        return stored

    def _give_up(self) -> None:
        """Fail all updates that Redis has not confirmed; nothing is written any more."""
        problem = StoreUnavailable("the node closed the room before Redis had all changes")
        self._follower.fail_pending(RoomClosed(self._room) if self.ended else problem)

    # Messages of other nodes

    def handle_announcement(self, announcement: Announcement) -> None:
        """Apply an announced commit if it is the next entry, else read the journal."""
        self._follower.handle_announcement(
            announcement, own=announcement.writer == self._store.writer
        )
        self._start_work()

    def handle_end(self) -> None:
        """Read whether somebody has ended this room, or an earlier room of the same name."""
        self._state.on(Event.MISSED)
        self._start_work()

    def handle_damage(self) -> None:
        """Read the whole journal, which another node could not, and write it anew."""
        self._state.on(Event.DISTRUSTED)
        self._start_work()

    def check(self) -> None:
        """Compare replica and journal with Redis soon, and repair differences."""
        self._state.on(Event.CHECK_REQUESTED)
        self._start_work()

    def handle_reconnect(self) -> None:
        """Handle that the subscription of the room's channel had ended, and is back.

        The node compares with Redis, because it may have missed commits. And it announces the
        journal's last entry again: before it noticed the loss, the script took the subscription of
        another node for the one that this node had lost, and announced nothing.
        """
        self.check()
        if self._counted_own:
            self._counted_own = False
            self._follower.announce_again()
            self._start_work()

    async def read(self) -> Reading:
        """Return the whole journal. Raises StoreUnavailable.

        Concurrent callers share one reading, because many members may return at once.
        """
        reading = self._reading
        if reading is None:
            reading = self._reading = asyncio.create_task(self._read_all())
        return await asyncio.shield(reading)

    async def _read_all(self) -> Reading:
        try:
            return await self._store.read(self._room, None, ZERO)
        finally:
            self._reading = None

    # Work

    async def flush(self) -> None:
        """Wait until Redis has all updates."""
        await self._worker.flush()

    async def wait_until_quiet(self) -> bool:
        """Wait until no work is left; return whether the replica is what the journal adds up to.

        It is not while Redis accepts no writes. The result holds until the caller's next await.
        """
        while self._worker.busy:
            await self._worker.flush()
        return not self._follower.waiting

    def _start_work(self) -> None:
        """Begin the work that is due; while the room is being loaded, `open` does the work.

        A commit and a check, the most frequent work, need no task: Redis' answer is handled where
        it arrives. If anything is not as usual, the worker does the work again, step by step.
        """
        if self._state.phase is Phase.LOADING or self._worker.busy:
            return
        work = self._state.next(waiting=bool(self._follower.waiting))
        if work is None:
            return
        if work is Work.COMMIT and self._worker.begin():
            self._commits.send(self._prepare_commit, self._handle_outcome)
        elif work is Work.CHECK and self._worker.begin():
            self._checks.send(self._prepare_check, self._handle_outcome)
        else:
            self._worker.start()

    def _prepare_commit(self) -> NextCommit | None:
        """Return the commit of all updates that wait now; None if other work is more urgent now."""
        return self._next_commit() if self._may_start(Work.COMMIT) else None

    def _prepare_check(self) -> bool:
        """Whether to compare with Redis now; not if other work is more urgent now."""
        return self._may_start(Work.CHECK)

    def _may_start(self, work: Work) -> bool:
        """Whether work that was begun is still the most urgent; if so, it counts as started."""
        if not self._worker.begun:
            return False  # the room was closed
        waiting = bool(self._follower.waiting)
        if self._state.next(waiting=waiting) is not work:
            self._worker.end()
            self._start_work()
            return False
        self._state.start(waiting=waiting)
        return True

    def _handle_outcome(self, outcome: Committed | Refused | Standing | Exception) -> None:
        if not self._worker.begun:
            return  # the room was closed
        if isinstance(outcome, Exception):  # the worker's next step finds that this work failed
            self._worker.end()
            self._worker.start()
            return
        try:
            self._handle_answer(outcome)
            self._state.finish()
        except Exception:
            log.exception("a room's work failed", extra={"room": self._room})
            self._recover()
        self._worker.end()
        if self._follower.waiting or self._state.due:
            self._start_work()
        if self._state.over:
            self._give_up()

    async def _step(self) -> bool:
        """Do the most urgent work; return False if no work is due."""
        self._follower.requeue_commit()  # a commit is still in flight only if its step failed
        work = self._state.start(waiting=bool(self._follower.waiting))
        if work is None:
            if self._state.over:
                self._give_up()
            return False
        try:
            await self._do(work)
        except RoomUnreadable:
            if self._state.phase is Phase.LOADING:
                raise
            await self._recovery.heal()  # then the next step does the work again
        else:
            self._state.finish()
        return True

    async def _do(self, work: Work) -> None:
        match work:
            case Work.RELOAD:
                await self._recovery.reload()
            case Work.CATCH_UP:
                await self._recovery.catch_up()
            case Work.COMPACT:
                await self._compact()
            case Work.COMMIT:
                await self._commit()
            case Work.CHECK:
                await self._recovery.check()
            case Work.SETTLE:
                await self._recovery.settle()

    def _recover(self) -> None:
        """After an unexpected error, continue from the content of the journal and the replica."""
        self._follower.requeue_commit()
        if self._follower.waiting:
            self._follower.commit_whole()
        self._state.on(Event.DISTRUSTED)

    async def _commit(self) -> None:
        """Commit the updates that wait. If Redis refuses, they still wait afterwards."""
        self._handle_answer(await self._commits.commit(self._next_commit()))

    def _next_commit(self) -> NextCommit:
        follower = self._follower
        assert follower.epoch is not None, "CATCH_UP begins a journal before the first COMMIT"
        last, exact = follower.last, not self._state.may_append
        commit, own = follower.start_commit(), self._own_subscriptions()
        self._counted_own |= own > 0
        return NextCommit(follower.epoch, last, commit, exact, own)

    def _handle_answer(self, answer: Committed | Refused | Standing) -> None:
        if isinstance(answer, Standing):
            self._follower.compare(answer)
            return
        if isinstance(answer, Refused):
            self._follower.handle_refused(answer)
            return
        self._follower.handle_committed(answer)
        large = answer.bytes > self._lowest_limit and answer.bytes > self._size_limit()
        if large or answer.length > self._max_entries:
            self._state.on(Event.TOO_LONG)

    def _size_limit(self) -> int:
        return size_limit(self._max_bytes, self.replica.text, scarce=self._store.usage.scarce)

    async def _compact(self) -> None:
        """Merge the older half of the history into the journal's base."""
        reading = await self._store.read(self._room, None, ZERO)
        if reading.epoch is not None and reading.epoch == self.epoch:
            compacting = compact(self._room, reading, self._max_entries, self._size_limit())
            compacted = await in_slices(compacting)
            if compacted is not None:
                await self._store.compact(
                    self._room, reading.epoch, reading.base_id, compacted.last, compacted.base,
                    compacted.size, compacted.authors,
                )  # fmt: skip
