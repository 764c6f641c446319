"""Two nodes on one Redis, and clients."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
import redis.asyncio
from redis.asyncio.cluster import ClusterNode

from tests.cluster.caller import Caller, calling
from tests.cluster.peers import AnyClient
from tests.support.clients import JsHost, js_clients
from tests.support.processes import Node, Redis, running
from tests.support.redises import RETRY, RedisCluster, redis_cluster
from tests.support.yjs import YjsHost, yjs_clients


@pytest.fixture(scope="session")
async def redis_server() -> AsyncIterator[Redis]:
    server = Redis()
    async with running(server):
        yield server


@pytest.fixture(scope="session")
async def nodes(redis_server: Redis) -> AsyncIterator[tuple[Node, Node]]:
    pair = Node(redis_server.url, "a"), Node(redis_server.url, "b")
    async with running(*pair):
        yield pair
    for node in pair:
        assert "Traceback" not in node.output(), node.output()


@pytest.fixture
async def js() -> AsyncIterator[JsHost]:
    async with js_clients() as host:
        yield host


@pytest.fixture
async def store(redis_server: Redis) -> AsyncIterator[redis.asyncio.Redis]:
    client = redis.asyncio.Redis.from_url(redis_server.url)
    yield client
    await client.aclose()


@pytest.fixture(scope="session")
async def the_cluster() -> AsyncIterator[Callable[[], Awaitable[RedisCluster]]]:
    """Return the Redis Cluster of all tests that need one; the first of them starts it."""
    started: list[RedisCluster] = []

    async def cluster() -> RedisCluster:
        if not started:
            started.append(await servers.enter_async_context(redis_cluster()))
        return started[0]

    async with AsyncExitStack() as servers:
        yield cluster


@pytest.fixture(params=["one", "cluster"])
async def any_redis(
    request: pytest.FixtureRequest,
    redis_server: Redis,
    the_cluster: Callable[[], Awaitable[RedisCluster]],
) -> AsyncIterator[Redis | RedisCluster]:
    """One Redis or a Redis Cluster, for what must hold on both."""
    if request.param == "one":
        yield redis_server
        return
    cluster = await the_cluster()
    yield cluster
    await cluster.ready()


@pytest.fixture
async def any_store(any_redis: Redis | RedisCluster) -> AsyncIterator[AnyClient]:
    """A client of ``any_redis``."""
    client: AnyClient
    if isinstance(any_redis, RedisCluster):
        servers = [ClusterNode("127.0.0.1", server.port) for server in any_redis.servers]
        client = redis.asyncio.RedisCluster(startup_nodes=servers, retry=RETRY)
    else:
        client = redis.asyncio.Redis.from_url(any_redis.url)
    yield client
    await client.aclose()


@pytest.fixture
def room(request: pytest.FixtureRequest) -> str:
    """A room of the test's own."""
    return "".join(c if c.isalnum() else "-" for c in request.node.name)[:100]


@pytest.fixture
async def yjs() -> AsyncIterator[YjsHost]:
    async with yjs_clients() as host:
        yield host
    assert not host.complaints, host.complaints


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """Where a test puts what is to be closed at its end."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def callers(nodes: tuple[Node, Node]) -> AsyncIterator[list[Caller]]:
    """A caller of the HTTP API for each node."""
    async with calling(*nodes) as both:
        yield both
