"""A node stands still, its clients go to another node, and then it goes on with what it had."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import redis.asyncio

from collab.wire.standstill import STOOD_STILL
from tests.cluster.wire import wire_member
from tests.faults.conftest import Cluster, status
from tests.support.clients import JsHost, eventually
from tests.support.processes import Node, get_metrics, running
from tests.support.proxy import Proxy, proxy
from tests.support.yjs import yjs_clients

CLIENTS, LENGTH = 80, 60_000
"""Clients that send a text to a frozen node, and its characters: 4.8 MB lie in its sockets."""
HELD_BYTES = 3 << 20
"""What the node may hold for all of them."""


@pytest.fixture
async def way(cluster: Cluster) -> AsyncIterator[Proxy]:
    """A client's way to node ``b``, which a load balancer can lead to another node."""
    async with proxy(cluster.b.port) as leading:
        yield leading


async def test_what_a_page_sent_to_a_frozen_node_and_again_to_another_is_there_once(
    cluster: Cluster, way: Proxy, js: JsHost, store: redis.asyncio.Redis, room: str
) -> None:
    page = await js.connect(f"http://127.0.0.1:{way.port}")
    await page.join(room)
    assert await page.change(room, "one ") == {"ok": True}
    with cluster.b.frozen():
        page.emit("change", {"room": room, "code": "one two "})  # it stays in the node's socket
        await asyncio.sleep(0.2)
        way.target = cluster.a.port
        way.cut_unnoticed()
        await page.until_reconnected()
        assert await page.change(room, "one two three ") == {"ok": True}
    await status(cluster.b, 200)
    cold = await js.connect(cluster.b.url)
    await cold.join(room)
    await cold.shows("one two three ")
    assert await cold.change(room, "zero one two three ") == {"ok": True}
    await page.shows("zero one two three ")
    assert await store.get(f"code_{room}") == b"zero one two three "
    await eventually(lambda: "the node stood still" in cluster.b.output())


async def test_what_a_yjs_member_sent_to_a_frozen_node_is_taken_when_the_node_goes_on(
    cluster: Cluster, store: redis.asyncio.Redis, room: str
) -> None:
    async with yjs_clients() as host:
        member = await host.connect(cluster.b.url, room)
        with cluster.b.frozen():
            member.insert(0, "pasted " * 100)
            await asyncio.sleep(2 * STOOD_STILL)
        await member.stored()
        assert await store.get(f"code_{room}") == b"pasted " * 100
        assert not member.of("close"), "the node has ended the connection"
    assert "session failed" not in cluster.b.output()


async def test_a_node_that_was_frozen_holds_no_more_than_it_may_and_lets_nobody_go(
    cluster: Cluster, room: str
) -> None:
    node = Node(cluster.redis.url, "small", COLLAB_MAX_HELD_BYTES=str(HELD_BYTES))
    async with running(node), AsyncExitStack() as stack:
        members = [await stack.enter_async_context(wire_member(node.url)) for _ in range(CLIENTS)]
        rooms = [f"{room[:80]}-{number}" for number in range(CLIENTS)]
        await asyncio.gather(*(m.join(r) for m, r in zip(members, rooms, strict=True)))
        with node.frozen():
            answers = [
                await member.type(name, chr(97 + number % 26) * LENGTH)
                for number, (member, name) in enumerate(zip(members, rooms, strict=True))
            ]
            await asyncio.sleep(2)
        async with asyncio.timeout(10):
            assert all(answer["ok"] for answer in await asyncio.gather(*answers))
        let_go = {
            name: value
            for name, value in (await get_metrics(node.url)).items()
            if name.startswith("collab_let_go_total")
        }
        assert sum(let_go.values()) == 0, let_go
