"""Heartbeats end connections of clients that are gone, and no others."""

from __future__ import annotations

import asyncio
import time

from tests.faults.conftest import Cluster
from tests.support.clients import eventually
from tests.support.processes import Node, running
from tests.support.proxy import proxy
from tests.support.yjs import yjs_clients

INTERVAL, PONG_TIMEOUT = 0.2, 1.5
DELAY = 0.1
"""Seconds on the wire, each way: a PONG takes longer than half an interval."""


async def test_a_yjs_client_on_a_slow_link_stays_connected_until_it_does_not_answer_in_time(
    cluster: Cluster, room: str
) -> None:
    node = Node(
        cluster.redis.url, "beating",
        COLLAB_PING_INTERVAL=str(INTERVAL), COLLAB_PING_TIMEOUT=str(PONG_TIMEOUT),
    )  # fmt: skip
    async with running(node), proxy(node.port, DELAY) as link, yjs_clients() as yjs:
        client = await yjs.connect(f"http://127.0.0.1:{link.port}", room)
        await asyncio.sleep(6 * INTERVAL)
        assert client.last("close") is None and '"disconnected"' not in node.output()
        link.stall()
        began = time.monotonic()
        await eventually(lambda: '"disconnected"' in node.output())
        took = time.monotonic() - began
        assert PONG_TIMEOUT - INTERVAL < took < PONG_TIMEOUT + 2 * INTERVAL + 1
        link.resume()
