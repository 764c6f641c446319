"""What runs in the pods of deploy/kubernetes: the route keys, and nodes that come and go."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import psutil
import pytest
import redis.asyncio

from tests.deploy.polling import ANSWER_TIMEOUT, PollingClient, SessionLost
from tests.support.clients import eventually
from tests.support.nameserver import NameServer, name_server
from tests.support.pods import (
    NODES_NAME,
    PodNginx,
    Pods,
    secrets_of_a_new_cluster,
)
from tests.support.processes import ROOT, running

PLACE = ROOT / "deploy" / "nginx" / "kubernetes" / "place.sh"


class Demo:
    """Two nodes, at 127.0.0.2 and 127.0.0.3, and two nginx, which learn of the nodes by name."""

    def __init__(self, home: Path, *names: NameServer) -> None:
        self.pods = pods = Pods(home)
        self.redis = pods.redis()
        self.nodes = [pods.node(number, self.redis) for number in (2, 3)]
        self.nginx, self.other_nginx = (pods.nginx(f"nginx-{each.port}", each) for each in names)
        self._names = names

    def answer(self, *numbers: int) -> None:
        """Let the name servers answer with the addresses of these nodes."""
        for each in self._names:
            each.addresses = [f"127.0.0.{number}" for number in numbers]


@pytest.fixture(scope="module")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Demo]:
    """Each nginx starts with another node, so that they have the nodes in different orders."""
    async with (
        name_server(NODES_NAME, "127.0.0.2") as names,
        name_server(NODES_NAME, "127.0.0.3") as other_names,
    ):
        demo = Demo(tmp_path_factory.mktemp("pods"), names, other_names)
        async with (
            running(demo.redis),
            running(*demo.nodes),
            running(demo.nginx, demo.other_nginx),
            aiohttp.ClientSession() as http,
        ):
            demo.answer(2, 3)
            await learns_of(demo.nginx, "127.0.0.3", http)
            await learns_of(demo.other_nginx, "127.0.0.2", http)
            yield demo
        for nginx in (demo.nginx, demo.other_nginx):
            assert "[emerg]" not in nginx.output() and "[warn]" not in nginx.output()


async def clients_of(
    http: aiohttp.ClientSession, nginx: PodNginx, many: int
) -> list[PollingClient]:
    """Let clients with long-polling connect through nginx; each joins a room of its own."""
    clients = [await PollingClient(http, nginx.url).connect() for _ in range(many)]
    for client in clients:
        await client.join(secrets.token_hex(4))
    return clients


async def stay(clients: list[PollingClient], rounds: int = 3) -> None:
    """Check that each client's requests reach the node of its session."""
    for _ in range(rounds):
        for client in clients:
            home = client.node
            assert await client.join(secrets.token_hex(4)) == home


async def learns_of(nginx: PodNginx, address: str, http: aiohttp.ClientSession) -> None:
    """Send requests with many keys, until nginx sends one to the node with this address."""
    before = nginx.requests_of(address)
    async with asyncio.timeout(ANSWER_TIMEOUT):
        while nginx.requests_of(address) == before:
            async with http.get(f"{nginx.url}/assets/none?room={secrets.token_hex(4)}"):
                await asyncio.sleep(0.02)


async def forgets(nginx: PodNginx, address: str, http: aiohttp.ClientSession) -> None:
    """Send requests with many keys, until nginx sends none to the pod with this address."""
    async with asyncio.timeout(ANSWER_TIMEOUT):
        while True:
            before = nginx.requests_of(address)
            for _ in range(24):
                async with http.get(f"{nginx.url}/assets/none?room={secrets.token_hex(4)}"):
                    pass
            if nginx.requests_of(address) == before:
                return


async def test_the_requests_of_a_session_and_the_members_of_a_room_are_on_one_node(
    demo: Demo, http: aiohttp.ClientSession
) -> None:
    clients = await clients_of(http, demo.nginx, 12)
    assert {client.node for client in clients} == {"collab-2", "collab-3"}
    await stay(clients)
    for _ in range(4):
        room = f"q:{secrets.token_hex(4)}"
        named = [PollingClient(http, demo.nginx.url, room=room) for _ in range(3)]
        assert len({await (await client.connect()).join(room) for client in named}) == 1


async def test_nginx_learns_of_a_new_pod_and_all_sessions_stay_where_they_are(
    demo: Demo, http: aiohttp.ClientSession
) -> None:
    clients = await clients_of(http, demo.nginx, 12)
    demo.answer(3, 4, 2)
    await learns_of(demo.nginx, "127.0.0.4", http)  # before it listens
    await stay(clients, 1)
    async with running(demo.pods.node(4, demo.redis)):
        await stay(clients)
        assert "404, 200" not in demo.nginx.output(), "nginx knew the node of each session"
        more = await clients_of(http, demo.nginx, 24)
        assert {client.node for client in more} == {"collab-2", "collab-3", "collab-4"}
        await stay(more, 1)
        demo.answer(2, 3)


async def test_a_pod_that_drains_gets_what_its_polling_clients_still_send(
    demo: Demo, http: aiohttp.ClientSession
) -> None:
    """Its address stays in the list until it has ended: publishNotReadyAddresses."""
    node = demo.pods.node(5, demo.redis)
    room = secrets.token_hex(4)
    demo.answer(2, 3, 5)
    async with running(node):
        await learns_of(demo.nginx, "127.0.0.5", http)
        clients = await clients_of(http, demo.nginx, 24)
        leaving = [client for client in clients if client.node == "collab-5"]
        await leaving[0].join(room)
        stopping = asyncio.create_task(node.stop())
        await eventually(lambda: '"event":"draining"' in node.output())
        await leaving[0].send("change", {"room": room, "code": "the last words"})
        new = await clients_of(http, demo.nginx, 8)
        assert await stopping == 0
    demo.answer(2, 3)
    await stay([client for client in clients if client not in leaving] + new)
    for client in leaving:
        with pytest.raises(SessionLost):
            await client.join("gone")
    async with redis.asyncio.from_url(node.redis_url) as store:
        assert await store.get(f"code_{room}") == b"the last words"


async def test_a_session_survives_when_its_requests_reach_several_nginx(
    demo: Demo, http: aiohttp.ClientSession
) -> None:
    """Each nginx has its own list of sessions; one that does not know a session tries the nodes."""
    for nginx in (demo.nginx, demo.other_nginx):
        await forgets(nginx, "127.0.0.5", http)  # the pod of the test before
    clients = await clients_of(http, demo.nginx, 8)
    homes = [client.node for client in clients]
    for nginx in (demo.other_nginx, demo.nginx, demo.other_nginx):
        for client in clients:
            client._url = f"{nginx.url}/socket.io/"
        await stay(clients, 1)
    assert [client.node for client in clients] == homes


async def test_the_demo_is_open_to_people_and_its_api_to_the_key_of_the_secret(
    demo: Demo, http: aiohttp.ClientSession
) -> None:
    api = f"http://127.0.0.1:{demo.nginx.api_port}/api/rooms"
    async with http.get(api) as refused:
        assert refused.status == 401
    key = demo.pods.secrets["collab"]["api-keys"].rpartition(":")[2]
    async with http.get(api, headers={"Authorization": f"Bearer {key}"}) as answer:
        assert answer.status == 200
    async with http.get(f"{demo.nginx.url}/metrics") as metrics:
        assert metrics.status == 404


@pytest.mark.parametrize(
    ("forwarded_for", "client"),
    [
        ("", "127.0.0.1"),
        ("203.0.113.9", "203.0.113.9"),
        ("192.0.2.1, 203.0.113.9, 172.16.0.4", "203.0.113.9"),
    ],
)
async def test_who_comes_through_a_proxy_of_the_cluster_counts_by_its_own_address(
    demo: Demo, http: aiohttp.ClientSession, forwarded_for: str, client: str
) -> None:
    """A client may have written the addresses before its own."""
    path = f"/assets/{secrets.token_hex(4)}"
    async with http.get(demo.nginx.url + path, headers={"X-Forwarded-For": forwarded_for}):
        pass
    await eventually(lambda: path in demo.nginx.output())
    [line] = [line for line in demo.nginx.output().splitlines() if path in line]
    assert f'"client":"{client}"' in line


def test_every_cluster_has_secrets_of_its_own() -> None:
    one, other = secrets_of_a_new_cluster(), secrets_of_a_new_cluster()
    values = [text for each in (one, other) for text in each["collab"].values()]
    assert len(set(values)) == len(values) == 6


def test_nginx_has_as_many_workers_on_a_large_machine_as_on_a_small_one(demo: Demo) -> None:
    assert len(psutil.Process(demo.nginx.pid).children()) == 2
    assert "worker_processes 2;" in (demo.nginx.home / "config" / "nginx.conf").read_text()


def test_without_the_domain_of_a_namespace_nginx_does_not_start(tmp_path: Path) -> None:
    resolv = "nameserver 10.0.0.2\nsearch ec2.internal\n"
    done = subprocess.run(
        ["sh", str(PLACE), str(tmp_path)], input=resolv, text=True, capture_output=True
    )
    assert done.returncode == 1 and "dnsPolicy must be ClusterFirst" in done.stderr
