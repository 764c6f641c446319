"""The cluster of the soak test, and the links to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import redis.asyncio

from tests.cluster.wire import wire_member
from tests.support.cluster import Cluster
from tests.support.processes import DumpingRedis, Node, running
from tests.support.proxy import Proxy, proxy

SETTINGS = {
    # Less than the default, so that a minute has several rolling restarts.
    "COLLAB_DRAIN_TIME": "3.0",
    # Short, so that heartbeats are sent while people type.
    "COLLAB_PING_INTERVAL": "0.4",
}


class SoakCluster(Cluster):
    """Three nodes behind nginx and a Redis: processes that can be stopped and started."""

    def __init__(self, home: Path) -> None:
        self.redis = DumpingRedis()
        super().__init__(home, self.redis, "a", "b", "c", **SETTINGS)

    @asynccontextmanager
    async def links(self, number: int, delay: float) -> AsyncIterator[list[Proxy]]:
        """Open links to nginx with a delay of ``delay`` seconds each way."""
        async with AsyncExitStack() as stack:
            yield [
                await stack.enter_async_context(proxy(self.nginx.port, delay))
                for _ in range(number)
            ]

    async def texts(self, rooms: Sequence[str]) -> dict[str, list[str]]:
        """Return for each room Redis's text, and then the text that each node sends on a join."""
        async with redis.asyncio.Redis.from_url(self.redis.url) as client:
            stored = [(await client.get(f"code_{room}") or b"").decode() for room in rooms]
        shown = [
            await asyncio.gather(*(_shown(node, room) for node in self.nodes.values()))
            for room in rooms
        ]
        return {room: [s, *others] for room, s, others in zip(rooms, stored, shown, strict=True)}

    async def histories(self, rooms: Sequence[str]) -> dict[str, list[str]]:
        """Return the lines of each room's history, from the HTTP API."""
        async with aiohttp.ClientSession(self.api_url) as session:
            found = {}
            for room in rooms:
                async with session.get(f"/api/rooms/{room}/history") as answer:
                    found[room] = (await answer.text()).splitlines()
            return found

    def complaints(self) -> list[str]:
        """Return the lines in the nodes' logs that report an error."""
        lines = [line for node in self.nodes.values() for line in node.output().splitlines()]
        return [line for line in lines if "Traceback" in line or '"level":"error"' in line]


async def _shown(node: Node, room: str) -> str:
    async with wire_member(node.url) as member:
        await member.join(room)
        await member.received()
        return member.text


@asynccontextmanager
async def soak_cluster(home: Path) -> AsyncIterator[SoakCluster]:
    """Start a cluster; end it in the reverse order."""
    cluster = SoakCluster(home)
    async with (
        running(cluster.redis),
        running(*cluster.nodes.values()),
        running(cluster.nginx),
    ):
        yield cluster
