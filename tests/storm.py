"""The storm: people who type at once on far links, and what became of what they typed.

``python -m tests.storm`` prints the table for this service and for the naive server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from tests.support.processes import (
    ROOT,
    Node,
    Process,
    Redis,
    free_port,
    running,
    tool,
    until_open,
)
from tests.support.proxy import proxy

DELAY = 0.06
"""Seconds on the wire, each way."""
ROOMS, MEMBERS = 3, 3
SECONDS = 10.0
WAYS = {
    "websocket": ["websocket"],
    "polling": ["polling"],
    "upgrade": ["polling", "websocket"],
}
UPGRADE_AFTER = 1.5, 5.0
"""Seconds after which a polling client asks for its WebSocket: in the middle of its typing."""
PING_INTERVAL = "0.4"
"""Seconds, so that heartbeats come in between."""


class Naive(Process):
    """A node of the naive server."""

    def __init__(self, redis_url: str) -> None:
        self.port = free_port()
        super().__init__(
            sys.executable, "-m", "tests.naive.server",
            env={"REDIS_URL": redis_url, "PORT": str(self.port)},
        )  # fmt: skip

    async def start(self) -> None:
        await super().start()
        await until_open(self.port, self)

    async def stop(self, how: signal.Signals = signal.SIGKILL) -> int | None:
        return await super().stop(how)


@dataclass(slots=True)
class Outcome:
    """What became of the characters of a storm."""

    changes: int
    inserted: int
    deleted: int
    lost: int
    risen: int
    rooms: int
    diverged: int
    receives: int
    refused: list[Any]
    disconnects: list[str]
    upgraded: list[int]
    unanswered: int

    @property
    def faults(self) -> tuple[int, int, int]:
        return self.lost, self.risen, self.diverged

    def row(self, title: str) -> str:
        cells = (
            self.changes, self.inserted, self.deleted, self.lost, self.risen,
            f"{self.diverged} of {self.rooms}", f"{self.lost / self.inserted:.1%}",
        )  # fmt: skip
        return f"| {title} | " + " | ".join(map(str, cells)) + " |"


HEAD = (
    "| server, transport | changes | inserted | deleted | lost | risen | diverged rooms | lost |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- |"
)


async def storm(
    nodes: Sequence[Node | Naive],
    redis_url: str,
    way: str,
    *,
    seconds: float = SECONDS,
    delay: float = DELAY,
    rooms: int = ROOMS,
    members: int = MEMBERS,
    seed: int = 1,
    echoing: int = 0,
) -> Outcome:
    """Let ``members`` people type in each of ``rooms`` rooms, spread over the nodes.

    The first ``echoing`` of each room have editors that send back what they receive.
    """
    late = way == "upgrade"
    names = [f"storm-{way}-{seed}-{free_port()}-{i}" for i in range(rooms)]
    async with AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(proxy(node.port, delay)) for node in nodes]
        plan = {
            "seconds": seconds,
            "seed": seed,
            "members": [
                {
                    "room": room,
                    "url": f"http://127.0.0.1:{wires[(r + m) % len(wires)].port}",
                    "transports": WAYS[way],
                    "echoes": m < echoing,
                    "upgradeAfter": 1000 * random.uniform(*UPGRADE_AFTER) if late else 0,
                }
                for r, room in enumerate(names)
                for m in range(members)
            ],
        }
        node = await asyncio.create_subprocess_exec(
            tool("node"), str(ROOT / "tests" / "js" / "typist.mjs"),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            out, _ = await node.communicate(json.dumps(plan).encode())
        finally:
            if node.returncode is None:
                node.kill()
                await node.wait()
    rest = json.loads(out.splitlines()[-1])
    assert rest["what"] == "rest", out
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        codes = [(await client.get(f"code_{name}") or b"").decode() for name in names]
    return _judge(rest["members"], dict(zip(names, codes, strict=True)))


def _judge(members: list[dict[str, Any]], codes: dict[str, str]) -> Outcome:
    lost = risen = diverged = inserted_total = deleted_total = 0
    for room, code in codes.items():
        here = [member for member in members if member["room"] == room]
        inserted = {c for member in here for c in member["inserted"]}
        deleted = {c for member in here for c in member["deleted"]}
        texts = [code, *(member["text"] for member in here)]
        diverged += len(set(texts)) > 1
        there = Counter(code)
        kept = inserted - deleted
        lost += len(kept - set(there))
        risen += sum(count - (c in kept) for c, count in there.items())
        inserted_total += len(inserted)
        deleted_total += len(deleted)

    def flat(what: str) -> list[Any]:
        return [item for member in members for item in member[what]]

    return Outcome(
        changes=sum(member["changes"] for member in members),
        inserted=inserted_total,
        deleted=deleted_total,
        lost=lost,
        risen=risen,
        rooms=len(codes),
        diverged=diverged,
        receives=sum(member["receives"] for member in members),
        refused=flat("refused"),
        disconnects=flat("disconnects"),
        upgraded=[member["upgraded"] for member in members],
        unanswered=sum(member["waiting"] for member in members),
    )


def ours(redis_url: str) -> tuple[Node, Node]:
    """Return two nodes of this service."""
    first, second = (Node(redis_url, n, COLLAB_PING_INTERVAL=PING_INTERVAL) for n in "ab")
    return first, second


def naive(redis_url: str) -> tuple[Naive, Naive]:
    """Return two nodes of the naive server."""
    return Naive(redis_url), Naive(redis_url)


async def _table(ways: list[str], seconds: float, members: int, seed: int) -> None:
    server = Redis()
    async with running(server):
        servers = {"ours": ours(server.url), "naive": naive(server.url)}
        async with running(*(node for nodes in servers.values() for node in nodes)):
            _say(HEAD)
            for title, nodes in servers.items():
                for way in ways:
                    outcome = await storm(
                        nodes, server.url, way, seconds=seconds, members=members, seed=seed
                    )
                    _say(outcome.row(f"{title}, {way}"))
                    if outcome.refused or outcome.disconnects or outcome.unanswered:
                        _say(f"{outcome.refused} {outcome.disconnects} {outcome.unanswered}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--members", type=int, default=MEMBERS)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(2)))
    parser.add_argument("ways", nargs="*", default=list(WAYS), metavar="way", help=", ".join(WAYS))
    given = parser.parse_args()
    asyncio.run(_table(given.ways, given.seconds, given.members, given.seed))


if __name__ == "__main__":
    main()
