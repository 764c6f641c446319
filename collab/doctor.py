"""``collab doctor``: checks what Redis has of rooms, and mends it if asked to (docs/doctor.md).

It never prints a text. It works beside running nodes: a node that holds a damaged room writes it
anew by itself, from the whole document that it has, and the doctor lets it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import secrets
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, Final

from collab.config import Config
from collab.errors import BadRoom, ConfigError, StoreUnavailable
from collab.metrics import Metrics
from collab.names import ROOM_CHARACTERS, check_room
from collab.rooms.examination import (
    MENDS,
    Examination,
    Finding,
    Mend,
    examine,
    is_there,
    life,
)
from collab.rooms.yjs_members import limits
from collab.store.channel import RoomDamaged
from collab.store.keys import room_channel
from collab.store.mending import CODE, ENDS, EXPIRY, JOURNAL, Contents, Mending, NewRoom
from collab.store.store import OVERSIZE, Store

EXIT_HEALTHY, EXIT_FINDINGS, EXIT_CANNOT_CHECK = 0, 1, 2
"""All rooms are healthy; there are findings; the rooms could not be checked."""
HELD_PATIENCE: Final = 12.0
"""Seconds in which a node that holds a room, and is told that it is damaged, writes it anew: its
attempts are up to five seconds apart."""
HELD_INTERVAL: Final = 0.5
"""Seconds between two inspections meanwhile."""
MAX_TRIES: Final = 5
"""Times that a mend is tried while the room changes each time."""
SCAN_COUNT: Final = 500
"""Keys that one SCAN passes."""
KEYS: Final = re.compile(r"code_(.+)|journal(?:-head|-ended)?:\{code_(.+)\}")
"""The keys of rooms, with the room's name."""


@dataclass(slots=True)
class Report:
    """What was found in one room, and what was done."""

    room: str
    exists: bool
    findings: list[Finding]
    figures: Mapping[str, Any] = field(default_factory=dict)
    mended: bool = False
    left: list[Finding] = field(default_factory=list)
    """The findings after the mend; the same as before without one."""

    def lines(self) -> list[str]:
        """Return the report for people."""
        if not self.exists:
            return [f"{self.room}: Redis has no such room", *map(_line, self.findings)]
        figures = ", ".join(f"{name} {value}" for name, value in self.figures.items())
        verdict = "healthy" if not self.findings else f"{len(self.findings)} findings"
        lines = [f"{self.room}: {verdict} ({figures})", *map(_line, self.findings)]
        if self.mended:
            after = f"mended; {len(self.left)} findings left" if self.left else "mended"
            lines.append(f"  {after}")
        return lines

    def as_json(self) -> dict[str, Any]:
        """Return the report for programs."""
        return {
            "room": self.room,
            "exists": self.exists,
            "healthy": not self.left,
            "mended": self.mended,
            "figures": dict(self.figures),
            "findings": [finding._asdict() for finding in self.findings],
            "left": [finding._asdict() for finding in self.left],
        }


def _line(finding: Finding) -> str:
    word, key, meaning, mend = finding
    return f"  {word}  {key}: {meaning}\n    --mend: {MENDS[mend]}"


class Doctor:
    """Checks and mends rooms. All methods raise StoreUnavailable."""

    def __init__(self, config: Config, store: Store) -> None:
        self._config = config
        self._store = store
        self._mending = Mending(store)

    async def visit(self, room: str, *, mend: bool) -> Report:
        """Check a room, and ``mend`` what can be mended."""
        contents, found = await self._examine(room)
        report = Report(
            room, is_there(contents), found.findings, _figures(contents, found), left=found.findings
        )
        if not mend or not _mendable(found):
            return report
        if contents.holders:
            contents, found = await self._wait_for_holder(room)
        for _ in range(MAX_TRIES):
            if not _mendable(found) or await self._mend(contents, found):
                break
            contents, found = await self._examine(room)
        _, found = await self._examine(room)
        report.mended, report.left = not _mendable(found), found.findings
        return report

    async def rooms(self) -> AsyncIterator[str]:
        """Yield the name of each room that Redis has a key of, once."""
        seen: set[str] = set()
        for place, pattern in product(self._store.places(), ("code_*", "journal*")):
            cursor = 0
            while True:
                answer = await self._store.call_at(
                    place, "SCAN", cursor, "MATCH", pattern, "COUNT", SCAN_COUNT
                )
                cursor = int(answer[0])
                for key in answer[1]:
                    room = _room_of(key)
                    if room and room not in seen:
                        seen.add(room)
                        yield room
                if not cursor:
                    break

    async def _examine(self, room: str) -> tuple[Contents, Examination]:
        contents = await self._mending.inspect(room)
        return contents, examine(contents, limits(self._config))

    async def _wait_for_holder(self, room: str) -> tuple[Contents, Examination]:
        """Wait until a node that holds the room has mended it, or does not seem to be able to."""
        await self._store.publish(room_channel(room), RoomDamaged().pack())
        deadline = asyncio.get_running_loop().time() + HELD_PATIENCE
        while True:
            contents, found = await self._examine(room)
            over = asyncio.get_running_loop().time() >= deadline
            if over or not contents.holders or not _mendable(found):
                return contents, found
            await asyncio.sleep(HELD_INTERVAL)

    async def _mend(self, contents: Contents, found: Examination) -> bool:
        """Mend a room; return whether it had not changed since it was inspected."""
        ttl = life(contents, self._config.room_ttl)
        mends = {finding.mend for finding in found.findings}
        parts = ENDS if Mend.ENDS in mends else ""
        new = NewRoom(found.text, None, ttl)
        if Mend.REWRITE in mends:
            parts += CODE + JOURNAL
            new = found.mended(secrets.token_hex(8), ttl)
        else:
            parts += CODE if Mend.SNAPSHOT in mends else ""
            parts += EXPIRY if Mend.EXPIRY in mends else ""
        return await self._mending.mend(contents, parts, new) is not None


def _mendable(found: Examination) -> bool:
    return any(finding.mend is not Mend.NOTHING for finding in found.findings)


def _figures(contents: Contents, found: Examination) -> dict[str, Any]:
    return {
        "entries": len(found.entries),
        "bytes of text": len((found.text or "").encode()),
        "bytes of journal": contents.journal.size,
        "expires in": max(contents.journal.ttl, contents.code.ttl) // 1000,
        "held by": contents.holders,
    }


def _room_of(key: bytes) -> str | None:
    try:
        match = KEYS.fullmatch(key.decode())
    except UnicodeDecodeError:
        return None
    name = (match[1] or match[2]) if match else ""
    return name if name and ROOM_CHARACTERS.fullmatch(name) else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="collab doctor",
        description="Check what Redis has of rooms, beside running nodes. It prints no texts.",
        epilog="Exit code: 0 all healthy or mended, 1 findings, 2 the rooms could not be checked.",
        allow_abbrev=False,
    )
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help="a room to check")
    parser.add_argument("--all", action="store_true", help="check all rooms that Redis has")
    parser.add_argument("--mend", action="store_true", help="mend what can be mended")
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each room")
    parser.add_argument("--redis", metavar="URL", help="the Redis [REDIS_URL]")
    return parser


@asynccontextmanager
async def _opened(config: Config) -> AsyncIterator[Store]:
    store = Store(config.redis_url, config.node_id, config.redis_timeout, Metrics())
    store.max_reading = OVERSIZE * config.max_reading
    try:
        await store.open(0)
        yield store
    finally:
        await store.close()


async def _run(config: Config, given: argparse.Namespace) -> int:
    healthy = True
    async with _opened(config) as store:
        doctor = Doctor(config, store)

        async def visit(room: str) -> None:
            nonlocal healthy
            report = await doctor.visit(room, mend=given.mend)
            healthy &= not report.left
            if given.json:
                print(json.dumps(report.as_json()), flush=True)
            elif report.findings or not given.all:
                print("\n".join(report.lines()), flush=True)

        for room in given.rooms:
            await visit(check_room(room, config.max_room_name))
        if given.all:
            async for room in doctor.rooms():
                await visit(room)
    return EXIT_HEALTHY if healthy else EXIT_FINDINGS


def main(arguments: Sequence[str]) -> int:
    """Run the doctor; return the exit code of the process."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if not given.rooms and not given.all:
        parser.error("name a room, or --all")
    try:
        options = {"REDIS_URL": given.redis} if given.redis else {}
        config = replace(Config.from_env(os.environ, options), node_id="doctor")
        if not config.redis_url:
            raise ConfigError("name the Redis with --redis or REDIS_URL")
        return asyncio.run(_run(config, given))
    except (ConfigError, BadRoom, StoreUnavailable) as problem:
        print(f"collab doctor: {problem}", file=sys.stderr)
        return EXIT_CANNOT_CHECK
