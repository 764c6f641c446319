"""What a room's members did and Redis does not have yet."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field

from collab.errors import CollabError
from collab.merge.replica import Replica
from collab.merge.updates import merged
from collab.store.records import NONCE_BITS, Commit, EntryId, Update

MOST_PENDING = 64
"""Updates kept apart, for their authors' sake, while Redis is away; then they become one."""
SEVERAL = ""
"""The author of an entry that more than one member wrote."""


@dataclass(slots=True)
class Pending:
    """Updates, who waits for them, since when, and how long the room is to live with them.

    ``whole`` says that the whole document is to be committed in place of the updates, which are in
    it. The first ``flown`` of the updates were sent before, and nobody knows whether Redis took
    them: the entries would have ``nonce`` in their ids.
    """

    updates: list[Update] = field(default_factory=list)
    done: list[asyncio.Future[None]] = field(default_factory=list)
    since: float = 0.0
    ttl: float = 0.0
    whole: bool = False
    nonce: int = 0
    flown: int = 0
    _asked: asyncio.Future[None] | None = None

    def __bool__(self) -> bool:
        return bool(self.updates or self.done or self.whole)

    def add(self, author: str, update: bytes) -> None:
        """Put an update behind the others, and into the last one if that has the same author."""
        updates = self.updates
        if len(updates) > self.flown and updates[-1].author == author:
            updates[-1] = Update(author, merged((updates[-1].update, update)))
        else:
            updates.append(Update(author, update))
        if len(updates) > MOST_PENDING:
            updates[:] = [Update(SEVERAL, merged(each.update for each in updates))]
            self.nonce = self.flown = 0

    def wait(self, now: float, ttl: float) -> asyncio.Future[None]:
        """Let the room live ``ttl`` seconds; the Future is done when Redis has it all."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.done.append(done)
        self.since = self.since or now
        self.ttl = max(self.ttl, ttl)
        return done

    def stored(self) -> asyncio.Future[None]:
        """Return what is done when Redis has it all: one Future for all who ask."""
        if self._asked is None:
            self._asked = asyncio.get_running_loop().create_future()
            self.done.append(self._asked)
        return self._asked

    def want_whole(self, ttl: float) -> None:
        """Let the whole document be committed, for ``ttl`` seconds at least."""
        self.whole = True
        self.ttl = max(self.ttl, ttl)
        self.nonce = self.flown = 0

    def forget_updates(self) -> None:
        """All of the updates are in the journal."""
        self.updates.clear()
        self.whole = False
        self.nonce = self.flown = 0

    def sent(self, id: EntryId) -> bool:
        """Whether an entry of the journal is part of what flew."""
        return bool(self.nonce) and id[1] == self.nonce

    def found(self, id: EntryId) -> None:
        """An entry of the journal is the first of what flew, and whose answer was lost."""
        if self.whole:
            self.whole = False  # some of the updates may have come after it
        elif self.flown:
            del self.updates[0]
            self.flown -= 1

    def followed_by(self, later: Pending) -> Pending:
        """Return both in one."""
        return Pending(
            self.updates + later.updates,
            self.done + later.done,
            self.since or later.since,
            max(self.ttl, later.ttl),
            self.whole or later.whole,
            self.nonce,
            self.flown,
            self._asked or later._asked,
        )

    def fly(self, replica: Replica) -> Commit:
        """Return what is to be written, which leads to what ``replica`` is."""
        self.nonce = self.nonce or secrets.randbits(NONCE_BITS)
        self.flown = len(self.updates)
        updates = [Update(SEVERAL, replica.state())] if self.whole else self.updates
        together = merged(each.update for each in updates)
        return Commit(updates, together, replica.text, self.ttl, self.nonce)

    def succeed(self) -> None:
        """Redis has it: tell whoever waits."""
        for done in self.done:
            if not done.done():
                done.set_result(None)

    def fail(self, problem: CollabError) -> None:
        """Redis will not get it from here: tell whoever waits."""
        for done in self.done:
            if not done.done():
                done.set_exception(problem)
                done.exception()  # nobody may be waiting
