"""People with the official JavaScript client who type at the same time on slow links.

`tests.storm` is the same for people to look at.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack

import redis.asyncio

from tests.naive.process import Naive
from tests.support.ports import free_port
from tests.support.processes import Node
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
