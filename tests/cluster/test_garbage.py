"""What has ended is freed at once, and is not left to the garbage collector.

After a flood of ended connections it stopped a node for 0.6 seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from collab.app import NodeRunner
from collab.config import Config
from tests.abuse.websocket import CLOSE, TEXT, Ended, WebSocket, frame
from tests.support.processes import Redis

TIMES = 20
OF_LIBRARIES = 24
"""Objects of the cycles that a transport of asyncio is at either end, and, if there is no route for
a request, one of aiohttp's."""
WEBSOCKET, POLLING = "transport=websocket", "transport=polling"
CONNECT, JOIN = frame(b"40"), frame(b'420["join",{"room":"garbage"}]')


@pytest.fixture
async def port(redis_server: Redis) -> AsyncIterator[int]:
    """The port of a node in this process."""
    thresholds = gc.get_threshold()
    runner = NodeRunner(Config(redis_url=redis_server.url, drain_time=0.0))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
        gc.unfreeze()
        gc.set_threshold(*thresholds)


async def end(port: int, path: str, *sent: bytes) -> None:
    """Connect, send some frames and disconnect."""
    ws = await WebSocket.open(port, path, "127.0.0.1")
    with contextlib.suppress(Ended):
        for each in sent:
            await ws.send(each)
            await asyncio.sleep(0.01)
    ws.abort()


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        (f"/socket.io/?EIO=4&{WEBSOCKET}", ()),
        (f"/socket.io/?EIO=4&{WEBSOCKET}", (CONNECT,)),
        (f"/socket.io/?EIO=4&{WEBSOCKET}", (CONNECT, JOIN)),
        (f"/socket.io/?EIO=4&{WEBSOCKET}", (CONNECT, JOIN, frame(b"\x03\xe8", CLOSE))),
        (f"/socket.io/?EIO=4&{WEBSOCKET}", (CONNECT, frame(b"1"))),
        (f"/socket.io/?EIO=4&{WEBSOCKET}", (CONNECT, frame(b'42["nothing"]') * 40)),
        (f"/socket.io/?EIO=4&{WEBSOCKET}", (CONNECT, frame(b"4{") * 40)),
        (f"/socket.io/?EIO=4&{WEBSOCKET}", (CONNECT, frame(b"\xff", TEXT))),
        (f"/socket.io/?EIO=4&{WEBSOCKET}", (CONNECT, frame(b"", opcode=5))),
        ("/yjs/garbage", ()),
        ("/yjs/garbage", (frame(b"\0\0\1\0", opcode=2),)),
        ("/yjs/garbage", (frame(b"\xff", opcode=2),)),
        ("/yjs/garbage", (frame(b"text"),)),
    ],
)
async def test_a_websocket_that_has_ended_is_no_garbage(
    port: int, path: str, sent: tuple[bytes, ...]
) -> None:
    assert await garbage(lambda: end(port, path, *sent)) < OF_LIBRARIES


async def test_an_open_websocket_keeps_nothing_of_its_request(port: int) -> None:
    # Guards against the request and the coroutines of its handlers: 15 kB of each connection.
    before = count(web.BaseRequest)
    ws = await WebSocket.open(port, f"/socket.io/?EIO=4&{WEBSOCKET}", "127.0.0.1")
    await ws.send(CONNECT)
    await ws.send(JOIN)
    await asyncio.sleep(0.1)
    gc.disable()
    try:
        assert count(web.BaseRequest) == before
    finally:
        gc.enable()
        ws.abort()


def count(kind: type) -> int:
    """Return how many objects of a type there are."""
    gc.unfreeze()
    return sum(isinstance(each, kind) for each in gc.get_objects())


@pytest.mark.parametrize(
    "request_head",
    ["GET /nowhere", "DELETE /", "PUT /api/rooms/x", "GET /api/rooms?limit=x", "GET /..\xff", "\0"],
)
async def test_a_request_that_was_refused_is_no_garbage(port: int, request_head: str) -> None:
    async def ask() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"{request_head} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert (await reader.readline()).startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))
        writer.transport.abort()

    assert await garbage(ask) < OF_LIBRARIES


async def garbage(act: Callable[[], Awaitable[None]]) -> float:
    """Return how many objects each act leaves to the garbage collector."""
    for _ in range(3):  # what is made only once
        await act()
    await asyncio.sleep(0.1)
    gc.collect()
    gc.disable()
    try:
        for _ in range(TIMES):
            await act()
        await asyncio.sleep(0.2)
        return gc.collect() / TIMES
    finally:
        gc.enable()
