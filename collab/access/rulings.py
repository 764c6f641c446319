"""Applies rulings to the clients of this node: removals, roles, and tokens that are revoked.

The node follows the log of rulings. A message on the rulings' channel tells that there is a new
one; a node that can't hear it finds it at its next look, `LOOK_INTERVAL` later. A client that
enters is compared with the record in Redis, and then with what the node has read of the log: a
ruling may be made while the client enters.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Final

from collab.access.grant import Grant
from collab.access.holders import Holder, Holders
from collab.access.making import RulingMaker
from collab.access.ruling import EVERYWHERE, FIELDS, TOKEN, Ruling
from collab.config import Config
from collab.errors import StoreUnavailable
from collab.rooms.identity import Role
from collab.store.keys import RULINGS_CHANNEL
from collab.store.questions import Questions
from collab.store.records import ZERO
from collab.store.rulings import (
    MAX_READ,
    NEW_RULING,
    FoundToken,
    RulingLog,
    TokensQuestion,
    pack_tokens,
)
from collab.store.store import Store
from collab.store.subscriber import Subscriber

log = logging.getLogger(__name__)

LOOK_INTERVAL: Final = 0.25
"""Seconds between two looks at the log; a look is one command for all clients of the node."""
MAX_BEHIND: Final = 2.0
"""Seconds after the last look at which nobody new is let in: a node that was cut off first applies
what it has missed to those who were here."""
MAX_REMEMBERED: Final = 10_000
"""Rulings that a node remembers; only those that are made while a client enters are needed."""
READ_TOGETHER: Final = 100
"""Clients whose records are read in one round trip."""


class Rulings:
    """The rulings that concern this node's clients, its ``holders``. Before `open` there are none.

    If the service is ``open_to_all``, a client is its connection, and there is no record to read.
    """

    def __init__(self, config: Config, *, open_to_all: bool) -> None:
        self._open_to_all = open_to_all
        self._ttl = config.revocation_ttl
        self._maker: RulingMaker | None = None
        self._max_unchecked = config.max_unchecked
        self.holders = Holders()
        self._remembered: dict[tuple[str, str], Ruling] = {}  # oldest first
        self._last = ZERO
        self._looked = 0.0
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._log: RulingLog | None = None

    async def open(self, store: Store, subscriber: Subscriber, questions: Questions) -> None:
        """Begin to follow the log. Raises StoreUnavailable."""
        self._store, self._subscriber = store, subscriber
        self._log = RulingLog(store)
        self._maker = RulingMaker(self._log, questions, self._ttl, self._open_to_all)
        await subscriber.subscribe(RULINGS_CHANNEL, self._handle_message)
        subscriber.on_reconnect.append(lambda channels: self._wake.set())
        self._clock = asyncio.get_running_loop().time
        self._looked = self._clock()
        self._last = await self._log.newest()
        self._start(self._follow(self._log))

    async def close(self) -> None:
        """Stop following the log."""
        await self._subscriber.unsubscribe(RULINGS_CHANNEL, self._handle_message)
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Clients that enter

    async def check(self, grant: Grant) -> None:
        """Check that the token of a grant is not revoked. Raises Unauthorized or StoreUnavailable.

        The check is good until the caller awaits something else.
        """
        if grant.digest:
            if self._log is not None and self._clock() - self._looked > MAX_BEHIND:
                raise StoreUnavailable("this node has not read the latest rulings yet")
            await self._read(grant, grant.subject, EVERYWHERE)
        self.check_known(grant)

    def check_known(self, grant: Grant) -> None:
        """Check as `check` does, with the rulings that this node knows by now."""
        ruling = self._remembered.get((grant.subject, EVERYWHERE))
        if ruling is not None and ruling.covers(grant):
            raise ruling.problem()

    async def read_role(self, grant: Grant, room: str, role: Role) -> Role:
        """Return the role in a room of a client whose token gives it ``role``.

        Raises what `role_in` raises, and StoreUnavailable.
        """
        if grant.digest:
            await self._read(grant, grant.subject, room)
        return self.role_in(grant, room, role)

    def role_in(self, grant: Grant, room: str, role: Role) -> Role:
        """Return the role as `read_role` does, with the rulings that this node knows by now.

        Raises Removed or Unauthorized.
        """
        for where in (EVERYWHERE, room):
            if ruling := self._remembered.get((grant.subject, where)):
                role = ruling.role_of(grant, role)
        return role

    async def _read(self, grant: Grant, subject: str, room: str) -> Ruling | None:
        """Read and remember the ruling about a subject in a room, as far as it is about a grant."""
        if self._log is None:
            return None
        found = await self._log.read(subject, room, (*FIELDS, TOKEN + grant.digest))
        ruling = Ruling.of_record(subject, room, grant.digest, found)
        return self._remember(ruling) if ruling is not None else None

    def _remember(self, ruling: Ruling) -> Ruling:
        """Remember a ruling; return the one that counts now in its place."""
        place = ruling.subject, ruling.room
        ruling = ruling.after(self._remembered.pop(place, None))
        self._remembered[place] = ruling
        if len(self._remembered) > MAX_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        return ruling

    # Making rulings

    async def rule(self, id: str, room: str, role: Role | None) -> tuple[str, int]:
        """Make a ruling (see `RulingMaker.rule`)."""
        assert self._maker is not None
        return await self._maker.rule(id, room, role)

    async def _amend(self, ruling: Ruling, found: list[FoundToken]) -> None:
        """Make a ruling about tokens too that its maker could not ask this node for.

        Nothing is done if there is a later ruling by now.
        """
        assert self._maker is not None
        place = ruling.subject, ruling.room
        while (known := self._remembered.get(place)) is None or known.id <= ruling.id:
            try:
                await self._maker.add(ruling, found)
                return
            except StoreUnavailable:
                await asyncio.sleep(LOOK_INTERVAL)

    # Messages of other nodes

    def _handle_message(self, message: bytes) -> None:
        if message == NEW_RULING:
            self._wake.set()
            return
        try:
            question = TokensQuestion.parse(message)
        except ValueError:
            log.warning("unknown words on the channel for rulings")
            return
        found = self.holders.find_member(question.id) if question.or_member else []
        packed = pack_tokens(found or self.holders.find_subject(question.id))
        self._start(self._reply(*question.reply_to.pack_answer(packed)))

    async def _reply(self, channel: str, answer: bytes) -> None:
        with contextlib.suppress(StoreUnavailable):  # the asking node waits for a while
            await self._store.publish(channel, answer)

    # Following the log

    async def _follow(self, rulings: RulingLog) -> None:
        while True:
            self._wake.clear()
            now = self._clock()
            try:
                await self._look(rulings)
                self._looked = now
            except StoreUnavailable:
                if self._clock() - self._looked > self._max_unchecked:
                    self._let_all_go()
            except Exception:  # an error in one ruling must not hide those that follow
                log.exception("the rulings could not be followed")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_INTERVAL):
                    await self._wake.wait()

    async def _look(self, rulings: RulingLog) -> None:
        entries = await rulings.since(self._last)
        if entries is None:
            newest = await rulings.newest()
            await self._read_all()
            self._last = newest
            return
        for id, packed in entries:
            self._last = id
            try:
                ruling = Ruling.parse(id, packed)
            except ValueError:
                log.warning("an entry in the log of rulings can't be read")
            else:
                self._hear(ruling)
        if len(entries) == MAX_READ:
            self._wake.set()

    def _hear(self, ruling: Ruling) -> None:
        ruling = self._remember(ruling)
        holders = self.holders.of(ruling.subject)
        unnamed = {
            each.grant.digest
            for each in holders
            if ruling.covers(each.grant) and not ruling.names(each.grant)
        }
        if unnamed:
            found = self.holders.find_subject(ruling.subject)
            found = [each for each in found if each.digest in unnamed]
            self._remember(replace(ruling, tokens=ruling.tokens | unnamed))
            self._start(self._amend(ruling, found))
        for holder in holders:
            self._apply(ruling, holder)
        if ruling.room != EVERYWHERE:
            for member in self.holders.find_member(ruling.subject):
                self._hear_of_member(ruling, member)

    def _hear_of_member(self, ruling: Ruling, member: FoundToken) -> None:
        """Handle a ruling about a member's id: the node that made it did not know the subject."""
        if member.subject != ruling.subject:
            found = [member, *self.holders.find_subject(member.subject)]
            about = Ruling.about_known(
                member.subject, ruling.room, ruling.role, frozenset(), ruling.made
            )
            self._start(self._amend(replace(about, id=ruling.id), found))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _apply(self, ruling: Ruling, holder: Holder) -> None:
        if not ruling.covers(holder.grant):
            return
        if ruling.room == EVERYWHERE:
            holder.let_go(ruling.problem(), may_return=False)
        elif ruling.role is None:
            holder.remove(ruling.room, ruling.problem())
        else:
            holder.set_role(ruling.room, ruling.role)

    async def _read_all(self) -> None:
        """Apply the records in Redis to all clients: parts of the log were missed."""
        holders = list(self.holders)
        for start in range(0, len(holders), READ_TOGETHER):
            some = holders[start : start + READ_TOGETHER]
            await asyncio.gather(*(self._read_of(holder) for holder in some))

    async def _read_of(self, holder: Holder) -> None:
        grant = holder.grant
        for subject in dict.fromkeys((grant.subject, holder.id)):
            for room in (EVERYWHERE, *holder.rooms):
                if ruling := await self._read(grant, subject, room):
                    self._hear(ruling)

    def _let_all_go(self) -> None:
        """Let all clients with tokens go: nobody can tell whether they may still be here."""
        leaving = [each for each in self.holders if each.grant.digest]
        if leaving:
            seconds = round(self._max_unchecked)
            log.error("clients are let go, because rulings can't be read", extra={"s": seconds})
        problem = StoreUnavailable("this node can't tell whether your token is still valid")
        for holder in leaving:
            holder.let_go(problem, may_return=True)
