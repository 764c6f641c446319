"""A node stands still, its clients go to another node, and then it goes on with what it had."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from tests.faults.conftest import Cluster, status
from tests.support.clients import JsHost, eventually
from tests.support.proxy import Proxy, proxy


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
