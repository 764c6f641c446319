"""Rooms in Redis, for callers that do not hold them: read one room, list all, end one."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from collab.names import ROOM_CHARACTERS
from collab.store import scripts
from collab.store.channel import RoomEnded
from collab.store.damage import damage
from collab.store.keys import room_channel, room_keys
from collab.store.records import BadRecord, entry_id
from collab.store.store import Store

MAX_SCANS = 20
"""SCANs for one page of the list. In a Redis with many other keys a page may be short, but no page
takes long."""
KEYS_OF_A_ROOM = 3
"""Keys that a SCAN has to pass to find one room."""
MAX_MASTERS = 1024
"""Masters of a Redis Cluster between which the list's cursor can tell, more than one may have."""
LISTED_TOGETHER = 64
"""Rooms whose figures are read in one round trip: a page of a thousand at once would keep the event
loop busy for 30 ms, in which nobody's edit is handled."""
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
        with self._store.damage.watch(room):
            code, tail, snapshot_at, ttl = await self._store.run(scripts.STATUS, room)
            if code is None and not tail:
                return None
            text = _text(code) if tail == snapshot_at else None
            if text is None and not tail:
                raise BadRecord("code_{room} is not UTF-8")
            return RoomStatus(text, _changed(tail), _expires(ttl))

    async def end(self, room: str, ttl: float, *, force: bool = False) -> bool:
        """End a room that lives for at most ``ttl`` seconds; return whether Redis had the room.

        If Redis did not have it, nothing is done unless ``force`` (see end.lua).
        """
        life = self._store.life
        if life is not None:
            await life.before_end(room)
        ended = await self._store.run(
            scripts.END, room, room_channel(room), RoomEnded().pack(), secrets.token_hex(8),
            round(ttl * 1000), round(DOUBT_SECONDS * 1000), MAX_ENDS, int(force),
        )  # fmt: skip
        if (ended or force) and life is not None:
            await life.after_end(room)
        return bool(ended)

    async def page(self, cursor: int, limit: int) -> tuple[list[ListedRoom], int]:
        """Return about ``limit`` rooms from ``cursor`` on, and the next cursor, 0 at the end.

        The list has the guarantee of SCAN: a room that exists all the time is listed at least once,
        and may be listed twice, on different pages. In a cluster the masters are listed one after
        the other; a room that a fail-over or a new division of the slots moves may be left out.
        """
        places = self._store.places()
        divisor = MAX_MASTERS if len(places) > 1 else 1
        cursor, at = divmod(cursor, divisor)
        names: dict[str, None] = {}
        for _ in range(MAX_SCANS):
            if at >= len(places) or len(names) >= limit:
                break
            count = KEYS_OF_A_ROOM * (limit - len(names))
            answer = await self._store.call_at(
                places[at], "SCAN", cursor, "MATCH", "code_*", "COUNT", count, "TYPE", "string"
            )
            cursor = int(answer[0])
            found = (key.decode("utf-8", "replace").removeprefix("code_") for key in answer[1])
            names.update((name, None) for name in found if ROOM_CHARACTERS.fullmatch(name))
            if not cursor:
                at += 1
        found_names = list(names)
        listed: list[ListedRoom] = []
        for start in range(0, len(found_names), LISTED_TOGETHER):
            listed += await self._lines(found_names[start : start + LISTED_TOGETHER])
        return listed, cursor * divisor + at if at < len(places) else 0

    async def _lines(self, rooms: Sequence[str]) -> list[ListedRoom]:
        """Return the lines of those rooms that Redis still has."""
        keys = [room_keys(room) for room in rooms]
        answers = await asyncio.gather(
            *(self._store.call("HGET", head, "tail") for _, _, head in keys),
            *(self._store.call("PTTL", code) for code, _, _ in keys),
            return_exceptions=True,  # a damaged room does not keep the others off the list
        )
        for answer in answers:
            if isinstance(answer, BaseException) and _is_of_the_server(answer):
                raise answer
        found = zip(rooms, answers[: len(rooms)], answers[len(rooms) :], strict=True)
        return [
            ListedRoom(room, _listed_change(tail), _expires(ttl))
            for room, tail, ttl in found
            if isinstance(ttl, int) and ttl != NO_KEY
        ]


def _listed_change(tail: Any) -> int | None:
    """Return what `_changed` does; None also if the tail is damaged."""
    try:
        return None if isinstance(tail, BaseException) else _changed(tail)
    except BadRecord:
        return None


def _is_of_the_server(problem: BaseException) -> bool:
    return damage(problem.__cause__) is None


def _text(code: bytes | None) -> str | None:
    """Return a snapshot as text; None if it is missing, or no text."""
    try:
        return None if code is None else code.decode()
    except UnicodeDecodeError:
        return None


def _changed(tail: Any) -> int | None:
    return entry_id(tail)[0] if tail else None


def _expires(ttl: int) -> float | None:
    return ttl / 1000 if ttl >= 0 else None
