"""People who type, each on a separate page, and what became of each character that they typed."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.processes import ROOT, tool

TRANSPORTS = {
    "websocket": ["websocket"],
    "polling": ["polling"],
    "upgrade": ["polling", "websocket"],
}
"""The ``transports`` option of socket.io-client for each way to connect."""


@dataclass(frozen=True, slots=True)
class Typist:
    """The report of one page: what it did, showed at the end, and received."""

    room: str
    endpoint: str
    text: str
    inserted: str
    deleted: str
    acked: str
    overwritten: str
    changes: int
    receives: int
    returns: int
    recovered: int
    refused: list[Any]
    disconnects: list[str]
    upgraded: int
    waiting: int
    trace: list[list[Any]]


@dataclass(frozen=True, slots=True)
class Page:
    """What a page shows now, whether it is connected, and how many of its changes wait."""

    room: str
    text: str
    online: bool
    waiting: int


class Typists:
    """People who type, in one Node process, until `rest`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def begin(self, plan: Mapping[str, Any]) -> None:
        """Let all members of the plan join and type (the plan: tests/js/typist.mjs)."""
        self._send_line(json.dumps(plan).encode())
        assert (await self._read_event())["what"] == "ready"

    def pause(self) -> None:
        """Let nobody type until `resume`."""
        self._send_line(b"pause")

    def resume(self) -> None:
        """Let all type again."""
        self._send_line(b"resume")

    async def look(self) -> list[Page]:
        """Return what all pages show now."""
        self._send_line(b"look")
        return [Page(**page) for page in (await self._read_event())["pages"]]

    def _send_line(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")

    async def rest(self) -> list[Typist]:
        """Stop the typing; return the members' reports when nothing more arrives."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return [Typist(**member) for member in (await self._read_event())["members"]]

    async def _read_event(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        assert line, "the typists' process ended"
        event: dict[str, Any] = json.loads(line)
        return event


@asynccontextmanager
async def typists() -> AsyncIterator[Typists]:
    """Run the Node process of the typists."""
    script = ROOT / "tests" / "js" / "typist.mjs"
    assert (script.parent / "node_modules").exists(), "run `npm ci` in tests/js"
    process = await asyncio.create_subprocess_exec(
        tool("node"), str(script), limit=1 << 30,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Typists(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@dataclass(slots=True)
class Outcome:
    """What became of the characters that ``members`` typed in some rooms.

    ``texts`` has the texts that the servers have of each room; the first counts as the room's.

    ``lost`` has the characters that were inserted, deleted by nobody, and are missing. Of these,
    ``lost_though_acked`` were in a text whose change was acknowledged; ``out_of_reach`` had been
    sent, were not acknowledged, and were no longer on their page's screen when its link broke.
    ``risen`` has the characters that were deleted and are there, or are there twice. ``apart`` has
    the rooms whose members and servers do not all have the same text.
    """

    members: Sequence[Typist]
    texts: Mapping[str, Sequence[str]]
    inserted: int = field(default=0, init=False)
    deleted: int = field(default=0, init=False)
    lost: set[str] = field(default_factory=set, init=False)
    lost_though_acked: set[str] = field(default_factory=set, init=False)
    out_of_reach: set[str] = field(default_factory=set, init=False)
    risen: set[str] = field(default_factory=set, init=False)
    apart: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        for room, (code, *others) in self.texts.items():
            here = [member for member in self.members if member.room == room]
            inserted = set("".join(member.inserted for member in here))
            deleted = set("".join(member.deleted for member in here))
            self.inserted += len(inserted)
            self.deleted += len(deleted)
            there = Counter(code)
            kept = inserted - deleted
            lost = kept - there.keys()
            self.lost |= lost
            acked = lost.intersection("".join(member.acked for member in here))
            self.lost_though_acked |= acked
            for member in here:
                cut_off = lost.intersection(member.inserted, member.overwritten)
                self.out_of_reach |= cut_off - acked
            self.risen |= {letter for letter, count in there.items() if count > (letter in kept)}
            if {code, *others, *(member.text for member in here)} != {code}:
                self.apart.add(room)

    @property
    def faults(self) -> tuple[int, int, int]:
        """The numbers of lost characters, risen characters and rooms apart."""
        return len(self.lost), len(self.risen), len(self.apart)

    @property
    def changes(self) -> int:
        return sum(member.changes for member in self.members)

    @property
    def refused(self) -> list[Any]:
        return [error for member in self.members for error in member.refused]

    @property
    def disconnects(self) -> list[str]:
        return [reason for member in self.members for reason in member.disconnects]

    @property
    def unanswered(self) -> int:
        return sum(member.waiting for member in self.members)
