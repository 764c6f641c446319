"""Four nodes on one Redis behind a real nginx, and HTTP without cookies."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.deploy.polling import cookieless
from tests.support.processes import (
    ROOT,
    Node,
    Process,
    Redis,
    free_port,
    running,
    tool,
    until_ready,
)


class Nginx(Process):
    """nginx as the Procfile starts it, in front of what listens on some ports."""

    def __init__(self, home: Path, *ports: int) -> None:
        tool("nginx")
        self.port = free_port()
        self.api_port = free_port()
        self.home = home
        super().__init__(
            "sh", str(ROOT / "deploy" / "cluster.sh"), "nginx",
            env={
                "CLUSTER_PORT": str(self.port),
                "CLUSTER_API_PORT": str(self.api_port),
                "CLUSTER_NODE_PORTS": " ".join(map(str, ports)),
                "CLUSTER_HOME": str(home),
            },
        )  # fmt: skip

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"

    async def start(self) -> None:
        await super().start()
        await until_ready(self.url, self)

    def requests(self) -> list[dict[str, str]]:
        """Return what the access log says."""
        log = (self.home / "nginx" / "access.log").read_text()
        return [json.loads(line) for line in log.splitlines()]


class Cluster:
    """Nodes that share a Redis, behind one nginx."""

    def __init__(self, home: Path, redis: Redis, *names: str) -> None:
        self.nodes = {name: Node(redis.url, name, COLLAB_DRAIN_TIME="0.2") for name in names}
        self.nginx = Nginx(home, *(node.port for node in self.nodes.values()))

    @property
    def url(self) -> str:
        return self.nginx.url

    @property
    def api_url(self) -> str:
        return self.nginx.api_url


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
