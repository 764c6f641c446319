"""The Redis of a cluster: only nodes get in, with what they need; nobody sees the password."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import psutil
import pytest
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError

from tests.deploy.polling import PollingClient
from tests.deploy.test_procfile import Honcho
from tests.support.clients import eventually
from tests.support.processes import ROOT, Node, Redis, running, tool

START = ROOT / "deploy" / "redis" / "start.sh"
ADMIN = "user admin on nopass ~* &* +@all\n"
"""A user of these tests, which reads what Redis has refused to others."""


def connected(port: int, user: str | None = None, password: str = "") -> redis.asyncio.Redis:
    """Return a client that tries once."""
    retry = Retry(NoBackoff(), 0)
    return redis.asyncio.Redis(port=port, username=user, password=password or None, retry=retry)


class ComposeRedis(Redis):
    """Redis as Compose starts it. ``home`` is the folder that the nodes share."""

    def __init__(self, home: Path) -> None:
        super().__init__()
        self.home = home
        tool("redis-server")
        self.command = ("sh", str(START), str(home), *self.command[1:])

    @property
    def login(self) -> str:
        """The URL for the nodes, with the address of this machine instead of Compose's name."""
        url = (self.home / "url").read_text().strip()
        assert re.fullmatch(r"redis://collab:[0-9a-f]{64}@redis:6379/0", url)
        return url.replace("@redis:6379", f"@127.0.0.1:{self.port}")

    @property
    def password(self) -> str:
        return self.login.split(":")[2].split("@")[0]

    def client(self, user: str, password: str = "any") -> redis.asyncio.Redis:
        return connected(self.port, user, password)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ComposeRedis]:
    """A Redis with its login, and with the user of these tests."""
    there = ComposeRedis(tmp_path)
    async with running(there):
        pass
    with (tmp_path / "users").open("a") as users:
        users.write(ADMIN)
    async with running(there):
        yield there


def command_lines() -> str:
    """Return the command lines of all processes, as everybody on the machine can read them."""
    return "\n".join(
        " ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])
    )


async def test_the_login_is_made_once_and_is_random(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, other = ComposeRedis(tmp_path / "a"), ComposeRedis(tmp_path / "b")
    async with running(one, other):
        login = one.login
        assert one.password != other.password
        assert one.password not in command_lines() + (one.home / "users").read_text()
    async with running(one):
        assert one.login == login


async def test_nobody_without_the_login_gets_in_and_a_probe_may_only_ping(
    server: ComposeRedis,
) -> None:
    for stranger in (
        connected(server.port),
        server.client("default"),
        server.client("default", server.password),
        server.client("collab", "guess"),
    ):
        async with stranger:
            with pytest.raises(AuthenticationError):
                await stranger.ping()
    async with server.client("probe") as probe:
        assert await probe.ping()
        with pytest.raises(NoPermissionError):
            await probe.get("code_r")


async def test_the_nodes_may_use_their_keys_and_channels_and_nothing_that_ends_or_empties_redis(
    server: ComposeRedis,
) -> None:
    async with server.client("collab", server.password) as node:
        await node.set("code_r", "x")
        for refused in (
            ("SET", "theirs", "x"), ("GET", "theirs"), ("PUBLISH", "theirs", "x"), ("FLUSHALL",),
            ("KEYS", "*"), ("CONFIG", "SET", "maxmemory", "1"), ("ACL", "LIST"), ("SHUTDOWN",),
            ("MONITOR",), ("CLIENT", "LIST"), ("REPLICAOF", "127.0.0.1", "1"), ("MODULE", "LIST"),
        ):  # fmt: skip
            with pytest.raises(NoPermissionError):
                await node.execute_command(*refused)  # type: ignore[no-untyped-call]


async def test_nodes_with_the_login_do_everything_and_redis_refuses_them_nothing(
    server: ComposeRedis, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    url = tmp_path / "login"
    url.write_text(server.login)
    settings = {"COLLAB_DRAIN_TIME": "0.2", "COLLAB_CHECK_INTERVAL": "0.1"}
    settings |= {"COLLAB_WEBHOOK_URL": "http://127.0.0.1:9/", "COLLAB_WEBHOOK_BACKOFF": "0.01"}
    settings |= {"COLLAB_WEBHOOK_SECRET": "A" * 32, "COLLAB_WEBHOOK_ATTEMPTS": "2"}
    a, b = (Node("", name, REDIS_URL_FILE=str(url), **settings) for name in "ab")
    async with running(a, b):
        api = f"{b.url}/api/rooms"
        ann = await PollingClient(http, a.url).connect()
        await ann.join("r")
        bob = await PollingClient(http, b.url).connect()
        await bob.join("r")
        assert (await ann.ask("change", {"room": "r", "code": "one\n"}))["ok"]
        while (await bob.receive("receive"))["code"] != "one\n":
            pass
        async with http.ws_connect(f"{b.url}/yjs/r") as yjs:
            assert (await yjs.receive(timeout=5)).type is aiohttp.WSMsgType.BINARY
        async with http.put(f"{api}/r", json={"code": "two\n", "base": "one\n"}) as put:
            assert put.status == 200, await put.text()
        while (await ann.receive("receive"))["code"] != "two\n":
            pass
        for path in ("", "/r", "/r/history"):
            async with http.get(api + path) as read:
                assert read.status == 200, await read.text()
        await a.stop()  # leaves the views of its members to the other node
        async with http.delete(f"{api}/r") as ended:
            assert ended.status == 204
        assert (await bob.receive("error"))["code"] == "room_closed"
        async with http.get(f"{b.url}/readyz") as ready:
            assert ready.status == 200
        assert server.password not in command_lines()
        await eventually(lambda: "not delivered, and not tried again" in a.output() + b.output())
        async with server.client("admin") as admin:
            assert await admin.acl_log() == []
    for node in (a, b):
        assert server.password not in node.output()
        assert not re.search("NOPERM|no permissions|maxmemory-policy", node.output())


async def test_the_procfiles_redis_asks_for_the_password_of_a_file(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    password = secrets.token_hex(16)
    (tmp_path / "password").write_text(password)
    honcho = Honcho(tmp_path / "home", CLUSTER_REDIS_PASSWORD_FILE=str(tmp_path / "password"))
    async with running(honcho):
        client = await PollingClient(http, honcho.url).connect()
        await client.join("r")
        assert (await client.ask("change", {"room": "r", "code": "x"}))["ok"]
        async with connected(honcho.ports[2]) as stranger:
            with pytest.raises(AuthenticationError):
                await stranger.get("code_r")
        assert password not in command_lines()
        await client.close()
        assert await honcho.stop() == 143
    assert password not in honcho.output() and "SIGKILL" not in honcho.output(), honcho.output()


@pytest.mark.parametrize("password", ["", "a b", "a@b", "a/b\n"])
async def test_a_password_that_a_url_cannot_have_is_refused(tmp_path: Path, password: str) -> None:
    (tmp_path / "password").write_text(password)
    honcho = Honcho(tmp_path / "home", CLUSTER_REDIS_PASSWORD_FILE=str(tmp_path / "password"))
    with pytest.raises(AssertionError, match="the password must have letters"):
        async with running(honcho):
            pass
