"""Two nodes on one Redis, and clients."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import redis.asyncio

from tests.cluster.caller import Caller, calling
from tests.support.clients import JsHost, js_clients
from tests.support.processes import Node, Redis, running
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
