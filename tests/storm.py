"""The storm: people who type at the same time on slow links, and the text that was lost.

``python -m tests.storm`` prints the table for this service and for the naive server.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack

import redis.asyncio

from tests.support.processes import Node, Process, Redis, free_port, running, until_open
from tests.support.proxy import proxy
from tests.support.typists import TRANSPORTS, Outcome, typists

DELAY = 0.06
"""Seconds on the wire, each way."""
ROOMS, MEMBERS = 3, 3
SECONDS = 10.0
UPGRADE_AFTER = 1.5, 5.0
"""Seconds after which a polling client opens its WebSocket: while it types."""
PING_INTERVAL = "0.4"
"""Seconds: short, so that heartbeats are sent while people type."""


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


Servers = dict[str, Sequence[Node | Naive]]

HEAD = (
    "| server, transport | changes | inserted | deleted | lost | risen | diverged rooms | lost |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- |"
)


def row(title: str, outcome: Outcome) -> str:
    """Return a row of the table whose head is `HEAD`."""
    lost, risen, apart = outcome.faults
    cells = (
        title, outcome.changes, outcome.inserted, outcome.deleted, lost, risen,
        f"{apart} of {len(outcome.texts)}", f"{lost / outcome.inserted:.1%}",
    )  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


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
    lateness: float = 0.0,
    retries: int = 0,
    yjs: int = 0,
) -> Outcome:
    """Let ``members`` people type in each of ``rooms`` rooms, spread over the nodes.

    The first ``echoing`` members of each room have editors that send back each text that they
    receive; the last ``yjs`` are Yjs members. Other pages show a text up to ``lateness`` seconds
    after they receive it. ``retries`` is socket.io-client's option.
    """
    names = [f"storm-{way}-{seed}-{free_port()}-{i}" for i in range(rooms)]
    async with AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(proxy(node.port, delay)) for node in nodes]
        people = await stack.enter_async_context(typists())
        await people.begin({
            "seed": seed,
            "members": [
                {
                    "room": room,
                    "endpoint": "yjs" if m >= members - yjs else "text",
                    "url": f"http://127.0.0.1:{wires[(r + m) % len(wires)].port}",
                    "transports": TRANSPORTS[way],
                    "echoes": m < echoing,
                    "late": 1000 * lateness,
                    "retries": retries,
                    "upgradeAfter": 1000 * random.uniform(*UPGRADE_AFTER) * (way == "upgrade"),
                }
                for r, room in enumerate(names)
                for m in range(members)
            ],
        })  # fmt: skip
        await asyncio.sleep(seconds)
        typed = await people.rest()
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        texts = {name: [(await client.get(f"code_{name}") or b"").decode()] for name in names}
    return Outcome(typed, texts)


def ours(redis_url: str) -> tuple[Node, Node]:
    """Return two nodes of this service."""
    first, second = (Node(redis_url, n, COLLAB_PING_INTERVAL=PING_INTERVAL) for n in "ab")
    return first, second


def naive(redis_url: str) -> tuple[Naive, Naive]:
    """Return two nodes of the naive server."""
    return Naive(redis_url), Naive(redis_url)


async def _table(ways: list[str], seconds: float, members: int, seed: int, lateness: float) -> None:
    server = Redis()
    async with running(server):
        servers: Servers = {"ours": ours(server.url), "naive": naive(server.url)}
        async with running(*(node for nodes in servers.values() for node in nodes)):
            _print_line(HEAD)
            for title, nodes in servers.items():
                for way in ways:
                    outcome = await storm(
                        nodes, server.url, way,
                        seconds=seconds, members=members, seed=seed, lateness=lateness,
                    )  # fmt: skip
                    _print_line(row(f"{title}, {way}", outcome))
                    if outcome.refused or outcome.disconnects or outcome.unanswered:
                        _print_line(f"{outcome.refused} {outcome.disconnects} {outcome.unanswered}")


def _print_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--members", type=int, default=MEMBERS)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(2)))
    parser.add_argument("--late", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument(
        "ways", nargs="*", default=list(TRANSPORTS), metavar="way", help=", ".join(TRANSPORTS)
    )
    given = parser.parse_args()
    asyncio.run(_table(given.ways, given.seconds, given.members, given.seed, given.late))


if __name__ == "__main__":
    main()
