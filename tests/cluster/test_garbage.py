"""Connections that have ended are freed at once, and are not left to the garbage collector.

After a flood of them it stopped a node for 0.6 seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from collab.app import NodeRunner
from collab.config import Config
from tests.abuse.websocket import CLOSE, TEXT, Ended, WebSocket, frame
from tests.support.processes import Redis

CONNECTIONS = 20
OF_ASYNCIO = 20
"""Objects of the cycles that a transport of asyncio is at either end."""
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
    for _ in range(3):  # what is made only once
        await end(port, path, *sent)
    await asyncio.sleep(0.1)
    gc.collect()
    gc.disable()
    try:
        for _ in range(CONNECTIONS):
            await end(port, path, *sent)
        await asyncio.sleep(0.2)
        assert gc.collect() / CONNECTIONS < OF_ASYNCIO
    finally:
        gc.enable()
