"""The official clients that an attack must not disturb: a pair that types, and people who come."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.support.processes import ROOT, tool

RATE = 20
"""Changes a second of the pair together."""
NEWCOMER_TIMEOUT = 5.0
"""Seconds within which somebody who comes must be in and have typed; later counts as refused."""
ANSWER_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Waits:
    """The seconds from each change of the pair to its partner's receive, and what went wrong."""

    seconds: Sequence[float]
    trouble: Sequence[str]

    @property
    def longest(self) -> float:
        return max(self.seconds, default=0.0)

    @property
    def p99(self) -> float:
        ordered = sorted(self.seconds)
        return ordered[len(ordered) * 99 // 100] if ordered else 0.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """How it went for somebody who came: the seconds, and '' or why it did not work."""

    took: float
    refused: str


class Bystanders:
    """The Node process in which they live."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self._process = process
        self._url = url
        self._ids = itertools.count()
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def begin(self) -> None:
        """Let the pair connect, join its room and type; it types until the process ends."""
        await self._ask("begin", url=self._url, room="the-pair", rate=RATE)

    async def waits(self) -> Waits:
        """Return the pair's waits since the last call."""
        told = await self._ask("report")
        return Waits([wait / 1000 for wait in told["waits"]], told["trouble"])

    async def come(self) -> Arrival:
        """Let somebody new connect, join a new room and type."""
        room = f"newcomer-{next(self._ids)}"
        told = await self._ask("come", url=self._url, room=room, within=1000 * NEWCOMER_TIMEOUT)
        return Arrival(told["took"] / 1000, told["refused"])

    async def _ask(self, what: str, **given: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        id = next(self._ids)
        self._asked[id] = asyncio.get_running_loop().create_future()
        self._process.stdin.write(json.dumps({"do": what, "id": id, **given}).encode() + b"\n")
        async with asyncio.timeout(ANSWER_TIMEOUT):
            return await self._asked[id]

    async def read_answers(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            answer = json.loads(line)
            asked = self._asked.pop(answer.pop("id"))
            if not asked.done():  # nobody waits any more for those who came last
                asked.set_result(answer)


@asynccontextmanager
async def bystanders(url: str) -> AsyncIterator[Bystanders]:
    """Run the process of the bystanders of the node at ``url``."""
    script = ROOT / "tests" / "js" / "bystanders.mjs"
    assert (script.parent / "node_modules").exists(), "run `npm ci` in tests/js"
    process = await asyncio.create_subprocess_exec(
        tool("node"), str(script), limit=1 << 26,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    people = Bystanders(process, url)
    reading = asyncio.create_task(people.read_answers())
    try:
        yield people
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        reading.cancel()
        await asyncio.wait([reading])
