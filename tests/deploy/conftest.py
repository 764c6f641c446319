"""Four nodes on one Redis behind a real nginx, and HTTP without cookies."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.deploy.polling import cookieless
from tests.support.cluster import Cluster
from tests.support.processes import Redis, running


@pytest.fixture(scope="session")
async def redis_server() -> AsyncIterator[Redis]:
    server = Redis()
    async with running(server):
        yield server


@pytest.fixture(scope="session")
async def cluster(
    redis_server: Redis, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Cluster]:
    four = Cluster(tmp_path_factory.mktemp("cluster"), redis_server, "a", "b", "c", "d")
    async with running(*four.nodes.values(), four.nginx):
        yield four
    for node in four.nodes.values():
        assert "Traceback" not in node.output(), node.output()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with cookieless() as session:
        yield session
