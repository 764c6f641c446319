"""nginx routes every request of a session to its node, only by what all clients send."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections import Counter
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from tests.deploy.polling import ANSWER_TIMEOUT, PollingClient, SessionLost
from tests.support.clients import eventually
from tests.support.cluster import Cluster
from tests.support.processes import Redis, running

CLIENTS = 40
REQUESTS = 50
FAIR_SHARE = 0.6
"""The maximum share of the clients on one of four nodes; a random share is far below."""


async def served_by(
    cluster: Cluster, http: aiohttp.ClientSession, path: str, query: str = ""
) -> str:
    """Request a unique path; return the node that received the request, from nginx' log."""
    url = cluster.api_url if path.startswith("/api/") else cluster.url
    async with http.get(URL(f"{url}{path}{query}", encoded=True)):
        pass
    line = await eventually(
        lambda: next((line for line in cluster.nginx.requests() if line["path"] == path), None),
        f"nginx logged no request for {path}",
    )
    port = int(line["upstream"].rsplit(":", 1)[1])
    return next(name for name, node in cluster.nodes.items() if node.port == port)


async def test_forty_clients_of_one_address_spread_over_four_nodes_and_each_stays_on_its_node(
    cluster: Cluster, http: aiohttp.ClientSession
) -> None:
    async def connect_and_join(number: int) -> PollingClient:
        client = await PollingClient(http, cluster.url).connect()
        await client.join(f"forty-{number}")
        return client

    async def stay(number: int, client: PollingClient) -> None:
        home = client.node
        while client.requests < REQUESTS:
            assert await client.join(f"forty-{number}") == home
        await client.upgrade()
        assert await client.join(f"forty-{number}") == home
        await client.close()

    clients = await asyncio.gather(*map(connect_and_join, range(CLIENTS)))
    share = Counter(client.node for client in clients)
    assert set(share) == set(cluster.nodes), share
    assert max(share.values()) <= FAIR_SHARE * CLIENTS, share
    await asyncio.gather(*(stay(number, client) for number, client in enumerate(clients)))
    keys = {client.sid.split(".")[0] for client in clients}
    assert len(keys) == CLIENTS, "every session has a key of its own"


async def test_a_client_cannot_choose_its_key(
    cluster: Cluster, http: aiohttp.ClientSession
) -> None:
    """With a chosen key an attacker could fill one node with its maximum of connections."""
    http.headers["X-Route-Key"] = "mine"
    clients = [await PollingClient(http, cluster.url).connect() for _ in range(3)]
    assert not any(client.sid.startswith("mine") for client in clients)


@pytest.mark.parametrize("transport", ["polling", "websocket", "upgrade"])
async def test_clients_that_name_the_same_room_in_the_query_are_on_one_node(
    cluster: Cluster, http: aiohttp.ClientSession, transport: str
) -> None:
    room = f"interview:{secrets.token_hex(4)}"

    async def connect_and_join() -> str:
        client = PollingClient(http, cluster.url, room=room)
        await client.connect(transport="websocket" if transport == "websocket" else "polling")
        if transport == "upgrade":
            await client.upgrade()
        node = await client.join(room)
        assert await client.join(room) == node
        await client.close()
        return node

    assert len(set(await asyncio.gather(*(connect_and_join() for _ in range(16))))) == 1


async def test_rooms_named_in_the_query_spread_over_the_nodes(
    cluster: Cluster, http: aiohttp.ClientSession
) -> None:
    rooms = [secrets.token_hex(4) for _ in range(CLIENTS)]
    nodes = [await served_by(cluster, http, f"/assets/{room}", f"?room={room}") for room in rooms]
    assert set(nodes) == set(cluster.nodes)


@pytest.mark.parametrize("form", ["{}", "q:{}", "q:2:{}", "q:2:a:{}"])
async def test_a_room_in_the_path_is_on_the_same_node_as_the_room_in_the_query(
    cluster: Cluster, http: aiohttp.ClientSession, form: str
) -> None:
    """All endpoints of a room are on one node, whether a client encodes the colons in it or not."""
    for _ in range(4):
        room = form.format(secrets.token_hex(4))
        encoded = room.replace(":", "%3A")
        homes = {
            await served_by(cluster, http, f"/yjs/{room}"),
            await served_by(cluster, http, f"/api/rooms/{room}"),
            await served_by(cluster, http, f"/api/rooms/{room}/history"),
            await served_by(cluster, http, f"/assets/a{room}", f"?room={room}"),
            await served_by(cluster, http, f"/assets/b{room}", f"?x=1&room={encoded}"),
        }
        assert len(homes) == 1, room


async def test_an_empty_room_in_the_query_is_ignored(
    cluster: Cluster, http: aiohttp.ClientSession
) -> None:
    clients = [await PollingClient(http, cluster.url, room="").connect() for _ in range(16)]
    nodes = [await client.join(f"empty-{n}") for n, client in enumerate(clients)]
    assert len(set(nodes)) > 1


async def test_the_clients_of_a_killed_node_move_to_the_other_and_no_other_client_moves(
    redis_server: Redis, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    two = Cluster(tmp_path, redis_server, "lost", "left")

    async def reconnect(client: PollingClient, number: int, **query: str) -> PollingClient:
        async with asyncio.timeout(ANSWER_TIMEOUT):
            while True:
                try:
                    await client.join(f"killed-{number}")
                    return client
                except (SessionLost, aiohttp.ClientError):
                    await client.close()
                    client = PollingClient(http, two.url, **query)
                    await client.connect()

    async with running(*two.nodes.values(), two.nginx):
        polling = [await PollingClient(http, two.url).connect() for _ in range(16)]
        upgraded = [await PollingClient(http, two.url).connect() for _ in range(16)]
        for client in upgraded:
            await client.upgrade()
        clients = polling + upgraded
        for number, client in enumerate(clients):
            await client.join(f"killed-{number}")
        assert {client.node for client in clients} == {"lost", "left"}
        author = next(n for n, client in enumerate(clients) if client.node == "lost")
        change = {"room": f"killed-{author}", "code": "kept"}
        assert (await clients[author].ask("change", change))["ok"]

        await two.nodes["lost"].stop(signal.SIGKILL)
        after = await asyncio.gather(*(reconnect(client, n) for n, client in enumerate(clients)))
        assert {client.node for client in after} == {"left"}
        assert (await after[author].receive("receive"))["code"] == "kept"
        for before, now in zip(clients, after, strict=True):
            assert (before is now) == (before.node == "left")
        for client in after:
            assert await client.join("a-room-more") == "left"
        by_room = [PollingClient(http, two.url, room=f"room-{n}") for n in range(8)]
        for client in by_room:
            assert await (await client.connect()).join("named") == "left"
        await asyncio.gather(*(client.close() for client in after))
        assert "sid=" not in two.nginx.output(), "an unreachable node must not leak query strings"


async def test_the_balancer_is_ready_with_its_nodes_and_does_not_publish_their_metrics(
    cluster: Cluster, http: aiohttp.ClientSession
) -> None:
    async with http.get(cluster.url + "/readyz") as ready:
        assert ready.status == 200
    async with http.get(cluster.url + "/metrics") as metrics:
        assert metrics.status == 404


async def test_the_access_log_has_no_query_strings(
    cluster: Cluster, http: aiohttp.ClientSession
) -> None:
    """Query strings hold tokens."""
    path = f"/assets/{secrets.token_hex(4)}"
    await served_by(cluster, http, path, "?token=do-not-log-me")
    assert "do-not-log-me" not in str(cluster.nginx.requests()) + cluster.nginx.output()


async def test_the_node_refuses_a_message_over_the_frame_limit_with_the_contracts_error(
    cluster: Cluster, http: aiohttp.ClientSession
) -> None:
    """nginx' limit is above the node's; otherwise clients would get nginx' HTML page."""
    client = await PollingClient(http, cluster.url).connect()
    await client.send("change", {"room": "large", "code": "x" * (3 << 20)})
    assert (await client.receive("error"))["code"] == "frame_too_large"
