"""Three nodes on one Redis, one of them by a wire that breaks, and people who type."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from tests.faults.typists import Typists, typists
from tests.support.clients import JsHost, js_clients
from tests.support.processes import DumpingRedis, Node, running, until_ready
from tests.support.proxy import Proxy, proxy
from tests.support.redises import RedisCluster, redis_cluster

TIMEOUT = 1.0
"""Seconds that the nodes give Redis to answer."""
PRESENCE = 0.5
"""Seconds between two reports of a node's members."""
SETTINGS = {"COLLAB_REDIS_TIMEOUT": str(TIMEOUT), "COLLAB_PRESENCE_INTERVAL": str(PRESENCE)}


@dataclass(frozen=True, slots=True)
class Cluster:
    """Nodes ``a`` and ``c`` reach Redis straight, ``b`` through ``wire``."""

    redis: DumpingRedis
    wire: Proxy
    a: Node
    b: Node
    c: Node

    async def ready(self) -> None:
        """Wait until all is as at the start."""
        self.wire.to_client = self.wire.to_server = None
        self.wire.delay = 0.0
        self.wire.resume()
        self.wire.accept()
        for process in (self.redis, self.a, self.b, self.c):
            if not process.running:
                await process.start()
        for node in (self.a, self.b, self.c):
            await until_ready(node.url, node)


@pytest.fixture(scope="session")
async def shared() -> AsyncIterator[Cluster]:
    server = DumpingRedis()
    async with running(server), proxy(server.port) as wire:
        nodes = (
            Node(server.url, "a", **SETTINGS),
            Node(f"redis://127.0.0.1:{wire.port}/0", "b", **SETTINGS),
            Node(server.url, "c", **SETTINGS),
        )
        async with running(*nodes):
            yield Cluster(server, wire, *nodes)
        for node in nodes:
            assert "Traceback" not in node.output(), node.output()


@pytest.fixture
async def cluster(shared: Cluster) -> AsyncIterator[Cluster]:
    await shared.ready()
    yield shared
    await shared.ready()


@pytest.fixture
async def store(shared: Cluster) -> AsyncIterator[redis.asyncio.Redis]:
    client = redis.asyncio.Redis.from_url(shared.redis.url, retry=Retry(ConstantBackoff(0.05), 100))
    yield client
    await client.aclose()


@pytest.fixture(scope="session")
async def three_masters() -> AsyncIterator[RedisCluster]:
    """A Redis Cluster; tests that break it wait until it is `ready` again."""
    async with redis_cluster() as cluster:
        yield cluster


@pytest.fixture
async def js() -> AsyncIterator[JsHost]:
    async with js_clients() as host:
        yield host


@pytest.fixture
async def people() -> AsyncIterator[Typists]:
    async with typists() as everybody:
        yield everybody


@pytest.fixture
def room(request: pytest.FixtureRequest) -> str:
    """A room of the test's own."""
    return "".join(c if c.isalnum() else "-" for c in request.node.name)[:100]


async def status(node: Node, wanted: int, within: float = 10.0) -> str:
    """Wait until ``/readyz`` answers ``wanted``; return what it says."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(within):
        while True:
            async with session.get(node.url + "/readyz") as answer:
                if answer.status == wanted:
                    return await answer.text()
            await asyncio.sleep(0.02)
