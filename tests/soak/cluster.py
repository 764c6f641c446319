"""The cluster of the soak test, and the links to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from tests.cluster.wire import wire_member
from tests.support.cluster import Cluster, Nginx
from tests.support.processes import DumpingRedis, Node, running
from tests.support.proxy import Proxy, proxy

SETTINGS = {
    # Less than the default, so that a minute has several rolling restarts.
    "COLLAB_DRAIN_TIME": "3.0",
    # Short, so that heartbeats are sent while people type, and pages leave a node that is silent
    # before it is back. A busy machine may stop a node for seconds.
    "COLLAB_PING_INTERVAL": "0.4",
    "COLLAB_PING_TIMEOUT": "6.0",
}
NODES = "abc"
"""The names of the nodes that run, except while the scale changes."""
SPARE = "def"
"""The names of the nodes that run only then."""
PARTED = "c"
"""The node between which and nginx is a wire."""
REDIS_TIMEOUT = 1.0
"""Seconds that the test itself gives Redis to answer."""


class SoakCluster(Cluster):
    """Three nodes behind nginx and a Redis: processes that can be stopped and started.

    Each node reaches Redis through a wire of its own, and nginx reaches the node `PARTED` through
    ``front``. ``serving`` has the nodes that run.
    """

    def __init__(
        self, home: Path, server: DumpingRedis, wires: Mapping[str, Proxy], front: Proxy
    ) -> None:
        super().__init__(home, server, *wires, **SETTINGS)
        self.redis = server
        self.wires = wires
        self.front = front
        front.target = self.nodes[PARTED].port
        for name, wire in wires.items():
            self.nodes[name].env["REDIS_URL"] = f"redis://127.0.0.1:{wire.port}/0"
        self.nginx = Nginx(home, *self.ports(NODES))

    @property
    def serving(self) -> dict[str, Node]:
        return {name: node for name, node in self.nodes.items() if node.running}

    def ports(self, names: Sequence[str]) -> list[int]:
        """Return the ports by which nginx reaches nodes."""
        fronts = {PARTED: self.front.port}
        return [fronts.get(name, self.nodes[name].port) for name in names]

    @asynccontextmanager
    async def links(self, number: int, delay: float) -> AsyncIterator[list[Proxy]]:
        """Open links to nginx with a delay of ``delay`` seconds each way."""
        async with AsyncExitStack() as stack:
            yield [
                await stack.enter_async_context(proxy(self.nginx.port, delay))
                for _ in range(number)
            ]

    def store(self) -> redis.asyncio.Redis:
        """Return a client of Redis that tries once."""
        return redis.asyncio.Redis.from_url(
            self.redis.url, socket_timeout=REDIS_TIMEOUT, socket_connect_timeout=REDIS_TIMEOUT,
            retry=Retry(NoBackoff(), 0),
        )  # fmt: skip

    async def stored(self, rooms: Sequence[str]) -> dict[str, str]:
        """Return Redis' text of each room. Raises RedisError."""
        async with self.store() as client:
            found = await client.mget([f"code_{room}" for room in rooms])
        return {room: (text or b"").decode() for room, text in zip(rooms, found, strict=True)}

    async def texts(self, rooms: Sequence[str]) -> dict[str, list[str]]:
        """Return for each room Redis's text, and then the text that each node sends on a join."""
        stored = await self.stored(rooms)
        shown = {
            room: await asyncio.gather(*(_shown(node, room) for node in self.serving.values()))
            for room in rooms
        }
        return {room: [stored[room], *shown[room]] for room in rooms}

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
    async with AsyncExitStack() as stack:
        server = DumpingRedis()
        await stack.enter_async_context(running(server))
        wires = {
            name: await stack.enter_async_context(proxy(server.port)) for name in NODES + SPARE
        }
        front = await stack.enter_async_context(proxy(0))
        cluster = SoakCluster(home, server, wires, front)
        stack.push_async_callback(_stop_all, cluster)
        await stack.enter_async_context(running(*(cluster.nodes[name] for name in NODES)))
        await stack.enter_async_context(running(cluster.nginx))
        yield cluster


async def _stop_all(cluster: SoakCluster) -> None:
    """Stop the spare nodes too, if a scene was ended while they ran."""
    await asyncio.gather(*(node.stop() for node in cluster.serving.values()))
