"""``python -m tests.soak.churn`` lets clients come and go for minutes, and says what is left of it.

In each round tens of visits a second go to two nodes. Then nobody comes until the rooms have
expired, and what the nodes and Redis hold is measured. It ends with 1 if something grows.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

import aiohttp
import redis.asyncio

from tests.soak.residents import residents
from tests.soak.visits import API_KEY, Visits
from tests.soak.vitals import HEAD, Vitals, complaints, resident, take
from tests.soak.wires import PATIENCE
from tests.support.processes import Node, Redis, get_metrics, running
from tests.support.tokens import SECRET

RATE: Final = 30.0
"""Visits a second. Each has up to a dozen events."""
MAX_AT_ONCE: Final = 150
"""Visits at the same time: on a busy machine fewer begin."""
ROUND_SECONDS: Final = 45.0
WARM_UP_SECONDS: Final = 20.0
"""Seconds of visits before the first measurement, in which caches and pools are filled."""
MAX_UNANSWERED: Final = 0.01
"""The part of the visits that may get no answer in time, on a busy machine."""
REST_SECONDS: Final = 60.0
"""Seconds within which everything of the visitors must be gone: the longest time is the rooms'."""
SETTINGS: Final = {
    "COLLAB_AUTH_SECRET": SECRET,
    "COLLAB_API_KEYS": f"churn:read+write+end:{API_KEY}",
    # Short, so that what is kept for a while is gone at the end of each round.
    "COLLAB_ROOM_TTL": "5", "COLLAB_ROOM_GRACE": "2", "COLLAB_REVOCATION_TTL": "60",
    "COLLAB_PING_INTERVAL": "2", "COLLAB_PING_TIMEOUT": "20", "COLLAB_PRESENCE_INTERVAL": "2",
    "COLLAB_CONNECT_TIMEOUT": "6", "COLLAB_MAX_JOURNAL_ENTRIES": "60",
    "COLLAB_MAX_NEW_ROOMS": "1000000", "COLLAB_LOG_LEVEL": "warning",
}  # fmt: skip
MAX_LINE: Final = 4000
"""Characters that are shown of a line of a log: a traceback ends with what matters most."""
SEARCHED: Final = "b"
"""The node whose objects are counted, and which gives back what is free, in each round. The other
is left alone: its memory is what an operator sees."""
BEHIND_PROXY: Final = {"COLLAB_TRUSTED_PROXIES": "127.0.0.1"}
"""For one of the nodes: for the other all visitors have one address."""


def print_line(line: str) -> None:
    """Print a line at once: the run takes long."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class CountingNode(Node):
    """A node that says what it holds (`tests.support.counting`)."""

    def __init__(self, redis_url: str, name: str, **env: str) -> None:
        super().__init__(redis_url, name, **SETTINGS, **env)
        self.command = (sys.executable, "-m", "tests.support.counting")


@dataclass(slots=True)
class Outcome:
    """What a churn has found: the rounds, and what else is wrong."""

    visits: Visits
    began: float
    rounds: list[Vitals] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def complaints(self) -> list[str]:
        """Return a sentence for everything that is wrong or grows."""
        surprises = [f"{what} x{count}" for what, count in self.visits.surprises.items()]
        if self.visits.unanswered > MAX_UNANSWERED * self.visits.done.total():
            surprises.append(f"{self.visits.unanswered} visits got no answer in {PATIENCE} s")
        return [*self.wrong, *surprises, *complaints(self.rounds)]

    def remarks(self) -> list[str]:
        """Return what the visits did and were told, and what the nodes hold in the end."""
        done, told = self.visits.done.most_common(), self.visits.told.most_common(25)
        lines = [
            "visits: " + ", ".join(f"{what} {n}" for what, n in done),
            "told: " + ", ".join(f"{what} {n}" for what, n in told),
        ]
        first, last = self.rounds[0].nodes[SEARCHED], self.rounds[-1].nodes[SEARCHED]
        more = ((last.objects or Counter()) - (first.objects or Counter())).most_common(8)
        lines.append(f"more objects at {SEARCHED}: " + ", ".join(f"{n} {kind}" for kind, n in more))
        return lines


async def churn(
    minutes: float, *, rate: float = RATE, round_seconds: float = ROUND_SECONDS, seed: int = 1
) -> Outcome:
    """Let clients come and go for so many minutes, warm-up and rests included."""
    server = Redis()
    nodes = (
        CountingNode(server.url, "a", **BEHIND_PROXY),
        CountingNode(server.url, "b"),
    )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(server))
        await stack.enter_async_context(running(*nodes))
        store = redis.asyncio.Redis.from_url(server.url)
        stack.push_async_callback(store.aclose)
        timeout = aiohttp.ClientTimeout(total=REST_SECONDS)
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=1.0)
        session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=connector, timeout=timeout)
        )
        visits = Visits(session, nodes, random.Random(seed))
        home = await stack.enter_async_context(residents(nodes, visits.resident))
        loop = asyncio.get_running_loop()
        outcome = Outcome(visits, loop.time())
        end = loop.time() + 60 * minutes
        await _visit(visits, rate, WARM_UP_SECONDS)
        await _measure(outcome, session, nodes, store)
        is_last = False
        while not is_last:
            began = loop.time()
            await _visit(visits, rate, round_seconds)
            is_last = 2 * loop.time() - began > end  # another round would not end in time
            await _measure(outcome, session, nodes, store)
        if wrong := await home.check():
            outcome.wrong.append(wrong)
        before = [resident(node) for node in nodes]
        last = await take(session, nodes, store, 0, 0.0, [node.name for node in nodes])
        for node, held in zip(nodes, before, strict=True):
            used = last.nodes[node.name].resident
            print_line(f"{node.name}: {held:.1f} MB, {used:.1f} of them in use")
        for node in nodes:
            lines = node.output().splitlines()
            faults = (line for line in lines if "Traceback" in line or '"level":"error"' in line)
            outcome.wrong += [line[:MAX_LINE] for line in faults]
    return outcome


async def _visit(visits: Visits, rate: float, seconds: float) -> None:
    """Let visits begin at a rate for so many seconds; return when all have ended."""
    loop = asyncio.get_running_loop()
    under_way: set[asyncio.Task[None]] = set()
    began = loop.time()
    number = 0
    while (now := loop.time()) < began + seconds:
        due = int((now - began) * rate) - number
        for _ in range(min(due, MAX_AT_ONCE - len(under_way))):
            task = asyncio.create_task(visits.make())
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        number += max(0, due)
        await asyncio.sleep(1 / rate)
    await asyncio.gather(*under_way)


async def _measure(
    outcome: Outcome, session: aiohttp.ClientSession, nodes: Sequence[Node],
    store: redis.asyncio.Redis,
) -> None:  # fmt: skip
    """Wait until the visitors' things are gone, and measure what there is."""
    visits = outcome.visits.done.total()
    if left := await _rest(nodes, store):
        outcome.wrong.append(f"after {visits} visits, {REST_SECONDS} s later: {left}")
    seconds = asyncio.get_running_loop().time() - outcome.began
    vitals = await take(session, nodes, store, visits, seconds, [SEARCHED])
    outcome.rounds.append(vitals)
    if len(outcome.rounds) == 1:
        print_line(HEAD)
    print_line(vitals.row())


async def _rest(nodes: Sequence[Node], store: redis.asyncio.Redis) -> str:
    """Wait until only the residents are there; return what else there is after all that time."""
    loop = asyncio.get_running_loop()
    end = loop.time() + REST_SECONDS
    while left := await _left(nodes, store):
        if loop.time() > end:
            return left
        await asyncio.sleep(0.5)
    return ""


async def _left(nodes: Sequence[Node], store: redis.asyncio.Redis) -> str:
    left = []
    for node in nodes:
        shown = await get_metrics(node.url)
        for what in ("collab_rooms", "collab_members"):
            if shown[what] != 1:
                left.append(f"{what} {shown[what]:.0f} at {node.name}")
        connections = sum(v for k, v in shown.items() if k.startswith("collab_connections{"))
        if connections != 1 or shown["collab_held_bytes"]:
            left.append(f"{connections:.0f} connections at {node.name}")
    async for key in store.scan_iter(match="*code_churn-[0-9]*", count=1000):
        if not key.startswith(b"journal-ended:"):  # it outlives a round, and expires
            left.append(key.decode())
    return ", ".join(left[:8])


async def _soak(given: argparse.Namespace) -> bool:
    print_line(f"seed {given.seed}")
    outcome = await churn(given.minutes, rate=given.rate, seed=given.seed)
    found = outcome.complaints()
    for line in ("", *outcome.remarks(), "", *(found or ["nothing grows"])):
        print_line(line)
    return not found


def main() -> int:
    """Run the churn that the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.churn", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="in all (30)")
    parser.add_argument("--rate", type=float, default=RATE, help=f"visits a second ({RATE:.0f})")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(2)))
    return 0 if asyncio.run(_soak(parser.parse_args())) else 1


if __name__ == "__main__":
    sys.exit(main())
