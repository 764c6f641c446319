"""Redis Cluster and Sentinel with TLS, and with the user that deploy/redis/users.sh makes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.faults.conftest import SETTINGS, status
from tests.support.certificates import write_certificate
from tests.support.clients import JsHost
from tests.support.processes import ROOT, Node, running
from tests.support.redises import SERVICE, RedisCluster, WatchedRedis

PASSWORD = "a-password"
ADMIN = "user default on nopass ~* &* +@all\n"
"""In place of the file's line that turns this user off: the tests and the replicas use it."""


@pytest.fixture
def users(tmp_path: Path) -> Path:
    """Return an ACL file with the nodes' user as Compose makes it."""
    made = subprocess.run(
        ["sh", str(ROOT / "deploy" / "redis" / "users.sh")], input=PASSWORD, text=True,
        capture_output=True, check=True, timeout=10,
    )  # fmt: skip
    assert "user default off\n" in made.stdout
    path = tmp_path / "users.acl"
    path.write_text(made.stdout.replace("user default off\n", ADMIN))
    return path


def tls(certificate: Path, key: Path) -> list[str]:
    """Return the options of a server that answers with TLS only on its port."""
    return [
        "--tls-cert-file", str(certificate), "--tls-key-file", str(key),
        "--tls-ca-cert-file", str(certificate), "--tls-auth-clients", "no",
    ]  # fmt: skip


async def use(url: str, js: JsHost, rooms: list[str]) -> None:
    """Let members on two nodes edit, end and leave rooms; nothing may be refused by Redis."""
    nodes = Node(url, "a", **SETTINGS), Node(url, "b", **SETTINGS)
    async with running(*nodes):
        here, there = [await js.connect(node.url) for node in nodes]
        for room in rooms:
            for client in (here, there):
                assert (await client.join(room))["ok"]
            await here.change(room, room)
            await there.shows(room)
        for node in nodes:
            await status(node, 200)
    for node in nodes:
        assert "NOPERM" not in node.output() and "Traceback" not in node.output(), node.output()
        assert "permission" not in node.output(), node.output()


async def test_a_cluster_with_tls_lets_the_nodes_user_do_what_nodes_do(
    js: JsHost, room: str, users: Path, tmp_path: Path
) -> None:
    certificate, key = write_certificate(tmp_path)
    cluster = RedisCluster(
        "--aclfile", str(users), "--tls-cluster", "yes", *tls(certificate, key), replicas=0,
        cli=("--tls", "--cacert", str(certificate)),
    )  # fmt: skip
    cluster.use_tls()
    async with running(*cluster.servers):
        await cluster.create()
        hosts = cluster.url.partition("://")[2]
        url = f"rediss+cluster://collab:{PASSWORD}@{hosts}?ssl_ca_certs={certificate}"
        await use(url, js, [f"{room}-{number}" for number in range(12)])


async def test_sentinels_with_tls_and_their_own_users_lead_to_the_master(
    js: JsHost, room: str, users: Path, tmp_path: Path
) -> None:
    certificate, key = write_certificate(tmp_path)
    options = ("--aclfile", str(users), "--tls-replication", "yes", *tls(certificate, key))
    sentinel = [
        "tls-replication yes", "user default off",
        "user node on >other -@all +auth +sentinel|masters",
        *(line.removeprefix("--") for line in _pairs(tls(certificate, key))),
    ]  # fmt: skip
    redises = WatchedRedis(options, sentinel=sentinel)
    redises.use_tls()
    async with running(*redises.servers), running(*redises.sentinels):
        url = (
            f"rediss+sentinel://collab:{PASSWORD}@{redises.hosts}/{SERVICE}"
            f"?ssl_ca_certs={certificate}&sentinel_username=node&sentinel_password=other"
        )
        await use(url, js, [room])


def _pairs(words: list[str]) -> list[str]:
    return [f"{name} {value}" for name, value in zip(words[::2], words[1::2], strict=True)]
