"""Rooms in Redis, for callers that do not hold them: read one room, list all, end one."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import Any

from collab.names import ROOM_CHARACTERS
from collab.store import scripts
from collab.store.channel import RoomEnded
from collab.store.keys import room_channel, room_keys
from collab.store.records import entry_id
from collab.store.store import Store

MAX_SCANS = 20
"""SCANs for one page of the list. In a Redis with many other keys a page may be short, but no page
takes long."""
MAX_ENDS = 100
"""Ends of one room that Redis keeps. A node remembers the ends that it found when it loaded the
room; if it later finds another one, the room was ended."""
NO_KEY = -2
"""What PTTL returns for a key that does not exist."""
DOUBT_SECONDS = 60.0
"""Seconds that Redis keeps an end after the room would have expired."""


@dataclass(frozen=True, slots=True)
class RoomStatus:
    """A room in Redis.

    ``code`` is its text; None if the snapshot is outdated and only the journal has the text.
    ``changed`` is the time of the last change, in milliseconds since 1970; None for a text that
    another service wrote. ``expires_in`` is in seconds; None if the room does not expire.
    """

    code: str | None
    changed: int | None
    expires_in: float | None


@dataclass(frozen=True, slots=True)
class ListedRoom:
    """One line of the list of rooms."""

    room: str
    changed: int | None
    expires_in: float | None


class Directory:
    """Finds, lists and ends rooms. All methods raise StoreUnavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def status(self, room: str) -> RoomStatus | None:
        """Return a room's status, None if Redis has no such room (see status.lua)."""
        code, tail, snapshot_at, ttl = await self._store.run(scripts.STATUS, room)
        if code is None and not tail:
            return None
        text = None if code is None else code.decode("utf-8", errors="replace")
        return RoomStatus(text if tail == snapshot_at else None, _changed(tail), _expires(ttl))

    async def end(self, room: str, ttl: float, *, force: bool = False) -> bool:
        """End a room that lives for at most ``ttl`` seconds; return whether Redis had the room.

        If Redis did not have it, nothing is done unless ``force`` (see end.lua).
        """
        ended = await self._store.run(
            scripts.END, room, room_channel(room), RoomEnded().pack(), secrets.token_hex(8),
            round(ttl * 1000), round(DOUBT_SECONDS * 1000), MAX_ENDS, int(force),
        )  # fmt: skip
        return bool(ended)

    async def page(self, cursor: int, limit: int) -> tuple[list[ListedRoom], int]:
        """Return about ``limit`` rooms from ``cursor`` on, and the next cursor, 0 at the end.

        The list has the guarantee of SCAN: a room that exists all the time is listed at least once,
        and may be listed twice, on different pages.
        """
        names: dict[str, None] = {}
        for _ in range(MAX_SCANS):
            answer = await self._store.call(
                "SCAN", cursor, "MATCH", "code_*", "COUNT", limit - len(names), "TYPE", "string"
            )
            cursor = int(answer[0])
            found = (key.decode("utf-8", "replace").removeprefix("code_") for key in answer[1])
            names.update((name, None) for name in found if ROOM_CHARACTERS.fullmatch(name))
            if not cursor or len(names) >= limit:
                break
        listed = await asyncio.gather(*(self._listed(name) for name in names))
        return [line for line in listed if line is not None], cursor

    async def _listed(self, room: str) -> ListedRoom | None:
        code, _, head = room_keys(room)
        tail, ttl = await asyncio.gather(
            self._store.call("HGET", head, "tail"), self._store.call("PTTL", code)
        )
        return ListedRoom(room, _changed(tail), _expires(ttl)) if ttl != NO_KEY else None


def _changed(tail: Any) -> int | None:
    return entry_id(tail)[0] if tail else None


def _expires(ttl: int) -> float | None:
    return ttl / 1000 if ttl >= 0 else None
