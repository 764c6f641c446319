"""Messages are handled where they arrive, as long as none before them waits."""

from __future__ import annotations

import asyncio

from aiohttp import WSMessage, WSMsgType
from aiohttp._websocket.reader import WebSocketReader
from aiohttp.base_protocol import BaseProtocol

from collab.wire.direct import DirectQueue


def frame(text: str) -> bytes:
    """Return a client's frame of a short text; its mask is zeros."""
    return bytes((0x81, 0x80 | len(text))) + bytes(4) + text.encode()


def opened() -> tuple[DirectQueue, WebSocketReader]:
    loop = asyncio.get_running_loop()
    queue = DirectQueue(BaseProtocol(loop), 1 << 16, loop=loop)
    return queue, WebSocketReader(queue, 1 << 16, compress=False, decode_text=True)


async def test_the_reader_of_aiohttp_offers_each_message_and_is_told_that_all_is_well() -> None:
    queue, reader = opened()
    taken: list[object] = []

    def take(message: WSMessage) -> bool:
        taken.append((message.type, message.data))
        return True

    queue.take = take
    assert reader.feed_data(frame("one") + frame("two")) == (False, b"")
    assert taken == [(WSMsgType.TEXT, "one"), (WSMsgType.TEXT, "two")]
    assert not queue._buffer


async def test_a_message_that_is_not_taken_makes_all_behind_it_wait() -> None:
    queue, reader = opened()
    offered: list[object] = []

    def take(message: WSMessage) -> bool:
        offered.append(message.data)
        return False

    queue.take = take
    reader.feed_data(frame("one") + frame("two"))
    assert offered == ["one"]
    assert [(await queue.read()).data for _ in range(2)] == ["one", "two"]
    reader.feed_data(frame("three"))
    assert offered == ["one", "three"]


async def test_nothing_is_offered_while_nobody_takes() -> None:
    queue, reader = opened()
    reader.feed_data(frame("one"))
    queue.put("something else")
    assert [(await queue.read()).data for _ in range(2)] == ["one", "something else"]
