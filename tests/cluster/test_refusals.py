"""Clients that are refused before a connection begins, and the reasons, at all endpoints."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from collab.app import DRAIN, NodeRunner
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
    """Run a node that has moved its clients off and still listens; yield its URL."""
    runner = NodeRunner(Config.from_env({"REDIS_URL": redis.url, "COLLAB_DRAIN_TIME": "0"}))
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        await runner.app[DRAIN]()
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


def is_turned_away(how: str, told: Any, headers: Any, word: str) -> None:
    """Assert the form of a refusal: the contract's, or that of all plain HTTP answers."""
    problem = told if how in SOCKET_IO else told["error"]
    assert problem.keys() == {"code", "message"}
    assert problem["code"] == word and problem["message"]
    if how in SOCKET_IO:
        assert headers["Access-Control-Allow-Origin"] == PAGE


@pytest.mark.parametrize("how", HANDSHAKES)
async def test_a_full_node_says_503_and_when_to_come_again(redis_server: Redis, how: str) -> None:
    node = Node(redis_server.url, "full", COLLAB_MAX_CONNECTIONS="1")
    async with (
        running(node),
        aiohttp.ClientSession() as session,
        session.ws_connect(node.url + HANDSHAKES["websocket"][0]),
    ):
        status, told, headers = await handshake(node.url, how)
        counted = await get_metrics(node.url)
    assert status == 503 and headers["Retry-After"] == "1"
    is_turned_away(how, told, headers, "node_full")
    assert counted['collab_errors_total{code="node_full"}'] == 1
    assert "Traceback" not in node.output()


@pytest.mark.parametrize("how", HANDSHAKES)
async def test_a_node_that_shuts_down_says_503_and_when_to_come_again(
    redis_server: Redis, how: str
) -> None:
    async with draining_node(redis_server) as url:
        status, told, headers = await handshake(url, how)
    assert status == 503 and headers["Retry-After"] == "1"
    is_turned_away(how, told, headers, "draining")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_session_that_a_node_does_not_have_is_unknown_there(
    redis_server: Redis, method: str
) -> None:
    node = Node(redis_server.url, "another")
    path, _ = HANDSHAKES["polling"]
    async with running(node), aiohttp.ClientSession() as session:
        url = f"{node.url}{path}&sid=of.another"
        async with session.request(method, url, headers={"Origin": PAGE}) as answer:
            assert answer.status == 404
            is_turned_away("polling", await answer.json(), answer.headers, "unknown_session")


# Origins: one rule at every endpoint


async def admitted(node: Node, origin: str | None) -> dict[str, int]:
    """Return the status of the response to each kind of handshake."""
    return {how: (await handshake_status(node.url, how, origin)) for how in HANDSHAKES}


async def handshake_status(url: str, how: str, origin: str | None) -> int:
    """Begin a connection; return the status, 101 if it became a WebSocket."""
    path, headers = HANDSHAKES[how]
    headers = headers if origin is None else {**headers, "Origin": origin}
    async with aiohttp.ClientSession() as session, session.get(url + path, headers=headers) as made:
        return made.status


ALL_IN = {"polling": 200, "websocket": 101, "yjs": 101}
ALL_OUT = dict.fromkeys(HANDSHAKES, 403)


async def test_only_listed_origins_and_the_nodes_own_page_may_connect_at_any_endpoint(
    redis_server: Redis,
) -> None:
    node = Node(
        redis_server.url, "strict", COLLAB_CORS_ORIGINS=f" {PAGE.upper()} ,http://b.example"
    )
    async with running(node):
        for origin in (None, PAGE, "http://b.example", node.url, f"http://localhost:{node.port}"):
            assert await admitted(node, origin) == ALL_IN, origin
        for origin in ("https://evil.example", "null", f"http://evil.example:{node.port}"):
            assert await admitted(node, origin) == ALL_OUT, origin
    assert node.output().count('"event":"origin refused"') == 3 * len(HANDSHAKES)


async def test_a_page_that_was_bound_to_the_nodes_address_is_refused(redis_server: Redis) -> None:
    node = Node(redis_server.url, "rebound", COLLAB_CORS_ORIGINS=PAGE)
    host = f"evil.example:{node.port}"
    async with running(node), aiohttp.ClientSession() as session:
        for path, headers in HANDSHAKES.values():
            headers = {**headers, "Host": host, "Origin": f"http://{host}"}
            async with session.get(node.url + path, headers=headers) as answer:
                assert answer.status == 403


async def test_a_refused_page_gets_the_name_of_the_setting_and_every_request_is_checked(
    redis_server: Redis,
) -> None:
    node = Node(redis_server.url, "strict", COLLAB_CORS_ORIGINS=PAGE)
    async with running(node), aiohttp.ClientSession() as session:
        status, told, headers = await handshake(node.url, "polling", "https://evil.example")
        assert status == 403 and told["code"] == "not_allowed"
        assert "COLLAB_CORS_ORIGINS" in told["message"] and "proxy" in told["message"]
        assert "Access-Control-Allow-Origin" not in headers
        url = node.url + HANDSHAKES["polling"][0]
        async with session.get(url) as answer:
            sid = json.loads((await answer.text())[1:])["sid"]
        for origin, status in ((PAGE, 200), ("https://evil.example", 403)):
            async with session.post(
                f"{url}&sid={sid}", data="40", headers={"Origin": origin}
            ) as answer:
                assert answer.status == status
                assert (answer.headers.get("Access-Control-Allow-Origin") == PAGE) is (
                    origin == PAGE
                )
        counted = await get_metrics(node.url)
    assert counted['collab_errors_total{code="not_allowed"}'] == 2
