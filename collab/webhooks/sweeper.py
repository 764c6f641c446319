"""Looks at rooms whose time has come, and makes the events by which they have changed."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from collab.config import Config
from collab.errors import StoreUnavailable
from collab.metrics import Metrics
from collab.rooms import census
from collab.rooms.history import add_up_steps
from collab.rooms.slices import in_slices
from collab.store.keys import room_keys
from collab.store.questions import Questions
from collab.store.records import AUTHOR, ZERO, entry_text
from collab.store.store import Store
from collab.webhooks.life import Decision, Happened, Kind, Sighting, Timing, decide
from collab.webhooks.messages import Writing, body, links, people
from collab.webhooks.registry import Claimed, Registry

log = logging.getLogger(__name__)

SWEEP_INTERVAL: Final = 0.5
"""Seconds between two questions for rooms that are due, which is one command if there are none."""
SWEPT_TOGETHER: Final = 16
"""Rooms that a node looks at together; each may read a journal of some megabytes."""
TELL_INTERVAL: Final = 60.0
"""Seconds between two lines in the log that say that too many events wait."""
LEAD_PART: Final = 2
"""The part of a room's lifetime that the lead is at most: half of it."""


class Sweeper:
    """Looks at rooms; ``on_event`` is called when an event was made here."""

    def __init__(
        self, config: Config, store: Store, registry: Registry, questions: Questions,
        metrics: Metrics,
    ) -> None:  # fmt: skip
        lead = min(config.webhook_lead, config.room_ttl / LEAD_PART)
        self._timing = Timing(round(config.webhook_idle * 1000), round(lead * 1000))
        self._public_url = config.public_url
        self._max_bytes = config.webhook_max_bytes
        self._store = store
        self._registry = registry
        self._questions = questions
        self._metrics = metrics
        self._told_full_at = float("-inf")
        self.made = asyncio.Event()
        """Set when this node has made an event: somebody should deliver it."""

    async def run(self) -> None:
        """Look at rooms that are due, again and again."""
        while True:
            claimed: list[Claimed] = []
            with suppress(StoreUnavailable):  # it is counted where the connection is
                full, claimed = await self._registry.claim(SWEPT_TOGETHER)
                if full:
                    self._tell_full()
            await asyncio.gather(*(self._safely(each.room, self.look(each)) for each in claimed))
            if len(claimed) < SWEPT_TOGETHER:
                await asyncio.sleep(SWEEP_INTERVAL)

    def _tell_full(self) -> None:
        """Count that rooms have to wait with their events, and log it now and then."""
        self._metrics.webhook_held_back.inc()
        now = asyncio.get_running_loop().time()
        if now >= self._told_full_at + TELL_INTERVAL:
            self._told_full_at = now
            log.error("too many webhooks wait: the events of rooms are held back")

    async def look_now(self, room: str) -> None:
        """Look at one room, whether it is due or not."""

        async def look() -> None:
            await self.look(await self._registry.claim_one(room))

        await self._safely(room, look())

    async def keep_now(self, room: str) -> None:
        """Keep a room's text, and let it be looked at soon, even if this node dies."""

        async def keep() -> None:
            await self.keep_text(room)
            await self._registry.claim_one(room)

        await self._safely(room, keep())

    async def _safely(self, room: str, work: Coroutine[Any, Any, None]) -> None:
        """Do work for a room. If it fails, the room is due again when its lease is over."""
        try:
            await work
        except StoreUnavailable as problem:
            about = {"room": room, "reason": str(problem)}
            log.warning("webhooks could not look at a room", extra=about)
        except Exception:  # an error in one room must not keep the others from being looked at
            log.exception("webhooks failed to look at a room", extra={"room": room})

    async def look(self, claimed: Claimed) -> None:
        """Make the events by which a room has changed. Raises StoreUnavailable."""
        room, state = claimed.room, claimed.state
        seen = await self._registry.sight(claimed)
        decision = decide(state, seen, claimed.attended, self._timing)
        if decision is None:
            members = len(await census.query(self._questions, room))
            decision = decide(state, seen, claimed.attended, self._timing, members)
        assert decision is not None, "the number of members was the only open question"
        if decision.keeps_text and not await self.keep_text(room):
            return  # it is due again when the lease is over
        await self._emit(claimed, seen, decision)

    async def _emit(self, claimed: Claimed, seen: Sighting, decision: Decision) -> None:
        room, now = claimed.room, seen.now
        events, new_state = [], decision.state
        for happened in decision.events:
            writing = await self._writing_for(happened, room)
            if happened.kind is Kind.EXPIRING:
                if writing is None:
                    return  # it has gone at this moment: the next look finds that
                if new_state is not None:
                    new_state = replace(new_state, sent=writing.tail)
            id = "msg_" + secrets.token_hex(16)
            addresses = links(self._public_url, room)
            parts = body(happened, room, now, seen.deadline, writing, addresses)
            if sum(map(len, parts)) > self._max_bytes:  # no queue would have a place for it
                parts = body(happened, room, now, seen.deadline, None, addresses)
            events.append((id, *parts))
        word = await self._registry.emit(
            claimed, new_state, decision.look_at, events, drop=decision.drops_text
        )
        if word == "full":
            self._tell_full()
        elif word == "ok" and events:
            for happened in decision.events:
                self._metrics.webhook_events.labels(happened.kind).inc()
            self.made.set()

    async def _writing_for(self, happened: Happened, room: str) -> Writing | None:
        """Return the text that an event tells, if it does: that of the life it is about."""
        if happened.kind is Kind.EXPIRING:
            writing = await self._read(room)
        elif happened.kind is Kind.ENDED and (kept := await self._registry.kept(room)):
            writing = Writing.parse(kept)
        else:
            return None
        return writing if writing and writing.epoch == happened.epoch else None

    async def keep_text(self, room: str) -> bool:
        """Keep a room's text for the event of its end; False if it has none.

        Raises StoreUnavailable.
        """
        writing = await self._read(room)
        if writing is None:
            return False
        if not await self._registry.keep(room, writing.pack()):
            log.error("too many webhooks wait: the end of a room will be told without its text",
                extra={"room": room})  # fmt: skip
        return True

    async def _read(self, room: str) -> Writing | None:
        """Return a room's text, and who wrote it, from its journal."""
        reading = await self._store.read(room, None, ZERO)
        if reading.epoch is None:
            return None
        head = room_keys(room)[2]
        earlier = [
            field.decode().removeprefix(AUTHOR)
            for field in await self._store.call("HKEYS", head)
            if field.startswith(AUTHOR.encode())
        ]
        replica = await in_slices(add_up_steps(room, reading.base, reading.entries))
        authors = people([*earlier, *(entry.author for entry in reading.entries)])
        return Writing(reading.epoch, entry_text(reading.tail), replica.text, authors)
