"""A room's journal as one node follows it: commit, catch up, check, fold, one at a time.

The replica is ahead of the journal by what this node's members did and Redis has not confirmed.
Entries of others are applied strictly in the journal's order; what one node has appended is never
applied by another before what it builds on. docs/journal.md tells why, and what can go wrong.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pycrdt import merge_updates

from collab.errors import StoreUnavailable
from collab.merge.delta import Delta, compose, transform
from collab.merge.diff import diff
from collab.merge.errors import MergeError
from collab.merge.replica import Replica
from collab.merge.trail import View
from collab.metrics import Metrics
from collab.store.announcement import Announcement
from collab.store.store import (
    ZERO,
    Commit,
    Committed,
    Entry,
    EntryId,
    Reading,
    Refused,
    Store,
    Update,
)

log = logging.getLogger(__name__)

REFUSALS_BEFORE_APPEND = 3
"""Refusals in a row after which a node appends without setting the snapshot (a saturated room)."""
MOST_PENDING = 64
"""Updates kept apart, for their authors' sake, while Redis is away; then they become one."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds before the first and between later attempts while Redis does not serve."""
RECENT, MOST_RECENT = 120, 256
"""Seconds of history, and entries of it, among which a client that comes back is placed."""
EXPIRY_DOUBT = 1.0
"""Seconds around a room's deadline in which a missing room counts as expired."""
SEVERAL = ""
"""The author of an entry that more than one member wrote."""

Changed = Callable[[Delta], None]
"""Told of each edit of the replica that does not come from a member here."""


@dataclass(slots=True)
class _Waiting:
    """What waits for the next commit: updates, who waits for them, and how long they shall live."""

    updates: list[Update] = field(default_factory=list)
    done: list[asyncio.Future[None]] = field(default_factory=list)
    since: float = 0.0
    ttl: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.updates or self.done)


class Journal:
    """Follows and extends the journal of one room.

    ``changed`` is called with each edit of the replica that no member here made. ``ttl`` is in
    seconds; ``max_entries`` and ``max_bytes`` bound the history.
    """

    def __init__(
        self,
        room: str,
        node: str,
        store: Store,
        metrics: Metrics,
        changed: Changed,
        *,
        ttl: float,
        max_entries: int,
        max_bytes: int,
    ) -> None:
        self.room = room
        self.replica = Replica()
        self.epoch: str | None = None
        self.last: EntryId = ZERO
        self._node = node
        self._store = store
        self._metrics = metrics
        self._changed = changed
        self._ttl = ttl
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._clock = asyncio.get_running_loop().time
        self._deadline = 0.0
        self._snapshot = ""
        self._waiting = _Waiting()
        self._flying = _Waiting()
        self._behind = self._check_due = self._owes_snapshot = self._fold_due = False
        self._expired = False
        self._loaded = False
        self._worker: asyncio.Task[None] | None = None

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
        return self._worker is None and not self._waiting

    def append(self, update: bytes, author: str) -> asyncio.Future[None]:
        """Commit an update that is in the replica already; the Future is done when Redis has it.

        It does not fail while Redis is away: it waits.
        """
        updates = self._waiting.updates
        if updates and updates[-1].author == author:
            updates[-1] = Update(author, merge_updates(updates[-1].update, update))
        else:
            updates.append(Update(author, update))
        if len(updates) > MOST_PENDING:
            updates[:] = [Update(SEVERAL, merge_updates(*(each.update for each in updates)))]
        return self.touch()

    def touch(self) -> asyncio.Future[None]:
        """Refresh the room's expiry with the next commit; the Future is done when Redis has it."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.done.append(done)
        self._waiting.ttl = self._ttl
        self._waiting.since = self._waiting.since or self._clock()
        self._kick()
        return done

    def heard(self, announcement: Announcement) -> None:
        """Take in an announcement: apply it if it is the next entry, else read the journal."""
        ours = announcement.node == self._node
        if announcement.epoch == self.epoch and announcement.previous == self.last:
            if announcement.update and not ours:
                self._apply(announcement.update)
            self._reached(announcement.id)
            self._set_deadline(self._ttl)
        elif announcement.epoch == self.epoch and announcement.id <= self.last:
            return
        elif not ours:
            self._behind = True
            self._kick()

    def check(self) -> None:
        """Compare with Redis, soon, and mend what differs."""
        self._check_due = True
        self._kick()

    async def flush(self) -> None:
        """Wait until nothing waits for Redis."""
        while self._worker is not None:
            await asyncio.wait([self._worker])

    async def close(self) -> None:
        """Stop. What still waits is given up: see ``flush``."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait([self._worker])
        for done in (*self._flying.done, *self._waiting.done):
            if not done.done():
                done.set_exception(StoreUnavailable("the node stopped before Redis was back"))
                done.exception()  # nobody may be waiting

    async def recent_views(self) -> list[View]:
        """Return the texts that somebody may have been looking at lately, newest first.

        They come from the journal, whose ids are times, so that a node that has just loaded the
        room knows them as well as one that was there. Raises StoreUnavailable.
        """
        reading = await self._store.read(self.room, None, ZERO)
        entries = reading.entries
        since = reading.tail[0] - RECENT * 1000
        first = max(0, len(entries) - MOST_RECENT)
        while first < len(entries) and entries[first].id[0] < since:
            first += 1
        past = Replica()
        steps: list[tuple[str, Delta]] = []
        try:
            if older := _merged([reading.base, *(entry.update for entry in entries[:first])]):
                past.apply_update(older)
            for entry in entries[first:]:
                before = past.text
                delta = past.apply_update(entry.update)
                if not delta.is_identity:
                    steps.append((before, delta))
        except MergeError as problem:
            log.error("bad journal entry", extra={"room": self.room, "reason": problem.code})
        way = Delta.from_splices(diff(past.text, self.replica.text))
        views = [View(past.text, way)]
        for before, delta in reversed(steps):
            way = compose(delta, way)
            views.append(View(before, way))
        return views

    # One thing at a time

    def _kick(self) -> None:
        if self._worker is None and self._loaded:
            self._worker = asyncio.create_task(self._work())

    async def _work(self) -> None:
        pause = FIRST_PAUSE
        try:
            while True:
                try:
                    if not await self._next():
                        return
                    pause = FIRST_PAUSE
                except StoreUnavailable as problem:
                    if pause == FIRST_PAUSE:
                        log.warning(
                            "waiting for Redis", extra={"room": self.room, "reason": str(problem)}
                        )
                    # Spread out: many rooms wait for the same Redis to come back.
                    await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                    pause = min(2 * pause, LONGEST_PAUSE)
        finally:
            self._worker = None

    async def _next(self) -> bool:
        """Do what is most urgent; return False if there is nothing to do.

        What fails with StoreUnavailable is still due.
        """
        if self._behind:
            await self._catch_up()
        elif self._waiting:
            await self._commit()
        elif self._check_due:
            await self._check()
        elif self._owes_snapshot:
            await self._settle()
        elif self._fold_due:
            await self._fold()
        else:
            return False
        return True

    # Committing

    async def _commit(self) -> None:
        """Commit what waits. When this returns it is in Redis, or the journal is to be read."""
        refusals = 0
        while self._waiting:
            if self.epoch is None or self._expired:
                self._behind = True  # reading says whether the journal is to be begun here
                return
            text = self.replica.text
            commit = self._take(text)
            try:
                answer = await self._store.commit(
                    self.room, self.epoch, self.last, commit,
                    exact=refusals < REFUSALS_BEFORE_APPEND,
                )  # fmt: skip
            except BaseException:
                self._put_back()
                raise
            if isinstance(answer, Committed):
                self._apply_all(answer.missed)
                self._owes_snapshot = bool(answer.missed)
                self._confirm(answer, text)
                return
            self._put_back()
            if answer.reason != "behind":
                self._behind = True
                return
            refusals += 1
            self._apply_all(answer.missed)

    def _take(self, text: str) -> Commit:
        """Let what waits fly; ``text`` is what it leads to."""
        assert not self._flying, "one commit of a room is in flight at a time"
        self._flying, self._waiting = self._waiting, _Waiting()
        updates = self._flying.updates
        return Commit(updates, _merged(each.update for each in updates), text, self._flying.ttl)

    def _put_back(self) -> None:
        """Let what flew wait again, before what came meanwhile."""
        flown, since = self._flying, self._waiting
        self._flying = _Waiting()
        self._waiting = _Waiting(
            flown.updates + since.updates,
            flown.done + since.done,
            flown.since or since.since,
            max(flown.ttl, since.ttl),
        )

    def _confirm(self, answer: Committed, text: str) -> None:
        """Redis has what flew: tell whoever waits for it."""
        flown, self._flying = self._flying, _Waiting()
        self._snapshot = text
        self._reached(answer.id)
        self._set_deadline(flown.ttl)
        if flown.since:
            self._metrics.commit_seconds.observe(self._clock() - flown.since)
        for done in flown.done:
            if not done.done():
                done.set_result(None)
        self._fold_due = answer.length > self._max_entries or answer.bytes > self._max_bytes

    def _reached(self, last: EntryId) -> None:
        self.last = max(self.last, last)
        self._expired = False

    def _set_deadline(self, ttl: float | None) -> None:
        self._deadline = self._clock() + (self._ttl if ttl is None else ttl)

    # Following what others did

    def _apply(self, update: bytes) -> None:
        try:
            delta = self.replica.apply_update(update)
        except MergeError as problem:
            # Nobody who keeps to the scripts can have put it there, and waiting would not mend it.
            log.error("bad journal entry", extra={"room": self.room, "reason": problem.code})
            return
        if not (self._waiting or self._flying):
            self._snapshot = self.replica.text
        if not delta.is_identity:
            self._changed(delta)

    def _apply_all(self, entries: list[Entry]) -> None:
        for entry in entries:
            if entry.id > self.last:
                self._apply(entry.update)
                self._reached(entry.id)

    async def _catch_up(self) -> None:
        reading = await self._store.read(self.room, self.epoch, self.last)
        self._behind = False
        if reading.epoch is None:
            await self._begin(reading)
            return
        if reading.complete:
            self._adopt(reading)
        else:
            self._apply_all(reading.entries)
            self._reached(reading.tail)
        self._set_deadline(reading.ttl)

    def _adopt(self, reading: Reading) -> None:
        """Follow a journal that this node did not know, or that has lost entries that it knew."""
        held, known = self.epoch is not None, reading.epoch == self.epoch
        left = self._deadline - self._clock()
        journal = _merged([reading.base, *(entry.update for entry in reading.entries)])
        self._apply(journal)
        self.epoch, self.last = reading.epoch, reading.tail
        self._expired = False
        if not held:
            return
        log.warning(
            "the journal is another", extra={"room": self.room, "began_with": reading.origin}
        )
        sum_ = Replica()
        sum_.apply_update(journal)
        if not known and reading.origin == "starter":
            # Somebody put a new text where the room was: what was held of the old one is over.
            delta = Delta.from_splices(diff(self.replica.text, sum_.text))
            self._give_back(self.replica.edit(delta), left)
            self._changed(delta)
        elif (sum_.state_vector(), sum_.text) != (self.replica.state_vector(), self.replica.text):
            self._give_back(self.replica.state(), left)

    def _give_back(self, update: bytes, ttl: float) -> None:
        """Let ``update``, which holds all that waits, be committed in its place."""
        self._waiting.updates[:] = [Update(SEVERAL, update)]
        self._waiting.ttl = max(self._waiting.ttl, ttl, EXPIRY_DOUBT)

    # Beginning a journal

    async def _begin(self, reading: Reading) -> None:
        """There is no journal: begin one, if there is something to begin it with."""
        left = self._deadline - self._clock()
        code = reading.code
        if self.epoch is None:
            if code is not None:
                await self._begin_with_starter(code)
            elif self._waiting:
                if not self._waiting.updates:  # '' is a text
                    self._give_back(self.replica.state(), self._ttl)
                await self._start(None)
        elif code is not None and code != self._snapshot.encode():
            await self._begin_with_foreign(code)
        elif self._waiting or left > EXPIRY_DOUBT:
            # Lost before its time, or over but wanted again: all of it goes back, at once.
            self._give_back(self.replica.state(), left)
            await self._start(code)
        elif code is None:
            self._expired = True

    async def _begin_with_starter(self, code: bytes) -> None:
        """Make the first entry from a text that somebody put into an empty room."""
        text = code.decode("utf-8", errors="replace")
        first = Replica()
        update = first.edit(Delta.of(text)) if text else first.state()
        await self._begin_with_others(code, "starter", text, update, update)

    async def _begin_with_foreign(self, code: bytes) -> None:
        """Take a text that was put where the journal was for an edit of the last snapshot."""
        mine = Delta.from_splices(diff(self._snapshot, self.replica.text))
        theirs = Delta.from_splices(diff(self._snapshot, code.decode("utf-8", errors="replace")))
        _, edit = transform(mine, theirs)
        edited = Replica()
        edited.apply_update(self.replica.state())
        update = edited.edit(edit)
        await self._begin_with_others(code, "room", edited.text, edited.state(), update)

    async def _begin_with_others(
        self, code: bytes, origin: str, text: str, first: bytes, edit: bytes
    ) -> None:
        """Begin the journal with ``first``, made from somebody else's ``code``.

        ``edit`` must not be in the replica before it is in Redis: of two nodes that do this at
        once one is refused and drops its own, or the room would hold the text twice.
        """
        commit = Commit([Update(SEVERAL, first)], first, text, self._ttl)
        epoch = secrets.token_hex(8)
        answer = await self._store.start(self.room, epoch, code, origin, commit)
        if isinstance(answer, Refused):
            self._behind = True
            return
        self.epoch, self.last, self._expired = epoch, answer.id, False
        self._apply(edit)
        self._set_deadline(self._ttl)

    async def _start(self, expected: bytes | None) -> None:
        """Begin the journal with all that waits; ``expected`` is the code that is there."""
        text = self.replica.text
        epoch = secrets.token_hex(8)
        commit = self._take(text)
        try:
            answer = await self._store.start(self.room, epoch, expected, "room", commit)
        except BaseException:
            self._put_back()
            raise
        if isinstance(answer, Refused):
            self._put_back()
            self._behind = True
            return
        self.epoch, self.last = epoch, ZERO
        self._confirm(answer, text)

    # Mending

    async def _check(self) -> None:
        standing = await self._store.check(self.room)
        self._check_due = False
        if standing.epoch != (self.epoch or "") or standing.tail != self.last:
            gone = not standing.epoch and not standing.digest
            self._behind = self._behind or not (gone and self._expired)
        elif self.epoch is None:
            self._behind = bool(standing.digest)
        else:
            self._set_deadline(standing.ttl)
            if not self._waiting and standing.digest != _digest(self.replica.text):
                self._owes_snapshot = True

    async def _settle(self) -> None:
        """Write the snapshot that a commit behind others' entries could not write."""
        if self.epoch is not None and not self._waiting:
            await self._store.settle(self.room, self.epoch, self.last, self.replica.text)
        self._owes_snapshot = False  # where it was refused, whoever went on owes the next

    async def _fold(self) -> None:
        """Make the older half of the history one update."""
        reading = await self._store.read(self.room, None, ZERO)
        self._fold_due = False
        entries = reading.entries
        size = sum(len(entry.update) for entry in entries)
        count = folded = 0
        while count < len(entries) and (
            len(entries) - count > self._max_entries // 2 or size - folded > self._max_bytes // 2
        ):
            folded += len(entries[count].update)
            count += 1
        if not count or reading.epoch != self.epoch or self.epoch is None:
            return
        older = Replica()
        try:
            older.apply_update(
                _merged([reading.base, *(entry.update for entry in entries[:count])])
            )
        except MergeError as problem:
            log.error("history can't be folded", extra={"room": self.room, "reason": problem.code})
            return
        await self._store.fold(
            self.room, self.epoch, reading.base_id, entries[count - 1].id, older.state(), folded
        )


def _merged(updates: Iterable[bytes]) -> bytes:
    """Return one update for several; b'' for none."""
    parts = [update for update in updates if update]
    return parts[0] if len(parts) == 1 else merge_updates(*parts) if parts else b""


def _digest(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
