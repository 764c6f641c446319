"""Messages are handled where they arrive, as long as none before them waits or is being handled."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from time import monotonic

import pytest
from aiohttp import WSMessage, WSMsgType
from aiohttp._websocket.reader import WebSocketReader
from aiohttp.base_protocol import BaseProtocol

from collab.wire.direct import DirectQueue

LIMIT = 1 << 10


def frame(text: str) -> bytes:
    """Return a client's frame of a short text; its mask is zeros."""
    return bytes((0x81, 0x80 | len(text))) + bytes(4) + text.encode()


@pytest.fixture
async def protocol() -> AsyncIterator[BaseProtocol]:
    """Yield the protocol of an open connection."""
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    with theirs:
        transport, protocol = await loop.create_connection(lambda: BaseProtocol(loop), sock=ours)
        protocol._upgraded = True  # to a WebSocket, as aiohttp does after the handshake
        yield protocol
        transport.abort()


class Client:
    """A queue as aiohttp's reader fills it; ``offered`` has what was offered to `take`."""

    def __init__(self, protocol: BaseProtocol, takes: Callable[[str], bool]) -> None:
        self.queue = DirectQueue(protocol, LIMIT, loop=asyncio.get_running_loop())
        self.queue.take = self._take
        self.reader = WebSocketReader(self.queue, 1 << 16, compress=False, decode_text=True)
        self.offered: list[str] = []
        self.handled: list[str] = []
        self._takes = takes

    def _take(self, message: WSMessage) -> bool:
        assert message.type is WSMsgType.TEXT
        self.offered.append(message.data)
        if self._takes(message.data):
            self.handled.append(message.data)
            return True
        return False

    async def feed(self, *texts: str) -> None:
        """Let the reader get frames, in one piece."""
        await asyncio.sleep(0)
        assert self.reader.feed_data(b"".join(map(frame, texts))) == (False, b"")

    async def serve(self, count: int) -> None:
        """Handle ``count`` messages that were not taken, one after the other."""
        for _ in range(count):
            text = (await self.queue.read()).data
            await asyncio.sleep(0)  # it takes a while
            self.handled.append(text)


async def test_messages_are_taken_while_a_task_waits_for_one(protocol: BaseProtocol) -> None:
    client = Client(protocol, lambda text: text != "last")
    serving = asyncio.create_task(client.serve(1))
    await client.feed("one", "two")
    assert client.handled == ["one", "two"]
    await client.feed("last")
    await serving
    assert client.handled == ["one", "two", "last"]


async def test_a_message_that_is_not_taken_makes_all_behind_it_wait(protocol: BaseProtocol) -> None:
    client = Client(protocol, lambda text: text != "slow")
    serving = asyncio.create_task(client.serve(3))
    await client.feed("slow", "two")
    await client.feed("three")
    assert client.offered == ["slow"] and client.handled == []
    await serving
    assert client.handled == ["slow", "two", "three"]


async def test_nothing_is_offered_while_no_task_waits(protocol: BaseProtocol) -> None:
    client = Client(protocol, lambda text: True)
    await client.feed("one")
    client.queue.put("something else")
    assert client.offered == []
    await client.serve(2)
    assert client.handled == ["one", "something else"]


async def test_what_the_reader_kept_back_is_not_handled_before_what_was_queued(
    protocol: BaseProtocol,
) -> None:
    """While a full queue is emptied, aiohttp goes on to parse, in the middle of `read`."""
    texts = [f"{number}" * 100 for number in range(10)] * 4
    client = Client(protocol, lambda text: text != texts[0])
    serving = asyncio.create_task(client.serve(len(texts)))
    await client.feed(*texts)
    assert client.reader.feed_data(b"") == (False, b"")
    await serving
    assert client.handled == texts


async def test_a_message_that_waits_is_returned_with_the_time_at_which_it_arrived(
    protocol: BaseProtocol,
) -> None:
    client = Client(protocol, lambda text: False)
    await client.feed("first", "second")
    between = monotonic()
    await asyncio.sleep(0.01)
    await client.feed("third")
    times = []
    for _ in range(3):
        await client.queue.read()
        times.append(client.queue.arrived)
    assert times[0] <= times[1] <= between < times[2] <= monotonic()
    await client.feed("fourth")
    await client.queue.read()
    assert client.queue.arrived > times[2], "after a queue that was empty"
