"""deploy/gunicorn.conf.py: a node under gunicorn."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time

import aiohttp

from tests.deploy.polling import PollingClient
from tests.support.backlog import waiting_connections
from tests.support.clients import eventually
from tests.support.ports import free_port
from tests.support.processes import ROOT, Process, Redis, running, until_ready

BOOT_FAILED = 3
USAGE = 2
DRAIN_TIME = 2


class Gunicorn(Process):
    """gunicorn with the repository's configuration."""

    def __init__(self, *options: str, **env: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        super().__init__(
            sys.executable, "-m", "gunicorn", "-c", str(ROOT / "deploy" / "gunicorn.conf.py"),
            *options, env={"COLLAB_PORT": str(self.port), "COLLAB_NODE_ID": "green", **env},
        )  # fmt: skip


async def test_a_node_under_gunicorn_serves_and_ends_gracefully(
    redis_server: Redis, http: aiohttp.ClientSession
) -> None:
    env = {"REDIS_URL": redis_server.url, "COLLAB_DRAIN_TIME": str(DRAIN_TIME)}
    gunicorn = Gunicorn(**env, COLLAB_LOG_FORMAT="json")
    async with running(gunicorn):
        await until_ready(gunicorn.url, gunicorn)
        clients = [await PollingClient(http, gunicorn.url).connect() for _ in range(4)]
        for client in clients:
            assert await client.join("under-gunicorn") == "green"
        await clients[0].upgrade()
        _, writer = await asyncio.open_connection("127.0.0.1", gunicorn.port)
        writer.write(b"GET / HTTP/1.1\r\nno header\r\n\r\n")
        await eventually(lambda: '"event":"bad request"' in gunicorn.output())
        writer.close()
        began = time.monotonic()
        assert await gunicorn.stop() == 0
        assert time.monotonic() - began < DRAIN_TIME + 2
        await clients[0].close()
    lines = gunicorn.output().splitlines()
    assert all(line.startswith('{"time":') for line in lines), gunicorn.output()
    records = [json.loads(line) for line in lines]
    events = [line["event"] for line in records]
    assert "stopped" in events
    [ready] = [line for line in records if line["event"] == "ready"]
    assert ready["url"] == gunicorn.url
    assert {line["node"] for line in records} == {"green"}
    assert not any("traceback" in line for line in records)


async def test_under_gunicorn_the_ready_line_has_the_port_and_the_backlog_is_the_configured_one(
    redis_server: Redis,
) -> None:
    gunicorn = Gunicorn(REDIS_URL=redis_server.url, COLLAB_PORT="0", COLLAB_LOG_FORMAT="json")
    async with running(gunicorn):
        ready = await eventually(lambda: re.search('"event":"ready".*', gunicorn.output()))
        [port] = re.findall(r"http://127.0.0.1:([1-9][0-9]*)", ready[0])
        assert waiting_connections(int(port), gunicorn.pid, 400) == 400


async def test_workers_and_their_supervisor_log_the_same_generated_name(
    redis_server: Redis, http: aiohttp.ClientSession
) -> None:
    gunicorn = Gunicorn(REDIS_URL=redis_server.url, COLLAB_NODE_ID="", COLLAB_LOG_FORMAT="json")
    async with running(gunicorn):
        await until_ready(gunicorn.url, gunicorn)
        async with http.get(gunicorn.url + "/healthz") as answer:
            name = (await answer.json())["node"]
    assert {json.loads(line)["node"] for line in gunicorn.output().splitlines()} == {name}


async def test_more_than_one_worker_is_refused() -> None:
    gunicorn = Gunicorn("--workers", "2")
    await gunicorn.start()
    assert await gunicorn.wait() == USAGE
    assert "collab: 2 workers behind one socket break long-polling" in gunicorn.output()


async def test_an_unreachable_redis_gives_one_clear_line() -> None:
    gunicorn = Gunicorn(REDIS_URL=f"redis://127.0.0.1:{free_port()}", COLLAB_REDIS_WAIT="0.2")
    await gunicorn.start()
    assert await gunicorn.wait() == BOOT_FAILED
    assert gunicorn.output().count("Redis can't be reached") == 1
    assert "Traceback" not in gunicorn.output()


async def test_a_bad_variable_gives_one_clear_line() -> None:
    gunicorn = Gunicorn(COLLAB_DRAIN_TIME="soon")
    await gunicorn.start()
    assert await gunicorn.wait() == USAGE
    assert gunicorn.output() == "collab: COLLAB_DRAIN_TIME: 'soon' is not a number of seconds\n"
