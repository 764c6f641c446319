"""A client that sends too much is slowed, and then let go with a reason; nobody else waits."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from statistics import median

import aiohttp
import pytest
from aiohttp import web

from collab.app import NodeRunner
from collab.config import Config
from collab.wire.listener import Listener
from tests.cluster.people import member_of
from tests.cluster.raw_yjs import closing, raw
from tests.cluster.wire import WireMember, wire_member
from tests.support.clients import JsHost, eventually
from tests.support.processes import Node, Redis, running

POLLING = "/socket.io/?EIO=4&transport=polling"


@contextlib.asynccontextmanager
async def busy(work: asyncio.Task[None]) -> AsyncIterator[None]:
    """End ``work`` at the end, whatever has become of it."""
    try:
        yield
    finally:
        work.cancel()
        await asyncio.wait([work])


async def waits(
    node: Node, typist: WireMember, reader: WireMember, room: str
) -> list[tuple[float, float]]:
    """Let ``typist`` type for a second; return how long it took each time until ``reader`` showed
    the change, and for how much of that the node has worked."""
    result = []
    for number in range(20):
        began, worked = time.perf_counter(), node.cpu_seconds()
        await typist.type(room, f"{number}")
        await reader.shows(f"{number}")
        result.append((time.perf_counter() - began, node.cpu_seconds() - worked))
        await asyncio.sleep(0.03)
    return result


async def flood(member: WireMember, packet: str) -> None:
    with contextlib.suppress(ConnectionError, aiohttp.ClientError):
        while not member.closed:
            for _ in range(500):
                await member._ws.send_str(packet)
            await asyncio.sleep(0)


async def handshake(session: aiohttp.ClientSession, node: Node) -> str:
    """Begin a polling session; return the URL of its other requests."""
    async with session.get(node.url + POLLING) as answer:
        return f"{node.url}{POLLING}&sid={json.loads((await answer.text())[1:])['sid']}"


@pytest.mark.parametrize("packet", ["6", "42[1]"])
async def test_a_flood_of_packets_is_slowed_and_then_ended_with_rate_limited(
    redis_server: Redis, stack: AsyncExitStack, room: str, packet: str
) -> None:
    node = Node(redis_server.url, "flooded", COLLAB_MAX_BUSY="0.02", COLLAB_MAX_OVER_BUDGET="0.5")
    await stack.enter_async_context(running(node))
    typist, reader = [await member_of(stack, node.url, room) for _ in range(2)]
    async with (
        wire_member(node.url) as offender,
        busy(asyncio.create_task(flood(offender, packet))),
    ):
        times, works = zip(*await waits(node, typist, reader, room), strict=True)
        # What the node handles before a change is work. The clock also shows how long this machine
        # did other things, once or twice; it would show a node that slows the typist each time.
        assert max(works) < 0.25 and median(times) < 0.25
        await eventually(lambda: offender.closed, "the flood goes on", 20)
    assert offender.errors[-1]["code"] == "rate_limited"
    assert '"reason":"rate_limited"' in node.output()
    assert (await typist.ask("change", {"room": room, "code": "goes on"}))["ok"]


async def test_a_flood_of_frames_of_the_websocket_protocol_is_slowed_too(
    redis_server: Redis, stack: AsyncExitStack, room: str
) -> None:
    node = Node(redis_server.url, "pinged", COLLAB_MAX_BUSY="0.02", COLLAB_MAX_OVER_BUDGET="0.5")
    await stack.enter_async_context(running(node))

    async def pings(socket: aiohttp.ClientWebSocketResponse) -> None:
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            while not socket.closed:
                for _ in range(100):
                    await socket.ping()
                await asyncio.sleep(0)

    async with raw(node, room) as wire, busy(asyncio.create_task(pings(wire))):
        assert await closing(wire) == (1013, "the client has sent too much for too long")


async def test_large_messages_are_slowed_to_the_rate_of_bytes(
    redis_server: Redis, stack: AsyncExitStack, room: str
) -> None:
    node = Node(redis_server.url, "slow", COLLAB_MAX_BYTES_PER_SECOND="200000")
    await stack.enter_async_context(running(node))
    member = await member_of(stack, node.url, room)
    began = time.perf_counter()
    for number in range(8):  # 800 kB, of which 400 kB are a burst
        assert (await (await member.type(room, f"{number}" + "x" * 100_000)))["ok"]
    assert 1.5 < time.perf_counter() - began < 10
    assert not member.errors


async def test_neither_a_new_connect_nor_a_new_connection_renews_the_rate_of_events(
    redis_server: Redis, stack: AsyncExitStack, room: str
) -> None:
    node = Node(redis_server.url, "renewed", COLLAB_MAX_CHANGES_PER_SECOND="50")
    await stack.enter_async_context(running(node))
    began = time.perf_counter()
    async with wire_member(node.url) as member:
        for number in range(3):
            answers = [await member.type(room, f"{number}.{n}") for n in range(70)]
            assert all([(await answer)["ok"] for answer in answers])
            member.connected = False
            await member._ws.send_str("41")
            await member._ws.send_str("40")
            await eventually(lambda: member.connected)
    for number in range(2):
        # Two connections at a time would have a budget each.
        await eventually(lambda: node.output().count('"disconnected"') >= 4 + number)  # noqa: B023
        async with wire_member(node.url) as again:
            answers = [await again.type(room, f"new {number}.{n}") for n in range(70)]
            assert all([(await answer)["ok"] for answer in answers])
    # 350 changes: 100 at once, and the others at 50 a second.
    assert time.perf_counter() - began > 4


async def test_the_budget_of_a_room_is_that_of_all_who_are_in_it_at_both_endpoints(
    redis_server: Redis, room: str
) -> None:
    runner = NodeRunner(Config(redis_url=redis_server.url, drain_time=0.0))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        assert isinstance(runner.server, Listener)
        budget = runner.server.budgets.of_room(room)
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with wire_member(url) as member, aiohttp.ClientSession() as session:
            for _ in range(2):
                assert (await member.ask("join", {"room": room}))["ok"]
            async with session.ws_connect(f"{url}/yjs/{room}"):
                await eventually(lambda: budget.connections == 2)
            await eventually(lambda: budget.connections == 1)
            used = budget.full_at
            assert (await (await member.type(room, "x" * 10_000)))["ok"]
            assert budget.full_at > used
            assert (await member.ask("leave", {"room": room}))["ok"]
            assert not budget.connections
            assert (await member.ask("join", {"room": room}))["ok"]
        await eventually(lambda: not budget.connections)
    finally:
        await runner.cleanup()


async def test_a_session_that_does_not_connect_is_ended_with_a_reason(
    redis_server: Redis, stack: AsyncExitStack, js: JsHost
) -> None:
    node = Node(redis_server.url, "patient", COLLAB_CONNECT_TIMEOUT="0.5")
    await stack.enter_async_context(running(node))
    connected = await js.connect(node.url)
    async with aiohttp.ClientSession() as session:
        url = await handshake(session, node)
        async with session.get(url) as answer:
            refusal, close = (await answer.text()).split("\x1e")
        assert close == "1"
        told = json.loads(refusal.removeprefix("44"))
        assert told["data"]["code"] == "rate_limited" and "CONNECT" in told["message"]
        async with session.get(url) as answer:
            assert answer.status == 404
        async with session.ws_connect(f"{node.url}/socket.io/?EIO=4&transport=websocket") as ws:
            assert (await ws.receive_str()).startswith("0")
            assert (await ws.receive_str()).startswith("44")
            assert await closing(ws) == (1008, "the client has not sent CONNECT in time")
    assert (await connected.join("still"))["ok"]


async def test_of_too_many_sessions_that_do_not_connect_the_oldest_ends_and_nobody_is_refused(
    redis_server: Redis, stack: AsyncExitStack, js: JsHost
) -> None:
    node = Node(redis_server.url, "crowded", COLLAB_MAX_UNCONNECTED="5", COLLAB_MAX_CONNECTIONS="9")
    await stack.enter_async_context(running(node))
    async with aiohttp.ClientSession() as session:
        urls = [await handshake(session, node) for _ in range(20)]
        statuses = []
        for url in (urls[0], urls[-1]):
            async with session.post(url, data="40") as answer:
                statuses.append(answer.status)
        assert statuses == [404, 200]
        for transport in ("polling", "websocket"):
            client = await js.connect(node.url, transports=[transport])
            assert (await client.join("open"))["ok"]


async def test_many_handshakes_on_one_connection_are_slowed(
    redis_server: Redis, stack: AsyncExitStack
) -> None:
    node = Node(redis_server.url, "shaken", COLLAB_MAX_BUSY="0.05")
    await stack.enter_async_context(running(node))
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    request = f"GET {POLLING} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    began, answers = time.perf_counter(), b""
    for _ in range(50):  # each costs 5 ms: 20 at once, 10 a second
        writer.write(request)
        answers += await reader.readuntil(b'"maxPayload":2097152}')
    took = time.perf_counter() - began
    writer.close()
    assert answers.count(b"HTTP/1.1 200") == 50 and 1.5 < took < 10


async def test_a_client_behind_a_trusted_proxy_is_known_by_the_address_that_the_proxy_tells(
    redis_server: Redis, stack: AsyncExitStack
) -> None:
    node = Node(
        redis_server.url, "proxied",
        COLLAB_TRUSTED_PROXIES="127.0.0.0/8", COLLAB_MAX_UNCONNECTED="3",
    )  # fmt: skip
    await stack.enter_async_context(running(node))

    async def begin(session: aiohttp.ClientSession, address: str) -> str:
        headers = {"X-Forwarded-For": f"1.2.3.4, {address}"}
        async with session.get(node.url + POLLING, headers=headers) as answer:
            return f"{POLLING}&sid={json.loads((await answer.text())[1:])['sid']}"

    async with aiohttp.ClientSession() as session:
        patient = await begin(session, "192.0.2.7")
        for _ in range(10):
            await begin(session, "192.0.2.8")
        async with session.post(node.url + patient, data="40") as answer:
            assert answer.status == 200
