"""People who type, in a Node process of their own: no fault may lose what they were promised."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import redis.asyncio

from tests.support.clients import WAIT_TIMEOUT
from tests.support.processes import Node, tool

Store = redis.asyncio.Redis | redis.asyncio.RedisCluster
EVERY = 15
"""Milliseconds between two keystrokes of one person."""


@dataclass(frozen=True, slots=True)
class Person:
    """What one of them shows, typed, and was promised."""

    shown: str
    joined: bool
    sent: list[str]
    acked: list[str]
    refused: list[object]
    typed: int


class Typists:
    """Everybody who types in a test."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._number = 0

    def _do(self, what: str, **options: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what, **options}).encode() + b"\n")

    def join(self, room: str, *nodes: Node, every: int = EVERY) -> None:
        """Let one more person on each of the nodes join, and type if ``every`` is not 0."""
        for node in nodes:
            self._number += 1
            self._do("open", id=self._number, url=node.url, room=room, every=every)

    def stop(self) -> None:
        self._do("stop")

    async def tell(self) -> list[Person]:
        self._do("tell")
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        return [Person(**each) for each in json.loads(line)]

    async def typed(self, more: int) -> None:
        """Wait until ``more`` changes than now were acknowledged."""
        wanted = more + sum(len(person.acked) for person in await self.tell())
        async with asyncio.timeout(WAIT_TIMEOUT):
            while True:
                if sum(len(person.acked) for person in await self.tell()) >= wanted:
                    return
                await asyncio.sleep(0.02)

    async def rest(self, store: Store, room: str) -> str:
        """Stop, and wait until all is acknowledged and everybody shows what Redis has."""
        self.stop()
        shown: set[str] = set()
        people: list[Person] = []
        try:
            async with asyncio.timeout(WAIT_TIMEOUT):
                while True:
                    people = await self.tell()
                    snapshot = await store.get(f"code_{room}") or b""
                    shown = {snapshot.decode(), *(person.shown for person in people)}
                    if len(shown) == 1 and all(len(p.acked) == len(p.sent) for p in people):
                        break
                    await asyncio.sleep(0.02)
        except TimeoutError:
            counts = [(len(p.sent), len(p.acked), p.refused[:3]) for p in people]
            raise AssertionError(f"no rest: {counts} {[each[:300] for each in shown]}") from None
        (text,) = shown
        for person in people:
            assert person.refused == [], f"refused: {person.refused[:3]}"
            wrong = [word for word in person.acked if text.count(word) != 1]
            assert not wrong, f"acknowledged, and not there exactly once: {wrong}"
        return text


@asynccontextmanager
async def typists() -> AsyncIterator[Typists]:
    """Run the Node process that they live in."""
    process = await asyncio.create_subprocess_exec(
        tool("node"), str(Path(__file__).parent / "typist.mjs"), limit=1 << 26,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Typists(process)
    finally:
        process.kill()
        await process.wait()
