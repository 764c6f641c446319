"""A stopping node handles the last messages of its clients, refuses new ones, and ends in time."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import redis.asyncio
from pycrdt import Doc, Text

from collab.yjs.protocol import update_message
from tests.cluster.test_refusals import HANDSHAKES, handshake
from tests.deploy.polling import MESSAGE, PING, PONG, SEPARATOR, PollingClient, cookieless
from tests.support.clients import JsHost, eventually
from tests.support.processes import Node, Redis, running
from tests.support.proxy import proxy

RESTART = 1012
DRAIN_TIME = 2.0
DELAY = 0.06
"""Seconds on the wire, each way."""
POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"
Ws = aiohttp.ClientWebSocketResponse


@pytest.fixture
async def node(redis_server: Redis) -> AsyncIterator[Node]:
    node = Node(redis_server.url, "leaving", COLLAB_DRAIN_TIME=str(DRAIN_TIME))
    async with running(node):
        yield node
    assert "Traceback" not in node.output(), node.output()


@asynccontextmanager
async def told_to_stop(node: Node) -> AsyncIterator[None]:
    """Tell a node to stop; at the end of the block wait until it has ended without an error."""
    stopping = asyncio.create_task(node.stop())
    try:
        await eventually(lambda: '"event":"draining"' in node.output())
        yield
    finally:
        assert await stopping == 0, node.output()
    assert '"event":"stopped"' in node.output()


@asynccontextmanager
async def obstinate(url: str) -> AsyncIterator[Ws]:
    """Open a WebSocket that does not answer Close frames by itself."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, autoclose=False, max_msg_size=0) as ws,
    ):
        yield ws


@asynccontextmanager
async def member_by_websocket(node: Node, room: str) -> AsyncIterator[Ws]:
    """Let an obstinate client join a room."""
    async with obstinate(node.url + WEBSOCKET) as ws:
        await ws.send_str("40")
        await ws.send_str(f'420["join",{{"room":"{room}"}}]')
        while not (packet := await ws.receive_str()).startswith("430"):
            if packet == PING:
                await ws.send_str(PONG)
        yield ws


def change(room: str, code: str) -> str:
    """Return a change as a Socket.IO client encodes it."""
    return "42" + json.dumps(["change", {"room": room, "code": code}])


async def closed_with(ws: Ws) -> int:
    """Return the code of the next Close frame; answer the PINGs before it."""
    async with asyncio.timeout(10):
        while (message := await ws.receive()).type is not aiohttp.WSMsgType.CLOSE:
            assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message
            if message.data == PING:
                await ws.send_str(PONG)
    return int(message.data)


async def stored(store: redis.asyncio.Redis, room: str, text: str) -> None:
    """Wait until Redis has the room's text."""
    async with asyncio.timeout(5):
        while await store.get(f"code_{room}") != text.encode():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)


# WebSockets


async def test_changes_of_a_websocket_client_after_the_nodes_close_frame_are_handled(
    node: Node, store: redis.asyncio.Redis, room: str
) -> None:
    """This depends on aiohttp, which reads on after its writer has sent a Close frame."""
    async with member_by_websocket(node, room) as ws, told_to_stop(node):
        assert await closed_with(ws) == RESTART
        for code in ("o", "on", "one"):
            await ws.send_str(change(room, code))
        await stored(store, room, "one")
        await ws.send_str(change(room, "one more"))
        await ws.close()  # after the changes
    assert await store.get(f"code_{room}") == b"one more"


async def test_updates_of_a_yjs_client_after_the_nodes_close_frame_are_handled(
    node: Node, store: redis.asyncio.Redis, room: str
) -> None:
    doc: Doc[Any] = Doc()
    text = doc.get("code", type=Text)
    async with obstinate(f"{node.url}/yjs/{room}") as ws:
        await ws.receive_bytes()
        async with told_to_stop(node):
            assert await closed_with(ws) == RESTART
            text += "one"
            await ws.send_bytes(update_message(doc.get_update()))
            await stored(store, room, "one")
            text += " more"
            await ws.send_bytes(update_message(doc.get_update()))
            await ws.close()
    assert await store.get(f"code_{room}") == b"one more"


async def test_changes_of_the_official_client_arrive_until_it_is_disconnected(
    redis_server: Redis, store: redis.asyncio.Redis, js: JsHost, room: str
) -> None:
    """Each change is in a room of its own, so that no later change hides the loss of one."""
    settings = {
        "COLLAB_DRAIN_TIME": str(DRAIN_TIME),
        "COLLAB_MAX_ROOMS_PER_CONNECTION": "1000",
        "COLLAB_MAX_CHANGES_PER_SECOND": "10000",
    }
    leaving, staying = (Node(redis_server.url, n, **settings) for n in ("leaving", "staying"))
    async with running(leaving, staying), proxy(leaving.port, DELAY) as link:
        client = await js.connect(f"http://127.0.0.1:{link.port}")
        link.target = staying.port
        rooms: list[str] = []
        before = 0
        async with told_to_stop(leaving):
            while client.state("connect") is client.states[0]:
                rooms.append(f"{room[:80]}-{len(rooms)}")
                client.emit("change", {"room": rooms[-1], "code": "x"})
                before += client.state("disconnect") is None
                await asyncio.sleep(0.002)
        assert before > 10, "some were emitted while the goodbye was on its way"
        assert (await client.change(room, "the last"))["ok"]
        codes = await store.mget([f"code_{name}" for name in rooms])
    assert [name for name, code in zip(rooms, codes, strict=True) if code != b"x"] == []


@pytest.mark.parametrize("path", [WEBSOCKET, "/yjs/obstinate"])
async def test_a_client_that_never_answers_the_close_frame_is_cut_off_and_the_node_ends_in_time(
    node: Node, path: str
) -> None:
    async with obstinate(node.url + path) as ws:
        await ws.receive()
        began = time.monotonic()
        async with told_to_stop(node):
            assert await closed_with(ws) == RESTART
        took = time.monotonic() - began
    assert DRAIN_TIME / 2 <= took < DRAIN_TIME


# Polling


async def test_posts_of_a_polling_client_are_handled_while_the_node_drains(
    node: Node, store: redis.asyncio.Redis, room: str
) -> None:
    async with cookieless() as http:
        client = await PollingClient(http, node.url).connect()
        await client.join(room)
        url = f"{node.url}{POLLING}&sid={client.sid}"

        async def post(*packets: str) -> None:
            async with http.post(url, data=SEPARATOR.join(packets)) as answer:
                assert (answer.status, await answer.text()) == (200, "OK")

        polling = asyncio.create_task(poll(http, url))
        async with told_to_stop(node):
            await post(change(room, "o"), change(room, "on"))
            status, told = await polling
            assert status == 410 and json.loads(told)["code"] == "draining"
            await post(change(room, "one"))  # it was sent before the node drained
            await stored(store, room, "one")
            await post(change(room, "one more"))
            await post("1")  # the client's CLOSE, which may overtake its earlier requests
            await post(change(room, "one more, late"))
    assert await store.get(f"code_{room}") == b"one more, late"


async def poll(http: aiohttp.ClientSession, url: str) -> tuple[int, str]:
    """Poll until the status of a response is not 200; return the status and the body."""
    while True:
        async with http.get(url) as answer:
            if answer.status != 200:
                return answer.status, await answer.text()


async def test_a_polling_client_that_stops_polling_does_not_delay_the_node(
    node: Node, room: str
) -> None:
    async with cookieless() as http:
        client = await PollingClient(http, node.url).connect()
        await client.join(room)
        began = time.monotonic()
        async with told_to_stop(node):
            pass
    assert time.monotonic() - began < DRAIN_TIME


# New clients


async def test_a_draining_node_turns_away_new_clients_and_sessions_that_it_does_not_know(
    node: Node,
) -> None:
    async with obstinate(node.url + WEBSOCKET) as ws, aiohttp.ClientSession() as session:
        await ws.receive()
        async with told_to_stop(node):
            for how in HANDSHAKES:
                status, told, headers = await handshake(node.url, how)
                assert status == 503 and headers["Retry-After"] == "1"
                assert told.get("error", told)["code"] == "draining"
            for method in ("GET", "POST"):
                url = f"{node.url}{POLLING}&sid=ofanothernode.sid"
                async with session.request(method, url, data=MESSAGE + "0") as answer:
                    assert answer.status == 404
            async with session.get(node.url + "/readyz") as answer:
                assert answer.status == 503
            async with session.get(node.url + "/healthz") as answer:
                assert answer.status == 200
            assert await closed_with(ws) == RESTART
            await ws.close()


async def test_clients_are_moved_off_over_half_of_the_drain_time(
    redis_server: Redis, js: JsHost
) -> None:
    """Otherwise all clients would connect to the other nodes at the same time."""
    leaving = Node(redis_server.url, "leaving", COLLAB_DRAIN_TIME=str(DRAIN_TIME))
    async with running(leaving):
        clients = [await js.connect(leaving.url, reconnection=False) for _ in range(10)]
        began = time.monotonic()
        async with told_to_stop(leaving):
            await eventually(lambda: any(client.state("disconnect") for client in clients))
            first = time.monotonic() - began
            await eventually(lambda: all(client.state("disconnect") for client in clients))
            last = time.monotonic() - began
    assert first < DRAIN_TIME / 4 and DRAIN_TIME / 4 < last < DRAIN_TIME
    assert {client.state("disconnect")["reason"] for client in clients} == {"transport error"}
