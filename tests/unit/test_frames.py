"""The frames of a WebSocket server are what aiohttp's reader, as a client, takes them for."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import WSMsgType
from aiohttp._websocket.reader import WebSocketDataQueue, WebSocketReader
from aiohttp.base_protocol import BaseProtocol
from hypothesis import given
from hypothesis import strategies as st

from collab.wire.frames import Message, frame


async def read(data: bytes) -> list[Message]:
    """Return the messages that aiohttp's reader finds in ``data``."""
    loop = asyncio.get_running_loop()
    queue = WebSocketDataQueue(BaseProtocol(loop), 1 << 24, loop=loop)
    reader = WebSocketReader(queue, 1 << 24, compress=False, decode_text=True)
    failed, rest = reader.feed_data(data)
    assert not failed and not rest
    queue.feed_eof()
    found: list[Message] = []
    while queue._buffer:
        message = await queue.read()
        assert message.type is (
            WSMsgType.TEXT if isinstance(message.data, str) else WSMsgType.BINARY
        )
        found.append(message.data)
    return found


@given(st.lists(st.text() | st.binary(), min_size=1))
def test_the_reader_finds_what_was_framed(messages: list[Message]) -> None:
    data = b"".join(frame(each) for each in messages)
    assert asyncio.run(read(data)) == messages


@pytest.mark.parametrize("size", [0, 125, 126, 127, (1 << 16) - 1, 1 << 16, 1 << 20])
async def test_each_form_of_a_length_is_right(size: int) -> None:
    for message in ("a" * size, b"\0" * size):
        assert await read(frame(message)) == [message]
