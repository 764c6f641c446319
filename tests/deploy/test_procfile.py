"""The Procfile: one command starts the whole cluster, without containers and root."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.deploy.polling import PollingClient
from tests.support.ports import free_port
from tests.support.processes import Process, running, tool, until_ready

NODES = {"node1", "node2", "node3", "node4"}
RETURN_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
"""honcho's exit codes after these signals."""


class Honcho(Process):
    """``honcho start``, on free ports."""

    def __init__(self, home: Path, **env: str) -> None:
        tool("redis-server")
        tool("nginx")
        self.ports = [free_port() for _ in range(7)]
        self.port, self.api_port, redis, *self.nodes = self.ports
        super().__init__(
            sys.executable, "-m", "honcho", "start",
            env={
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "CLUSTER_HOME": str(home),
                "CLUSTER_PORT": str(self.port),
                "CLUSTER_API_PORT": str(self.api_port),
                "CLUSTER_REDIS_PORT": str(redis),
                "CLUSTER_NODE_PORTS": " ".join(map(str, self.nodes)),
                **env,
            },
        )  # fmt: skip

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        await super().start()
        for port in (*self.nodes, self.port):
            await until_ready(f"http://127.0.0.1:{port}", self)


async def is_open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@pytest.mark.parametrize("how", RETURN_CODES, ids=lambda how: how.name)
async def test_the_procfile_starts_a_cluster_and_ends_it_cleanly(
    tmp_path: Path, http: aiohttp.ClientSession, how: signal.Signals
) -> None:
    """Ctrl-C, or a supervisor's SIGTERM, while clients are connected, needs no SIGKILL."""
    honcho = Honcho(tmp_path)
    async with running(honcho):
        async with http.get(honcho.url) as page:
            assert page.status == 200
            assert "<!doctype html>" in (await page.text()).lower()
        clients: list[PollingClient] = []
        while {client.node for client in clients} != NODES:
            client = await PollingClient(http, honcho.url).connect()
            await client.upgrade()
            await client.join("everybody")
            clients.append(client)
        code = secrets.token_hex(4)
        await clients[0].ask("change", {"room": "everybody", "code": code})
        for client in clients[1:]:
            while (await client.receive("receive"))["code"] != code:
                pass
        assert await honcho.stop(how) == RETURN_CODES[how]
        await asyncio.gather(*(client.close() for client in clients))
    assert "SIGKILL" not in honcho.output(), honcho.output()
    assert "Traceback" not in honcho.output(), honcho.output()
    assert not any([await is_open(port) for port in honcho.ports])


async def test_the_procfiles_nodes_require_the_key_from_its_environment(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    key = secrets.token_hex(16)
    honcho = Honcho(tmp_path, COLLAB_API_KEY=key)
    rooms = f"http://127.0.0.1:{honcho.api_port}/api/rooms"
    async with running(honcho):
        async with http.get(rooms) as asked:
            assert asked.status == 401
        async with http.get(rooms, headers={"Authorization": f"Bearer {key}"}) as asked:
            assert asked.status == 200
    assert key not in honcho.output()
