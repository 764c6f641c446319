"""Updates of a room's members that Redis does not have yet."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

from collab.errors import CollabError
from collab.merge.replica import Replica
from collab.merge.updates import merged
from collab.store.records import NONCE_BITS, Commit, EntryId, Update

MAX_PENDING = 64
"""Updates that are kept separate, with their authors, while Redis is away; more are merged."""
SEVERAL = ""
"""The author of an entry that several members wrote."""


@dataclass(slots=True)
class Pending:
    """Updates that wait for a commit, and the Futures that are done when Redis has the updates.

    ``requested`` says that a commit is due even without updates. ``since`` is the time of the
    oldest request, ``ttl`` the seconds that the room lives from the commit on. ``whole``: the
    commit contains the whole document in place of the updates, which are part of it. The first
    ``sent_count`` updates were sent before, and no answer came: if Redis has them, the ids of their
    entries contain ``nonce``. ``added`` is how many edits are in the updates, and ``whole_since``
    when the whole document was asked for.
    """

    updates: list[Update] = field(default_factory=list)
    done: list[asyncio.Future[None]] = field(default_factory=list)
    requested: bool = False
    since: float = 0.0
    ttl: float = 0.0
    whole: bool = False
    nonce: int = 0
    sent_count: int = 0
    added: int = 0
    whole_since: float = 0.0
    _all_stored: asyncio.Future[None] | None = None

    def __bool__(self) -> bool:
        return self.requested or self.whole or bool(self.updates)

    def add(self, author: str, update: bytes) -> None:
        """Append an update; it is merged into the last one if both have the same author."""
        self.added += 1
        updates = self.updates
        if len(updates) > self.sent_count and updates[-1].author == author:
            updates[-1] = Update(author, merged((updates[-1].update, update)))
        else:
            updates.append(Update(author, update))
        if len(updates) > MAX_PENDING:
            updates[:] = [Update(SEVERAL, merged(each.update for each in updates))]
            self.nonce = self.sent_count = 0

    @property
    def oldest(self) -> float:
        """The time of the oldest request, also of one for the whole document; 0.0 without any."""
        times = [time for time in (self.since, self.whole_since) if time]
        return min(times, default=0.0)

    def request(self, now: float, ttl: float) -> None:
        """Request a commit that lets the room live ``ttl`` seconds."""
        self.requested = True
        self.since = self.since or now
        self.ttl = max(self.ttl, ttl)

    def stored(self) -> asyncio.Future[None]:
        """Return a Future that is done when Redis has all of this; all callers share it."""
        if self._all_stored is None:
            self._all_stored = asyncio.get_running_loop().create_future()
            self.done.append(self._all_stored)
        return self._all_stored

    def request_whole(self, now: float, ttl: float) -> None:
        """Commit the whole document next, to live for ``ttl`` seconds at least."""
        self.whole = True
        self.whole_since = self.whole_since or now
        self.ttl = max(self.ttl, ttl)
        self.nonce = self.sent_count = 0

    def drop_updates(self) -> None:
        """Drop the updates, all of which are in the journal."""
        self.updates.clear()
        self.added = 0
        self.whole, self.whole_since = False, 0.0
        self.nonce = self.sent_count = 0

    def was_sent(self, id: EntryId) -> bool:
        """Whether a journal entry is part of a commit that was sent from here."""
        return bool(self.nonce) and id[1] == self.nonce

    def drop_committed(self, id: EntryId) -> None:
        """Drop the first update that was sent: the journal has it as the entry ``id``."""
        if self.whole:
            # Some of the updates may have come after it.
            self.whole, self.whole_since = False, 0.0
        elif self.sent_count:
            del self.updates[0]
            self.sent_count -= 1
            if not self.updates:
                self.added = 0

    def followed_by(self, later: Pending) -> Pending:
        """Return both as one, ``later`` last."""
        return Pending(
            self.updates + later.updates,
            self.done + later.done,
            self.requested or later.requested,
            self.since or later.since,
            max(self.ttl, later.ttl),
            self.whole or later.whole,
            self.nonce,
            self.sent_count,
            self.added + later.added,
            self.whole_since or later.whole_since,
            self._all_stored or later._all_stored,
        )

    def make_commit(self, replica: Replica, trace: str = "") -> Commit:
        """Return the commit of all this; ``replica`` is the document that it leads to.

        ``trace`` stands for the commit's span, if it is traced.
        """
        self.nonce = self.nonce or random.getrandbits(NONCE_BITS)
        self.sent_count = len(self.updates)
        updates = [Update(SEVERAL, replica.state())] if self.whole else self.updates
        together = merged(each.update for each in updates)
        return Commit(updates, together, replica.text, self.ttl, self.nonce, trace)

    def succeed(self) -> None:
        """Resolve the Futures: Redis has everything."""
        for done in self.done:
            if not done.done():
                done.set_result(None)

    def fail(self, problem: CollabError) -> None:
        """Fail the Futures: this node will not commit the updates."""
        for done in self.done:
            if not done.done():
                done.set_exception(problem)
                done.exception()  # nobody may be waiting
