"""A room's journal as one node follows it: commit, catch up, check, fold, one at a time.

The replica is ahead of the journal by what this node's members did and Redis has not confirmed.
Entries of others are applied strictly in the journal's order; what one node has appended is never
applied by another before what it builds on. docs/journal.md tells why, and what can go wrong.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import weakref
from collections.abc import Callable

from collab.errors import RoomClosed, StoreUnavailable
from collab.merge.deletions import deletion, inserted
from collab.merge.delta import Delta
from collab.merge.errors import MergeError
from collab.merge.replica import Edit, Replica
from collab.metrics import Metrics
from collab.rooms.history import add_up, akin, earlier, fold, same
from collab.rooms.pending import SEVERAL, Pending
from collab.rooms.worker import Worker
from collab.store.channel import Announcement
from collab.store.records import (
    ROOM,
    STARTER,
    ZERO,
    Commit,
    Committed,
    Entry,
    EntryId,
    Reading,
    Refused,
    Update,
)
from collab.store.store import Store

log = logging.getLogger(__name__)

REFUSALS_BEFORE_APPEND = 3
"""Refusals in a row after which a node appends without setting the snapshot (a saturated room)."""
EXPIRY_DOUBT = 1.0
"""Seconds around a room's deadline in which a missing room counts as expired."""

Edited = Callable[[Edit], None]
"""Called with each edit of the replica that was not made on this node."""


class Journal:
    """Follows and extends the journal of one room.

    ``edited`` is called with each edit of the replica that was not made here, ``on_end`` when
    somebody has ended the room. ``ttl`` is in seconds; ``max_entries`` and ``max_bytes`` bound the
    history.
    """

    def __init__(
        self,
        room: str,
        store: Store,
        metrics: Metrics,
        edited: Edited,
        *,
        ttl: float,
        max_entries: int,
        max_bytes: int,
    ) -> None:
        self.room = room
        self.replica = Replica()
        self.epoch: str | None = None
        self.last: EntryId = ZERO
        self.ended = False
        self.on_end: Callable[[], None] = _ignore
        self._store = store
        self._metrics = metrics
        self._edited = edited
        self._ttl = ttl
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._clock = asyncio.get_running_loop().time
        self._deadline = 0.0
        self._waiting = Pending()
        self._flying = Pending()
        self._behind = self._astray = False
        self._check_due = self._owes_snapshot = self._fold_due = False
        self._expired = False
        self._refusals = 0
        self._ends: frozenset[str] | None = None
        self._last_end = ""
        self._reading: asyncio.Task[Reading] | None = None
        self._loaded = self._closed = False
        me = weakref.proxy(self)  # no cycle, for the same reason as in Room
        self._worker = Worker(room, lambda: me._next(), lambda: me._stumbled())

    # What the room calls

    async def open(self) -> None:
        """Load the room. Raises StoreUnavailable."""
        self._behind = True
        while self._behind:
            await self._catch_up()
        self._loaded = True

    @property
    def exists(self) -> bool:
        """Whether the room has a text, be it empty."""
        return self.epoch is not None or bool(self._waiting) or bool(self._flying)

    @property
    def settled(self) -> bool:
        """Whether nothing waits to be written to Redis."""
        return not self._worker.busy and not self._waiting

    def append(self, update: bytes, author: str) -> asyncio.Future[None]:
        """Commit an update that is in the replica already; the Future is done when Redis has it.

        It does not fail while Redis is away: it waits.
        """
        self._waiting.add(author, update)
        return self.touch()

    def touch(self) -> asyncio.Future[None]:
        """Refresh the room's expiry with the next commit; the Future is done when Redis has it."""
        done = self._waiting.wait(self._clock(), self._ttl)
        self._kick()
        if self._closed:
            self._give_up("the room was closed")
        return done

    def stored(self) -> asyncio.Future[None] | None:
        """Return what is done when Redis has all that is here now; None if it has.

        The Future belongs to all who ask.
        """
        unsaved = self._waiting or self._flying
        if unsaved:
            return unsaved.stored()
        return self.touch() if self.ended or self._closed else None  # it fails

    def heard(self, announcement: Announcement) -> None:
        """Take in an announcement: apply it if it is the next entry, else read the journal.

        That of the commit in flight is as good as its answer, which may be lost.
        """
        id, same = announcement.id, announcement.epoch == self.epoch
        if same and announcement.previous == self.last:
            deadline = self._clock() + announcement.ttl
            if self._flying.sent(id):
                self._confirm(id, deadline)
            elif self._waiting.sent(id):
                self._read_behind()  # its entries tell which part of what waits is there
            elif not announcement.update or self._apply(announcement.update):
                self._reached(id)
                self._set_deadline(deadline)
            else:
                self._read_anew()
        elif announcement.writer != self._store.writer and not (same and id <= self.last):
            self._read_behind()

    def heard_end(self) -> None:
        """Somebody has ended the room, or one of its name before it: read which."""
        self._read_behind()

    def check(self) -> None:
        """Compare with Redis, soon, and mend what differs."""
        self._check_due = True
        self._kick()

    async def flush(self) -> None:
        """Wait until nothing waits for Redis."""
        await self._worker.flush()

    async def quiet(self) -> bool:
        """Wait until nothing is left to do; return whether the replica is what ``last`` ends.

        It is not while Redis takes nothing. True only until the next await.
        """
        while self._worker.busy:
            await self._worker.flush()
        return not self._waiting

    async def close(self) -> None:
        """Stop. What still waits is given up: see ``flush``."""
        self._closed = True
        await self._worker.close()
        self._give_up("the node stopped before Redis was back")

    def _give_up(self, reason: str) -> None:
        self._waiting.fail(RoomClosed(self.room) if self.ended else StoreUnavailable(reason))
        self._waiting = Pending()

    async def read(self) -> Reading:
        """Return all that the journal holds. Raises StoreUnavailable.

        Those who ask while it is being read get one reading: many may come back at once.
        """
        reading = self._reading
        if reading is None:
            reading = self._reading = asyncio.create_task(self._read_all())
        return await asyncio.shield(reading)

    async def _read_all(self) -> Reading:
        try:
            return await self._store.read(self.room, None, ZERO)
        finally:
            self._reading = None

    # One thing at a time

    def _stumbled(self) -> None:
        """Begin again from what the journal and the replica hold, whatever went wrong."""
        self._put_back()
        if self._waiting:
            self._give_back()
        self._read_anew()

    def _kick(self) -> None:
        if self._loaded:  # what comes earlier is part of the loading
            self._worker.kick()

    async def _next(self) -> bool:
        """Do what is most urgent; return False if there is nothing to do.

        What fails with StoreUnavailable is still due. Folding comes before committing: else a room
        that never rests would grow without bound.
        """
        if self.ended:
            self._give_up("the room was ended")
            return False
        if self._behind:
            await self._catch_up()
        elif self._fold_due:
            await self._fold()
        elif self._waiting:
            await self._commit()
        elif self._check_due:
            await self._check()
        elif self._owes_snapshot:
            await self._settle()
        else:
            return False
        return True

    # Committing

    async def _commit(self) -> None:
        """Commit what waits. Where it still waits afterwards, others were first."""
        if self.epoch is None or self._expired:
            self._behind = True  # reading says whether the journal is to be begun here
            return
        commit = self._take()
        exact = self._refusals < REFUSALS_BEFORE_APPEND
        try:
            answer = await self._store.commit(self.room, self.epoch, self.last, commit, exact=exact)
        except BaseException:
            self._put_back()
            self._behind = True  # it may be in the journal all the same
            raise
        if isinstance(answer, Committed):
            self._apply_all(answer.missed)
            self._owes_snapshot = bool(answer.missed)
            self._fold_due = answer.length > self._max_entries or answer.bytes > self._max_bytes
            if self._flying:
                self._confirm(answer.id, answer.deadline)
            return
        self._put_back()
        if answer.reason == "behind":
            self._refusals += 1
            self._apply_all(answer.missed)
        else:
            self._behind = True

    def _take(self) -> Commit:
        """Let what waits fly."""
        assert not self._flying, "one commit of a room is in flight at a time"
        self._flying, self._waiting = self._waiting, Pending()
        return self._flying.fly(self.replica)

    def _put_back(self) -> None:
        """Let what flew wait again, before what came meanwhile."""
        if self._flying:
            self._waiting = self._flying.followed_by(self._waiting)
            self._flying = Pending()

    def _confirm(self, last: EntryId, deadline: float | None) -> None:
        """Redis has what flew: tell whoever waits for it."""
        flown, self._flying = self._flying, Pending()
        self._refusals = 0
        self._reached(last)
        self._set_deadline(deadline)
        if flown.since:
            self._metrics.commit_seconds.observe(self._clock() - flown.since)
        flown.succeed()

    def _reached(self, last: EntryId) -> None:
        self.last = max(self.last, last)
        self._expired = False

    def _set_deadline(self, deadline: float | None) -> None:
        self._deadline = self._clock() + self._ttl if deadline is None else deadline

    @property
    def _over(self) -> bool:
        """Whether the room's time is up, and nobody was changing it before that."""
        changing = self._waiting.since and self._waiting.since < self._deadline
        return not changing and self._deadline - self._clock() <= EXPIRY_DOUBT

    # Following what others did

    def _apply(self, update: bytes) -> bool:
        """Apply what others did; return False if the replica is not ready for it."""
        try:
            edit = self.replica.apply_update(update)
        except MergeError as problem:
            log.error("bad journal entry", extra={"room": self.room, "reason": problem.code})
            return False
        if edit:
            self._edited(edit)
        return True

    def _apply_all(self, entries: list[Entry]) -> None:
        for entry in entries:
            if entry.id > self.last:
                if not self._apply(entry.update):
                    self._read_anew()
                    return
                if self._waiting.sent(entry.id):
                    self._waiting.found(entry.id)
                self._reached(entry.id)

    def _read_behind(self) -> None:
        """Read what is behind the last entry that was applied."""
        self._behind = True
        self._kick()

    def _read_anew(self) -> None:
        """Trust nothing that was read before: read the whole journal, and mend what differs."""
        self._behind = self._astray = True
        self._kick()

    async def _catch_up(self) -> None:
        # What is announced from here on may be later than what the script sees.
        self._behind = False
        try:
            known = None if self._astray else self.epoch
            reading = await self._store.read(self.room, known, self.last)
            if self._is_end(reading):
                return
            if reading.epoch is None:
                await self._begin(reading)
                return
        except BaseException:
            self._behind = True
            raise
        if reading.complete:
            self._adopt(reading.epoch, reading)
        else:
            self._apply_all(reading.entries)
            if not self._astray:
                self._reached(reading.tail)
        self._set_deadline(reading.deadline)

    def _is_end(self, reading: Reading) -> bool:
        """Whether the room was ended since it was loaded here: nothing more is written then.

        Whatever is in Redis now is another room of its name.
        """
        if self._ends is None:
            self._ends = frozenset(reading.ends)
        self._last_end = reading.ends[0] if reading.ends else ""
        if not self._ends.issuperset(reading.ends):
            self.ended = True
            self.on_end()
        return self.ended

    def _adopt(self, epoch: str, reading: Reading) -> None:
        """Follow a journal of which this node did not know all, or that has lost entries.

        If it has nothing in common with what is here, one of the two is over. Before the deadline
        that is what the journal held before this node's last entry, and the starter that a node
        without the room began it with: Redis has come back older. After it, it is what is here.
        Over is over to the last character and key: of what two texts share by chance each holder
        would keep a copy. It is deleted by an ordinary edit, so that Yjs members follow.
        """
        held = self.epoch is not None
        journal = add_up(self.room, reading.base, reading.entries)
        if not self._loaded:
            self.replica = journal
        elif not held or epoch == self.epoch or akin(journal, self.replica):
            self._apply(journal.state())
        elif self._over:
            mine = [update.update for update in self._waiting.updates]
            self._apply(deletion(inserted(self.replica, but=mine)))
            self._apply(journal.state())
        else:
            over = inserted(earlier(self.room, reading, self.last))
            self._apply(journal.state())
            self._apply(deletion(over))
        self.epoch, self.last = epoch, reading.tail
        self._expired = self._astray = False
        if same(journal, self.replica):
            self._waiting.forget_updates()
        elif held:
            log.warning("the journal lacks what is here", extra={"room": self.room})
            self._give_back()

    def _give_back(self) -> None:
        """Let the whole document be committed, with all that waits, which is in it.

        Nothing less will do: an edit alone may build on what the journal does not have. It lives
        for the time that was left, unless what waits gives it more.
        """
        self._waiting.want_whole(max(self._deadline - self._clock(), EXPIRY_DOUBT))

    # Beginning a journal

    async def _begin(self, reading: Reading) -> None:
        """There is no journal: begin one, if there is something to begin it with.

        Before the deadline it was lost, and whatever text is there is of no account: it is what was
        lost, or an older starter. After it a text is a new starter.
        """
        code, held = reading.code, self.epoch is not None
        if held and not self._over:
            self._give_back()
            await self._start(code)
        elif code is not None and not (held and code == self.replica.text.encode()):
            await self._begin_with_starter(code)
        elif self._waiting:
            if held or not self._waiting.updates:  # '' is a text
                self._give_back()
            await self._start(code)
        elif code is None:
            self._expired = held

    async def _begin_with_starter(self, code: bytes) -> None:
        """Make the first entry from a text that somebody put into an empty room.

        It must not be in the replica before it is in Redis: of two nodes that do this at once one
        is refused and drops its own, or the room would hold the text twice.
        """
        text = code.decode("utf-8", errors="replace")
        first = Replica()
        update = first.edit(Delta.of(text)) if text else first.state()
        commit = Commit([Update(SEVERAL, update)], update, text, self._ttl)
        await self._store.start(
            self.room, secrets.token_hex(8), code, STARTER, commit, ended=self._last_end
        )
        self._behind = True  # whoever began it, it is read like anybody's

    async def _start(self, expected: bytes | None) -> None:
        """Begin the journal with all that waits; ``expected`` is the code that is there."""
        epoch = secrets.token_hex(8)
        commit = self._take()
        try:
            answer = await self._store.start(
                self.room, epoch, expected, ROOM, commit, ended=self._last_end
            )
        except BaseException:
            self._put_back()
            raise
        if isinstance(answer, Refused):
            self._put_back()
            self._behind = True
            return
        self.epoch, self.last = epoch, ZERO
        self._confirm(answer.id, answer.deadline)

    # Mending

    async def _check(self) -> None:
        self._check_due = False
        try:
            standing = await self._store.check(self.room)
        except BaseException:
            self._check_due = True
            raise
        if standing.epoch != (self.epoch or "") or standing.tail != self.last:
            gone = not standing.epoch and not standing.digest
            self._behind = self._behind or not (gone and self._expired)
        elif self.epoch is None:
            self._behind = bool(standing.digest)
        else:
            self._set_deadline(standing.deadline)
            if not self._waiting and standing.digest != _digest(self.replica.text):
                self._owes_snapshot = True
                if standing.snapshot_at == standing.tail:
                    # Not merely owed: somebody wrote over it, or the replica is another.
                    self._read_anew()

    async def _settle(self) -> None:
        """Write the snapshot that a commit behind others' entries could not write."""
        if self.epoch is not None:
            await self._store.settle(self.room, self.epoch, self.last, self.replica.text)
        self._owes_snapshot = False  # where it was refused, whoever went on owes the next

    async def _fold(self) -> None:
        """Make the older half of the history one update."""
        self._fold_due = False  # if this fails, the next commit says so again
        reading = await self._store.read(self.room, None, ZERO)
        if reading.epoch is not None and reading.epoch == self.epoch:
            folded = fold(self.room, reading, self._max_entries, self._max_bytes)
            if folded is not None:
                await self._store.compact(
                    self.room, reading.epoch, reading.base_id, folded.last, folded.base, folded.size
                )


def _digest(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _ignore() -> None:
    """Nobody wants to know."""
