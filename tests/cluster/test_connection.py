"""One TCP connection whose client is charged, between a real server and bare sockets."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import pytest
from aiohttp import web

from collab.budget import Budgets
from collab.config import Config
from collab.errors import CollabError
from collab.scheduler import SLICE
from collab.wire.connection import MAX_READ
from collab.wire.listener import Listener
from collab.wire.standstill import Standstill
from collab.wire.websocket import Farewell, WebSocket

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)
KIB = 1 << 10


@dataclass
class Server:
    """A server on a port of this machine, and what its clients have done."""

    budgets: Budgets
    port: int = 0
    read: list[str | bytes] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    dismissing: set[asyncio.Task[None]] = field(default_factory=set)
    is_ready: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if "Upgrade" not in request.headers:
            if "unread" not in request.query:
                await request.read()
            return web.Response(body=bytes(int(request.query.get("size", "2"))))
        meter = self.budgets.open("127.0.0.1")
        ws = WebSocket(
            max_message_bytes=1 << 24, farewell=lambda code: Farewell(), close_timeout=0.1,
            meter=meter,
        )  # fmt: skip
        meter.let_go = partial(self.let_go, ws)
        await ws.prepare(request)
        try:
            self.ended.append(await ws.read_messages(self.note))
        finally:
            meter.close()
        return ws

    async def note(self, message: str | bytes) -> None:
        await self.is_ready.wait()
        self.read.append(message)

    def let_go(self, ws: WebSocket, problem: CollabError) -> None:
        dismissing = asyncio.create_task(ws.dismiss([problem.code], 1008, str(problem)))
        self.dismissing.add(dismissing)


@asynccontextmanager
async def serving(**settings: float) -> AsyncIterator[Server]:
    config = Config(**settings)  # type: ignore[arg-type]
    server = Server(Budgets(config))
    server.is_ready.set()

    class Runner(web.AppRunner):
        async def _make_server(self) -> web.Server:
            listener = await super()._make_server()
            return Listener(listener, server.budgets, config, Standstill())

    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/", server.handle)
    runner = Runner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.port = runner.addresses[0][1]
        yield server
    finally:
        await runner.cleanup()


@asynccontextmanager
async def connected(
    server: Server, first: bytes = b"", limit: int = 1 << 16
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=limit)
    writer.write(first)
    try:
        if first == UPGRADE:
            await reader.readuntil(b"\r\n\r\n")
        yield reader, writer
    finally:
        writer.transport.abort()


def frame(head: int, payload: bytes, length: int | None = None) -> bytes:
    """Return a frame, masked with zeros, with the length that it claims to have."""
    size = len(payload) if length is None else length
    return struct.pack("!BBQ", head, 0xFF, size) + bytes(4) + payload


async def until(check: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not check():  # noqa: ASYNC110 - there is nothing to wait for
            await asyncio.sleep(0.005)


async def all_of(reader: asyncio.StreamReader) -> bytes:
    """Return what comes until the connection ends."""
    told = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(5):
            while part := await reader.read(1 << 16):
                told += part
    return told


async def test_bytes_are_held_until_their_message_is_read() -> None:
    async with serving() as server, connected(server, UPGRADE) as (_, writer):
        writer.write(frame(0x01, bytes(500 * KIB)))
        await until(lambda: server.budgets.held > 500 * KIB)
        writer.write(frame(0x80, b""))
        await until(lambda: server.read)
        assert server.budgets.held == 0 and len(server.read[0]) == 500 * KIB
        writer.write(frame(0x01, bytes(16 * KIB)))
        await until(lambda: server.budgets.held)
        writer.transport.abort()
        await until(lambda: not server.budgets.held and not server.budgets.meters)


async def test_the_largest_unfinished_message_is_dropped_and_its_client_told_why() -> None:
    async with (
        serving(max_held_bytes=1 << 20) as server,
        connected(server, UPGRADE) as (reader, writer),
        connected(server, UPGRADE) as (_, other),
    ):
        other.write(frame(0x01, bytes(100 * KIB)))
        await until(lambda: server.budgets.held > 100 * KIB)
        writer.write(frame(0x01, bytes(8 << 20)))
        told = await all_of(reader)
        assert told.startswith(b"\x81\x09node_full\x88") and b"holds too much" in told
        await until(lambda: server.ended)
        assert 100 * KIB < server.budgets.held < 200 * KIB
        other.write(frame(0x80, b""))
        await until(lambda: server.read)


async def test_more_than_can_be_handled_waits_in_the_sockets_and_ends_nobody() -> None:
    async with serving(max_held_bytes=1 << 20) as server, AsyncExitStack() as stack:
        server.is_ready.clear()
        writers = []
        for _ in range(60):
            _, writer = await stack.enter_async_context(connected(server, UPGRADE))
            writers.append(writer)
        for _ in range(4):  # 2.4 MB
            for writer in writers:
                writer.write(frame(0x81, b"x" * 10 * KIB))
            await asyncio.sleep(0.05)
        assert server.budgets.is_crowded and server.budgets.held < 1 << 20
        server.is_ready.set()
        await until(lambda: len(server.read) == 240)
        assert server.ended == [] and server.budgets.unread == 0


async def test_a_client_that_waits_is_not_read() -> None:
    async with (
        serving(max_bytes_per_second=400 * KIB) as server,
        connected(server, UPGRADE) as (_, writer),
    ):
        began = time.perf_counter()
        for _ in range(160):  # 1.6 MB: a burst of 0.8 MB, and two seconds at the rate
            writer.write(frame(0x81, b"x" * 10 * KIB))
        await until(lambda: len(server.read) == 160)
        assert 1 < time.perf_counter() - began < 4  # all of the last read are handled at once


async def test_a_large_body_is_read_while_nobody_else_waits() -> None:
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000\r\n\r\n"
    async with serving() as server:
        scheduler = server.budgets.scheduler

        async def others() -> None:
            while True:
                await scheduler.turn(0.0, SLICE, queued=0)
                scheduler.add(SLICE)

        busy = [asyncio.create_task(others()) for _ in range(2)]
        async with connected(server, head + bytes(4_000_000)) as (reader, _):
            await until(lambda: server.budgets.held)
            await asyncio.sleep(0.2)
            assert server.budgets.held < 4 * MAX_READ
            for task in busy:
                task.cancel()
            await reader.readuntil(b"\r\n\r\n\0\0")


@pytest.mark.parametrize("message", [frame(0x81, b"x" * 10 * KIB), 500 * b"\x89\x80abcd"])
async def test_a_continued_flood_ends_with_a_reason(message: bytes) -> None:
    settings = {"max_bytes_per_second": 100 * KIB, "max_busy": 0.02, "max_over_budget": 0.3}
    async with serving(**settings) as server, connected(server, UPGRADE) as (reader, writer):

        async def flood() -> None:
            with contextlib.suppress(ConnectionError):
                while True:
                    writer.write(message)
                    await writer.drain()
                    await asyncio.sleep(0)

        flooding = asyncio.create_task(flood())
        told = await all_of(reader)
        flooding.cancel()
        assert b"rate_limited" in told and b"too much for too long" in told
        await until(lambda: server.ended)


async def test_pings_are_answered_and_charged() -> None:
    async with serving() as server, connected(server, UPGRADE) as (reader, writer):
        writer.write(b"\x89\x82" + bytes(4) + b"hi" + frame(0x81, b"after"))
        assert await reader.readexactly(4) == b"\x8a\x02hi"
        await until(lambda: server.read == ["after"])


async def test_the_budget_of_a_connection_goes_with_it_when_it_becomes_a_websocket() -> None:
    async with serving(max_bytes_per_second=100 * KIB) as server:
        body = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 190000\r\n\r\n" + bytes(
            190_000
        )
        async with connected(server, body) as (reader, writer):
            await reader.readuntil(b"\r\n\r\n\0\0")
            writer.write(UPGRADE)
            await reader.readuntil(b"\r\n\r\n")
            (meter,) = server.budgets.meters
            assert meter.full_at - time.monotonic() > 1


async def test_a_request_is_held_until_it_is_answered() -> None:
    async with serving() as server:
        head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
        async with connected(server, head + bytes(50_000)) as (reader, writer):
            await until(lambda: server.budgets.held > 50_000)
            writer.write(bytes(50_000))
            await reader.readuntil(b"\r\n\r\n\0\0")
            await until(lambda: server.budgets.held == 0)


async def test_a_large_unfinished_request_is_refused_with_a_response() -> None:
    async with serving(max_held_bytes=1 << 20) as server:
        head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n"
        async with connected(server, head + bytes(3 << 20)) as (reader, _):
            told = await all_of(reader)
            assert told.startswith(b"HTTP/1.1 503") and b'"code": "node_full"' in told
            await until(lambda: not server.budgets.held)


async def test_a_request_that_goes_on_after_its_response_is_ended_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(max_held_bytes=1 << 17) as server:
        head = b"POST /?unread HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n"
        async with connected(server, head) as (reader, writer):
            await reader.readuntil(b"\r\n\r\n\0\0")
            writer.write(bytes(3 << 20))
            await all_of(reader)
            await until(lambda: not server.budgets.meters)
    assert not caplog.records


async def test_a_response_that_is_not_read_is_held_and_then_dropped() -> None:
    async with serving(write_timeout=0.2) as server:
        request = b"GET /?size=20000000 HTTP/1.1\r\nHost: localhost\r\n\r\n"
        async with connected(server, request, limit=1) as (reader, _):
            await until(lambda: server.budgets.held > 1 << 20)
            await until(lambda: not server.budgets.held)
            assert len(await all_of(reader)) < 20_000_000


async def test_a_response_that_is_read_slowly_is_not_dropped() -> None:
    async with serving(write_timeout=0.2) as server:
        request = b"GET /?size=12000000 HTTP/1.1\r\nHost: localhost\r\n\r\n"
        async with connected(server, request, limit=1) as (reader, _):
            read = 0
            while read < 12_000_000:
                read += len(await reader.readexactly(400_000))
                await asyncio.sleep(0.03)


@pytest.mark.parametrize("first", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: "])
async def test_a_connection_without_a_whole_request_ends_in_time_and_says_why(first: bytes) -> None:
    async with serving(connect_timeout=0.2) as server, connected(server, first) as (reader, _):
        told = await all_of(reader)
    assert told.startswith(b"HTTP/1.1 408 Request Timeout\r\n") and b"0.2 seconds" in told


async def test_a_connection_that_has_had_a_request_is_kept() -> None:
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with serving(connect_timeout=0.1) as server:
        for first in (request, UPGRADE):
            async with connected(server, first) as (reader, writer):
                await asyncio.sleep(0.3)
                writer.write(request if first is request else b"")
                assert not reader.at_eof()
                if first is request:
                    for _ in range(2):
                        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
                        await reader.readuntil(b"\r\n\r\n")
                        await reader.readexactly(2)


async def test_nothing_of_a_connection_is_left() -> None:
    async with serving() as server:
        for first in (
            UPGRADE,
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"",
            b"nonsense\r\n\r\n",
        ):
            async with connected(server, first):
                pass
        await until(lambda: not server.budgets.meters)
        assert server.budgets.held == 0


async def test_a_reader_that_waits_when_its_connection_ends_learns_it() -> None:
    async with serving() as server, connected(server, UPGRADE) as (_, writer):
        await until(lambda: len(server.budgets.meters) == 1)
        writer.transport.abort()
        await until(lambda: server.ended)
