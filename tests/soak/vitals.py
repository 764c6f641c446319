"""What two nodes and their Redis hold while nobody visits, and whether it grows."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import redis.asyncio

from collab.store.keys import RULINGS_LOG
from tests.support.counting import PATH
from tests.support.processes import Node

MAX_GROWTH_MB: Final = 10.0
"""Resident megabytes by which a node may grow from the first third of the rounds to the last. The
allocator keeps what is free between objects that live: up to a tenth."""
MAX_USED_GROWTH_MB: Final = 5.0
"""The same for a node that gives free memory back before it is measured: what is in use."""
MAX_REDIS_GROWTH_MB: Final = 2.0
SLACK: Final = 2
"""By how many a number may differ from round to round: a connection that is just being closed."""
MAX_LATE_SERIES: Final = 8
"""Series of metrics that first appear in the last third: answers that are seldom given."""
STEADY_SECONDS: Final = 150.0
"""Seconds from the start after which objects should not become more: clients that have left may
return for two minutes."""
MAX_OBJECTS_PER_VISIT: Final = 0.1
"""Objects of one type that a visit may leave behind on average: one in ten would be a leak."""
BOUNDED: Final = {"collab.store.rulings.FoundToken": 10_000, "collab.budget.Shared": 8_000}
"""Types of which a node keeps up to so many on purpose: the tokens of those who have gone
(`collab.access.holders.MAX_GONE`), and the budgets of addresses, subjects and rooms."""
PARTS: Final = 4
"""Built-in containers that one of these has, at most."""
MAX_BLOCKS_PER_VISIT: Final = 2.0
"""Pieces of memory that a visit may leave behind on average, besides those of what is kept."""
KEPT_BLOCKS: Final = 10
"""Pieces of memory that one of these has, with all that it refers to, at most."""
KEPT_MB: Final = 1e-3
"""Megabytes of one of these with all that it has, at most: the memory may grow with them."""
NAMES: Final = ("churn", "home")
"""Parts of the names that visitors make, which no label may have."""


@dataclass(frozen=True, slots=True)
class NodeVitals:
    """What one node holds: resident MB, descriptors, tasks, and the names of its series.

    ``objects`` has its objects by type if it was searched, and ``blocks`` is in how many pieces of
    memory they are: it has then freed what was in cycles, and given free memory back.
    """

    resident: float
    fds: int
    tasks: Counter[str]
    series: frozenset[str]
    objects: Counter[str] | None = None
    blocks: int = 0


@dataclass(frozen=True, slots=True)
class RedisVitals:
    """What Redis holds: MB, clients, subscribed channels, and keys that do not expire."""

    used: float
    clients: int
    channels: frozenset[str]
    keys: int
    lasting: frozenset[str]


@dataclass(frozen=True, slots=True)
class Vitals:
    """What all of them hold after so many visits, and seconds since the start."""

    visits: int
    seconds: float
    nodes: dict[str, NodeVitals]
    redis: RedisVitals

    def row(self) -> str:
        """Return a row of the table whose head is `HEAD`."""
        nodes = self.nodes.values()
        cells = (
            self.visits,
            " / ".join(f"{node.resident:.1f}" for node in nodes),
            max(node.blocks for node in nodes) // 1000,
            " / ".join(str(node.tasks.total()) for node in nodes),
            " / ".join(str(node.fds) for node in nodes),
            " / ".join(str(len(node.series)) for node in nodes),
            f"{self.redis.used:.2f}", self.redis.keys, self.redis.clients,
            len(self.redis.channels),
        )  # fmt: skip
        return "| " + " | ".join(map(str, cells)) + " |"


HEAD: Final = (
    "| visits | MB of each node | 1,000 blocks | tasks | descriptors | series of metrics "
    "| MB of Redis | keys | clients | channels |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


async def take(
    session: aiohttp.ClientSession, nodes: Sequence[Node], store: redis.asyncio.Redis,
    visits: int, seconds: float, searched: Collection[str],
) -> Vitals:  # fmt: skip
    """Measure the nodes and Redis; search the nodes whose names are in ``searched``."""
    found = {
        node.name: await _take_node(session, node, search=node.name in searched) for node in nodes
    }
    return Vitals(visits, seconds, found, await _take_redis(store))


async def _take_node(session: aiohttp.ClientSession, node: Node, *, search: bool) -> NodeVitals:
    async with session.get(node.url + "/metrics") as answer:
        lines = (await answer.text()).splitlines()
    series = frozenset(line.rpartition(" ")[0] for line in lines if not line.startswith("#"))
    told = await _ask(session, node, "?objects&trim" if search else "")
    fds = len(list(Path(f"/proc/{node.pid}/fd").iterdir()))
    objects = Counter(told["objects"]) if search else None
    tasks, blocks = Counter(told["tasks"]), told.get("blocks", 0)
    return NodeVitals(resident(node), fds, tasks, series, objects, blocks)


async def _ask(session: aiohttp.ClientSession, node: Node, query: str) -> dict[str, Any]:
    async with session.get(node.url + PATH + query) as answer:
        told: dict[str, Any] = await answer.json()
        return told


def resident(node: Node) -> float:
    """Return the resident memory of a node, in megabytes."""
    pages = int(Path(f"/proc/{node.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def _take_redis(store: redis.asyncio.Redis) -> RedisVitals:
    keys = [key.decode() async for key in store.scan_iter(count=1000)]
    lasting = [key for key in keys if await store.ttl(key) == -1]
    channels = await store.pubsub_channels()
    return RedisVitals(
        (await store.info("memory"))["used_memory"] / 1e6,
        (await store.info("clients"))["connected_clients"],
        frozenset(each.decode() for each in channels),
        len(keys),
        frozenset(lasting),
    )


# The verdict


def complaints(rounds: Sequence[Vitals]) -> list[str]:
    """Return a sentence for all that grows from the first third of the rounds to the last."""
    third = max(1, len(rounds) // 3)
    first, last = rounds[:third], rounds[-third:]
    found = []
    for name in rounds[0].nodes:
        before, after = ([each.nodes[name] for each in part] for part in (first, last))
        allowed = KEPT_MB * max(_kept(rounds[0], each) for each in last)
        found += [f"node {name}: {each}" for each in _complaints_of_node(before, after, allowed)]
        seen = frozenset[str]().union(*(each.nodes[name].series for each in rounds[:-third]))
        found += _left_behind(name, rounds)
        late = frozenset[str]().union(*(each.series for each in after)) - seen
        if len(late) > MAX_LATE_SERIES:
            found.append(f"node {name}: its metrics grow: {sorted(late)}")
        if named := [each for each in after[-1].series if any(name in each for name in NAMES)]:
            found.append(f"node {name}: a label has a client's word: {named}")
    return found + _complaints_of_redis([each.redis for each in first], [r.redis for r in last])


def _kept(first: Vitals, last: Vitals) -> int:
    """Return how many more objects of `BOUNDED` a node has that was searched."""
    pairs = zip(first.nodes.values(), last.nodes.values(), strict=True)
    more = [
        after.objects - before.objects
        for before, after in pairs
        if before.objects and after.objects
    ]
    return sum(each[kind] for each in more for kind in BOUNDED)


def _complaints_of_node(
    first: Sequence[NodeVitals], last: Sequence[NodeVitals], allowed: float
) -> list[str]:
    found = []
    growth = max(each.resident for each in last) - max(each.resident for each in first)
    bound = allowed + (MAX_GROWTH_MB if last[-1].objects is None else MAX_USED_GROWTH_MB)
    if growth > bound:
        found.append(f"its memory has grown by {growth:.1f} MB, more than {bound:.1f}")
    tasks = last[-1].tasks - first[0].tasks
    if tasks.total() > SLACK:
        found.append(f"tasks have become more: {dict(tasks)}")
    if last[-1].fds > max(each.fds for each in first) + SLACK:
        found.append(f"descriptors have become more: {first[0].fds}, {last[-1].fds}")
    return found


def _complaints_of_redis(first: Sequence[RedisVitals], last: Sequence[RedisVitals]) -> list[str]:
    found = []
    if growth := last[-1].lasting - {RULINGS_LOG}:
        found.append(f"keys that never expire: {sorted(growth)[:5]}")
    if more := last[-1].channels - first[0].channels:
        found.append(f"channels are still subscribed: {sorted(more)[:5]}")
    if last[-1].clients > max(each.clients for each in first) + SLACK:
        found.append(f"clients of Redis: {first[0].clients}, then {last[-1].clients}")
    used = max(each.used for each in last) - max(each.used for each in first)
    if used > MAX_REDIS_GROWTH_MB:
        found.append(f"Redis has grown by {used:.1f} MB")
    return found


def _left_behind(name: str, rounds: Sequence[Vitals]) -> list[str]:
    """Return a sentence for each type of which visits have left objects behind."""
    first, last = next((r for r in rounds if r.seconds > STEADY_SECONDS), rounds[-1]), rounds[-1]
    before, after = first.nodes[name].objects, last.nodes[name].objects
    if before is None or after is None:
        return []
    more = after - before
    kept = sum(more[kind] for kind, most in BOUNDED.items() if after[kind] <= most)
    found = []
    visits = last.visits - first.visits
    blocks = last.nodes[name].blocks - first.nodes[name].blocks
    if blocks > MAX_BLOCKS_PER_VISIT * visits + KEPT_BLOCKS * kept:
        found.append(f"node {name}: {blocks} more pieces of memory, {visits} visits")
    for kind, count in more.most_common():
        allowed = MAX_OBJECTS_PER_VISIT * visits
        if kind.startswith("builtins."):
            allowed += PARTS * kept
        elif after[kind] <= BOUNDED.get(kind, 0):
            continue
        if count > allowed:
            found.append(f"node {name}: {count} more {kind}, {visits} visits")
    return found
