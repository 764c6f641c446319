"""The rooms in Redis that webhooks know, and what was last seen of each.

All methods raise StoreUnavailable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from collab.store import scripts as room_scripts
from collab.store.keys import WEBHOOK_KEYS
from collab.store.scripts import Script
from collab.store.store import Store
from collab.webhooks import scripts
from collab.webhooks.life import Sighting, State

NOTED_DELAY: Final = 500
"""Milliseconds from the intent to begin a journal to the look whether it is there."""
LEASE: Final = 15_000
"""Milliseconds for which a node has a room to look at; another one has it after a death."""
HOLD: Final = 2_000
"""Milliseconds until a room whose event has no place in the queue is looked at again."""
NO_EXPIRY: Final = -1
"""What PTTL returns for a key that does not expire: somebody else has changed the journal's."""
FOREVER: Final = 10 * 365 * 86_400_000
"""Milliseconds for which such a room counts as living."""
ATTENDED_TOGETHER: Final = 256
"""Rooms with members that one command records: Redis needs 0.3 ms for it."""
FINALS: Final = WEBHOOK_KEYS[3]
"""The key of the texts that are kept for the ends of rooms."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A room that this node is to look at, ``now`` by Redis' clock, and its state as Redis has it.

    ``attended`` is the time until which nodes have said that it has members.
    """

    room: str
    packed: str
    attended: int
    now: int

    @property
    def state(self) -> State | None:
        """The state. Raises ValueError."""
        return State.parse(self.packed)


class Registry:
    """Rooms and their states. ``max_events`` and ``max_bytes`` bound what may wait in Redis."""

    def __init__(self, store: Store, idle: int, max_events: int, max_bytes: int) -> None:
        self._store = store
        self._idle = idle
        self._max_events = max_events
        self._max_bytes = max_bytes

    async def _run(self, script: Script, *arguments: str | bytes | int) -> Any:
        return await self._store.run_on(script, WEBHOOK_KEYS, *arguments)

    async def note(self, room: str) -> bool:
        """Note that a journal is about to begin; False if the room was announced before."""
        return not await self._run(scripts.NOTE, room, NOTED_DELAY)

    async def attend(self, rooms: Sequence[str], milliseconds: int) -> None:
        """Record that rooms have members, from now on for some time."""
        for first in range(0, len(rooms), ATTENDED_TOGETHER):
            some = rooms[first : first + ATTENDED_TOGETHER]
            await self._run(scripts.ATTEND, milliseconds, *some)

    async def claim(self, limit: int) -> tuple[bool, list[Claimed]]:
        """Claim at most ``limit`` rooms that are due; none if the queue of events is full.

        Returns whether it is.
        """
        return await self._claim(limit, "")

    async def claim_one(self, room: str) -> Claimed:
        """Claim a room that somebody else may look at too."""
        return (await self._claim(1, room))[1][0]

    async def _claim(self, limit: int, room: str) -> tuple[bool, list[Claimed]]:
        now, full, *found = await self._run(
            scripts.CLAIM, limit, LEASE, self._idle, room, self._max_events, self._max_bytes
        )
        return bool(full), [
            Claimed(found[i].decode(), found[i + 1].decode(), int(found[i + 2]), now)
            for i in range(0, len(found), 3)
        ]

    async def sight(self, claimed: Claimed) -> Sighting:
        """Return what Redis has of a claimed room."""
        epoch, tail, ttl, ended = await self._store.run(room_scripts.LIFE, claimed.room)
        left = FOREVER if ttl == NO_EXPIRY else max(ttl, 0)
        return Sighting(
            claimed.now, epoch.decode(), tail.decode(), claimed.now + left, ended.decode()
        )

    async def emit(
        self,
        claimed: Claimed,
        state: State | None,
        look_at: int,
        events: Sequence[tuple[str, bytes, bytes]],
        *,
        drop: bool,
    ) -> str:
        """Set a room's state and append events, each an id and the two parts of its body.

        Returns emit.lua's word: ``ok``, ``changed`` or ``full``.
        """
        word: bytes = await self._run(
            scripts.EMIT, claimed.room, claimed.packed, state.pack() if state else "", look_at,
            int(drop), self._max_events, self._max_bytes, HOLD,
            *(part for event in events for part in event),
        )  # fmt: skip
        return word.decode()

    async def keep(self, room: str, text: bytes) -> bool:
        """Keep a packed text for the event of a room's end; False if there is no place for it."""
        return bool(await self._run(scripts.KEEP, room, text, self._max_bytes))

    async def kept(self, room: str) -> bytes | None:
        """Return what was kept for the event of a room's end."""
        found: bytes | None = await self._store.call("HGET", FINALS, room)
        return found
