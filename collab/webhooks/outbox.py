"""The events in Redis that wait to be delivered, and the dead-letter list.

A stream with a consumer group has the events that are to be sent now; what one node has taken and
not settled, another takes over. All methods raise StoreUnavailable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from collab.store.keys import WEBHOOK_KEYS
from collab.store.scripts import Script
from collab.store.store import Store
from collab.webhooks import scripts

KEPT: Final = 7 * 86_400_000
"""Milliseconds that everything is kept while no node with webhooks runs."""
SILENT: Final = 3_600_000
"""Milliseconds after which a node that has taken nothing is removed from the consumer group."""
DEAD, DIED = WEBHOOK_KEYS[8], WEBHOOK_KEYS[9]
"""The keys of the dead-letter list: the letters by id, and when each got there."""


@dataclass(frozen=True, slots=True)
class Taken:
    """An event that this node has taken: its entry in the stream, its id, and what to send."""

    entry: str
    id: str
    attempt: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many events wait, the oldest for how many seconds, and how many are dead letters."""

    waiting: int
    age: float
    dead: int


@dataclass(frozen=True, slots=True)
class Letter:
    """An event that could not be delivered, why the last attempt failed, and when that was."""

    id: str
    died: int
    reason: str
    body: bytes


class Outbox:
    """The events that wait. ``consumer`` names this node and no other."""

    def __init__(self, store: Store, consumer: str) -> None:
        self._store = store
        self._consumer = consumer

    async def _run(self, script: Script, *arguments: str | bytes | int) -> Any:
        return await self._store.run_on(script, WEBHOOK_KEYS, *arguments)

    async def take(self, count: int, min_idle: int) -> tuple[Backlog, list[Taken]]:
        """Take at most ``count`` events, which another node takes over after ``min_idle`` ms."""
        waiting, age, dead, *found = await self._run(scripts.TAKE, self._consumer, count, min_idle)
        taken = [
            Taken(entry.decode(), id.decode(), int(attempt), body)
            for entry, id, attempt, body in zip(*(iter(found),) * 4, strict=True)
        ]
        return Backlog(waiting, age / 1000, dead), taken

    async def delivered(self, taken: Taken) -> None:
        """Remove an event that has arrived."""
        await self._run(scripts.SETTLE, taken.entry, taken.id, "delivered")

    async def retry(self, taken: Taken, attempt: int, wait: float) -> None:
        """Let some node try again, after some seconds."""
        await self._run(scripts.SETTLE, taken.entry, taken.id, "retry", attempt, round(wait * 1000))

    async def bury(self, taken: Taken, reason: str, max_dead: int, max_bytes: int) -> int:
        """Move an event to the dead-letter list; return how many that list had to drop."""
        dropped: int = await self._run(
            scripts.SETTLE, taken.entry, taken.id, "dead", reason, 0, max_dead, max_bytes
        )
        return max(dropped, 0)

    async def tidy(self, *, leaving: bool = False) -> None:
        """Let everything be kept, and remove nodes that are gone; ``leaving``: this one too."""
        await self._run(scripts.TIDY, KEPT, SILENT, self._consumer if leaving else "")

    async def letters(self) -> list[Letter]:
        """Return the dead-letter list, the oldest first."""
        listed = await self._store.call("ZRANGE", DIED, 0, -1, "WITHSCORES")
        letters = []
        for id, died in zip(listed[::2], listed[1::2], strict=True):
            letter = await self._store.call("HGET", DEAD, id)
            if letter is not None:  # it was replayed meanwhile
                reason, _, body = letter.partition(b"\n")
                letters.append(Letter(id.decode(), int(died), reason.decode(), body))
        return letters

    async def replay(self, ids: Sequence[str]) -> int:
        """Let dead letters be delivered again; return how many of them there were."""
        return int(await self._run(scripts.REPLAY, *ids))
