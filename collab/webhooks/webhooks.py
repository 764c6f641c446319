"""The webhooks of a node: its parts together, and what the rooms tell them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, Final

from collab.config import Config
from collab.errors import StoreUnavailable
from collab.metrics import Metrics
from collab.store.questions import Questions
from collab.store.store import Store
from collab.webhooks.delivery import Delivery
from collab.webhooks.outbox import Outbox
from collab.webhooks.registry import Registry
from collab.webhooks.sweeper import Sweeper

log = logging.getLogger(__name__)

ATTEND_PART: Final = 3
"""How often in the time after which a room is idle a node says that it has members."""
MAX_ATTEND_INTERVAL: Final = 20.0
"""Seconds between that at most: after Redis was emptied, a room is known again so soon."""
MAX_LATE: Final = 10_000
"""Rooms that a node remembers because Redis could not note them before they began."""
TIDY_INTERVAL: Final = 60.0
"""Seconds between two times at which the keys are prolonged."""
RESTART_PAUSE: Final = 1.0
"""Seconds until a part that has failed unexpectedly begins anew."""


class Webhooks:
    """Makes and delivers the events of rooms, together with the other nodes.

    ``store`` is for the webhooks alone, so that no large text delays a commit. ``attended`` returns
    the rooms that have a text, and members on this node. The `Store` of the rooms calls
    `before_start` and `before_end`.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        questions: Questions,
        metrics: Metrics,
        attended: Callable[[], Iterable[str]],
    ) -> None:
        self._registry = Registry(
            store, round(config.webhook_idle * 1000), config.webhook_max_events,
            config.webhook_max_bytes,
        )  # fmt: skip
        self._outbox = Outbox(store, store.writer)
        self._sweeper = Sweeper(config, store, self._registry, questions, metrics)
        self._delivery = Delivery(config, self._outbox, self._sweeper.made, metrics)
        self._attended = attended
        self._attend_interval = min(config.webhook_idle / ATTEND_PART, MAX_ATTEND_INTERVAL)
        self._late: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []

    def open(self) -> None:
        """Begin to look at rooms and to deliver events."""
        parts = (self._sweeper.run, self._delivery.run, self._attend, self._tidy)
        self._tasks = [asyncio.create_task(self._keep_running(part)) for part in parts]

    async def close(self) -> None:
        """Stop; other nodes go on with what is not delivered."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(StoreUnavailable):  # otherwise other nodes remove this one an hour later
            await self._outbox.tidy(leaving=True)

    async def before_start(self, room: str) -> None:
        """Note that a room's journal is about to begin, so that it is announced.

        If the room is known, it was lost, or is a later room of that name: then the end of the
        earlier one is told first. If that fails, it keeps nobody from working: this node notes the
        room later.
        """
        try:
            if not await self._registry.note(room):
                await self._sweeper.look_now(room)
                await self._registry.note(room)
        except StoreUnavailable as problem:
            about = {"room": room, "reason": str(problem)}
            log.warning("a room is not known to webhooks yet", extra=about)
            if len(self._late) < MAX_LATE:
                self._late.add(room)

    async def before_end(self, room: str) -> None:
        """Keep the text of a room that somebody is about to end, for the event of its end.

        If the room is not ended then, the next text that is kept or sent replaces this one.
        """
        await self._sweeper.look_now(room)
        await self._sweeper.keep_now(room)

    async def after_end(self, room: str) -> None:
        """Tell at once that a room was ended; if this node dies before, another one does."""
        await self._sweeper.look_now(room)

    async def _attend(self) -> None:
        """Say again and again which rooms have members here, and note those that are late."""
        while True:
            await asyncio.sleep(self._attend_interval)
            with suppress(StoreUnavailable):
                for room in list(self._late):
                    await self._registry.note(room)
                    self._late.discard(room)
                until = round(2 * self._attend_interval * 1000)
                await self._registry.attend(list(self._attended()), until)

    async def _tidy(self) -> None:
        while True:
            with suppress(StoreUnavailable):
                await self._outbox.tidy()
            await asyncio.sleep(TIDY_INTERVAL)

    async def _keep_running(self, part: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a part; an unexpected error is logged, and the part begins anew."""
        while True:
            try:
                await part()
            except Exception:
                log.exception("a part of the webhooks failed")
                await asyncio.sleep(RESTART_PAUSE)
