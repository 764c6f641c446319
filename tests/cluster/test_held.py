"""What a node holds for its clients is bounded, whatever they don't finish, read or answer."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

import aiohttp
import pytest

from collab.yjs import protocol
from tests.cluster.people import member_of, until
from tests.cluster.raw_yjs import HANDSHAKE, closing, next_of, raw
from tests.cluster.test_budgets import POLLING, handshake
from tests.support.clients import JsHost, eventually
from tests.support.processes import Node, Redis, get_metrics, running

UPGRADE = HANDSHAKE.replace("/yjs/{room}", "/socket.io/?EIO=4&transport=websocket")


async def held(node: Node) -> float:
    return (await get_metrics(node.url))["collab_held_bytes"]


def unfinished(size: int) -> bytes:
    """Return the first frame of a message, with the longest length; its mask is zeros."""
    return struct.pack("!BBQ", 0x01, 0xFF, size) + bytes(4 + size)


async def open_socket(node: Node) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a Socket.IO session on a bare WebSocket."""
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    writer.write(UPGRADE.encode())
    await reader.readuntil(b"}")
    return reader, writer


async def all_of(reader: asyncio.StreamReader) -> bytes:
    """Return what comes until the connection ends."""
    told = b""
    with contextlib.suppress(ConnectionError):
        while part := await reader.read(1 << 16):
            told += part
    return told


async def post(session: aiohttp.ClientSession, url: str, body: bytes) -> int:
    """Make a polling request; return its status."""
    async with session.post(url, data=io.BytesIO(body)) as answer:
        return answer.status


async def connect(session: aiohttp.ClientSession, url: str) -> None:
    assert await post(session, url, b"40") == 200


async def test_of_unfinished_messages_the_largest_end_with_a_reason_and_their_memory_is_free(
    redis_server: Redis, stack: AsyncExitStack, room: str
) -> None:
    node = Node(
        redis_server.url, "half", COLLAB_MAX_HELD_BYTES=str(8 << 20),
        COLLAB_MAX_BYTES_PER_SECOND=str(1 << 30),
    )  # fmt: skip
    await stack.enter_async_context(running(node))
    typist = await member_of(stack, node.url, room)
    before = node.resident()
    offenders = [await open_socket(node) for _ in range(10)]
    answers = [asyncio.create_task(all_of(reader)) for reader, _ in offenders]
    for _, writer in offenders:
        writer.write(b"\x81\x82" + bytes(4) + b"40")
        writer.write(unfinished(5 << 20))

    async def most_are_gone() -> bool:
        return sum(answer.done() for answer in answers) >= 9

    await until(most_are_gone)
    told = [answer.result() for answer in answers if answer.done()]
    assert all(b'"code":"node_full"' in each and b"holds too much" in each for each in told)
    assert await held(node) <= 8 << 20
    await eventually(lambda: node.resident() - before < 30, "the memory is not free")
    assert (await typist.ask("change", {"room": room, "code": "fine"}))["ok"]
    for _, writer in offenders:
        writer.close()
    await asyncio.gather(*answers)

    async def nothing() -> bool:
        return await held(node) < 1000

    await until(nothing)


async def test_answers_that_are_not_read_are_counted_and_end_the_largest(
    redis_server: Redis, stack: AsyncExitStack, room: str
) -> None:
    node = Node(redis_server.url, "unread", COLLAB_MAX_HELD_BYTES=str(4 << 20))
    await stack.enter_async_context(running(node))
    host = await member_of(stack, node.url, room)
    await (await host.type(room, "x" * 200_000))
    question = protocol.step1_message(b"\0")
    frame = bytes((0x82, 0x80 | len(question))) + bytes(4) + question
    deaf: list[socket.socket] = []
    for _ in range(4):
        sock = socket.socket()
        stack.callback(sock.close)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", node.port))
        sock.sendall(HANDSHAKE.format(room=room).encode() + 20 * frame)
        deaf.append(sock)
    await eventually(lambda: "client let go" in node.output())
    assert await held(node) <= 4 << 20
    assert (await host.ask("change", {"room": room, "code": "fine"}))["ok"]


async def test_a_client_that_reads_nothing_for_the_write_time_out_is_dropped(
    redis_server: Redis, stack: AsyncExitStack, room: str
) -> None:
    node = Node(redis_server.url, "deaf", COLLAB_WRITE_TIMEOUT="0.5")
    await stack.enter_async_context(running(node))
    host = await member_of(stack, node.url, room)
    await (await host.type(room, "x" * 250_000))
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", node.port))
        request = f"GET /api/rooms/{room} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        deaf.sendall(30 * request)

        async def some() -> bool:
            return await held(node) > 100_000

        async def none() -> bool:
            return not await some()

        await until(some)
        await until(none)
        deaf.settimeout(5)
        with contextlib.suppress(ConnectionResetError):  # the end, or a reset
            while deaf.recv(1 << 20):
                pass


async def test_a_second_post_of_a_session_is_refused_while_the_first_is_handled(
    redis_server: Redis, stack: AsyncExitStack, room: str
) -> None:
    node = Node(redis_server.url, "twice", COLLAB_MAX_CHANGES_PER_SECOND="20")
    await stack.enter_async_context(running(node))
    async with aiohttp.ClientSession() as session:
        url = await handshake(session, node)
        await connect(session, url)
        changes = ["42" + json.dumps(["change", {"room": room, "code": str(n)}]) for n in range(60)]
        first = asyncio.create_task(post(session, url, "\x1e".join(changes).encode()))
        async with asyncio.timeout(5):
            while not (await get_metrics(node.url))["collab_changes_total"]:
                pass
        async with session.post(url, data=io.BytesIO(b"42" + bytes(1_000_000))) as second:
            assert second.status == 400
            assert (await second.json())["code"] == "bad_event"
        assert await first == 200


async def test_a_body_that_does_not_end_is_given_up(
    redis_server: Redis, stack: AsyncExitStack
) -> None:
    node = Node(redis_server.url, "endless", COLLAB_BODY_TIMEOUT="0.3")
    await stack.enter_async_context(running(node))
    async with aiohttp.ClientSession() as session:
        url = await handshake(session, node)
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
        path = url.removeprefix(node.url)
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n4"
        writer.write(head.encode())
        async with asyncio.timeout(5):
            assert (await reader.readline()).startswith(b"HTTP/1.1 400")
        writer.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([f"X-{n}: {'x' * 600}" for n in range(40)], 200),
        ([f"X-{n}: {'x' * 4000}" for n in range(10)], 431),
        ([f"X-{n}: {'x' * 8000}" for n in range(60)], 431),
        ([f"X-{n}: x" for n in range(90)], 400),
        (["Cookie: " + "x" * 9000], 400),
    ],
)
async def test_large_headers_are_refused(
    nodes: tuple[Node, Node], headers: Sequence[str], status: int
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", nodes[0].port)
    head = "\r\n".join([f"GET {POLLING} HTTP/1.1", "Host: localhost", *headers, "", ""])
    writer.write(head.encode())
    async with asyncio.timeout(5):
        assert int((await reader.readline()).split()[1]) == status
    writer.close()


async def test_a_session_keeps_nothing_of_the_headers_of_its_handshake(
    redis_server: Redis, stack: AsyncExitStack
) -> None:
    node = Node(redis_server.url, "headers", COLLAB_MAX_BUSY="1")
    await stack.enter_async_context(running(node))
    large = {f"X-{n}": "x" * 750 for n in range(40)}

    async def begin(session: aiohttp.ClientSession) -> None:
        async with session.get(node.url + POLLING, headers=large) as answer:
            assert answer.status == 200

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(begin(session) for _ in range(50)))
        before = node.resident()
        for _ in range(8):
            await asyncio.gather(*(begin(session) for _ in range(50)))
        assert node.resident() - before < 10  # 400 sessions, with 30 kB of headers each


async def test_many_packets_in_one_request_are_refused_before_they_are_decoded(
    nodes: tuple[Node, Node], js: JsHost
) -> None:
    async with aiohttp.ClientSession() as session:
        url = await handshake(session, nodes[0])
        await connect(session, url)
        began = time.perf_counter()
        assert await post(session, url, b"\x1e".join([b"6"] * 1_000_000)) == 200
        assert time.perf_counter() - began < 0.5
        async with session.get(url) as answer:
            assert '"code":"frame_too_large"' in await answer.text()


@pytest.mark.parametrize("packet", ["0", "1", "3", "0/other,"])
async def test_a_large_packet_that_is_no_event_is_refused_unparsed(
    nodes: tuple[Node, Node], packet: str
) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{nodes[0].url}/socket.io/?EIO=4&transport=websocket") as ws,
    ):
        await ws.receive_str()
        name = json.dumps({"name": "x" * 2_000_000})
        await ws.send_str(f"4{packet}{name}")
        assert '"code":"frame_too_large"' in await ws.receive_str()
        await ws.send_str("40")
        assert (await ws.receive_str()).startswith("40")


async def test_an_unfinished_message_of_a_yjs_client_is_bounded_too(
    redis_server: Redis, stack: AsyncExitStack, room: str
) -> None:
    node = Node(redis_server.url, "yjs", COLLAB_MAX_HELD_BYTES=str(1 << 20))
    await stack.enter_async_context(running(node))
    async with raw(node, room) as wire:
        await next_of(wire, 0, 0)
        assert wire._writer.transport is not None
        wire._writer.transport.write(unfinished(1 << 20).replace(b"\x01\xff", b"\x02\xff", 1))
        code, reason = await closing(wire)
        assert code == 1013 and "holds too much" in reason
