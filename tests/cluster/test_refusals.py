"""Who is turned away before a connection begins, and what is told to them, at both endpoints."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from collab.app import create_app
from collab.config import Config
from tests.support.processes import Node, Redis, get_metrics, running

PAGE = "https://peerprep.example"
WEBSOCKET = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==",
}  # fmt: skip
HANDSHAKES = {
    "polling": ("/socket.io/?EIO=4&transport=polling", {}),
    "websocket": ("/socket.io/?EIO=4&transport=websocket", WEBSOCKET),
    "yjs": ("/yjs/refused", WEBSOCKET),
}
"""Paths and headers of the requests that begin a connection."""
SOCKET_IO = ("polling", "websocket")


@asynccontextmanager
async def draining_node(redis: Redis) -> AsyncIterator[str]:
    """Run a node that shuts down, but whose port still answers; yield its URL.

    A node closes its port first. What reaches it all the same is a request that was under way.
    """
    app = create_app(Config.from_env({"REDIS_URL": redis.url, "COLLAB_DRAIN_TIME": "0"}))
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        await app.shutdown()
        yield f"http://127.0.0.1:{site.port}"
    finally:
        await runner.cleanup()


async def handshake(
    url: str, how: str, origin: str | None = PAGE
) -> tuple[int, Any, aiohttp.typedefs.LooseHeaders]:
    """Begin a connection; return the status, the JSON and the headers of the answer."""
    path, headers = HANDSHAKES[how]
    if origin is not None:
        headers = {**headers, "Origin": origin}
    async with (
        aiohttp.ClientSession() as session,
        session.get(url + path, headers=headers) as answer,
    ):
        return answer.status, await answer.json(content_type=None), answer.headers


@pytest.mark.parametrize("how", SOCKET_IO)
async def test_a_full_node_says_503_and_when_to_come_again(redis_server: Redis, how: str) -> None:
    node = Node(redis_server.url, "full", COLLAB_MAX_CONNECTIONS="1")
    async with (
        running(node),
        aiohttp.ClientSession() as session,
        session.ws_connect(node.url + HANDSHAKES["websocket"][0]),
    ):
        status, told, headers = await handshake(node.url, how)
        counted = await get_metrics(node.url)
    assert status == 503 and told["code"] == "node_full" and told["message"]
    assert headers["Retry-After"] == "1"
    assert headers["Access-Control-Allow-Origin"] == PAGE
    assert counted['collab_errors_total{code="node_full"}'] == 1
    assert "Traceback" not in node.output()


@pytest.mark.parametrize("how", SOCKET_IO)
async def test_a_node_that_shuts_down_says_503_and_when_to_come_again(
    redis_server: Redis, how: str
) -> None:
    async with draining_node(redis_server) as url:
        status, told, headers = await handshake(url, how)
    assert status == 503 and told["code"] == "draining" and told["message"]
    assert headers["Retry-After"] == "1"
    assert headers["Access-Control-Allow-Origin"] == PAGE
