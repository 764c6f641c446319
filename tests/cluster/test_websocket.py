"""The WebSocket of one client, between a real server and a real client on this machine."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from collab.wire.frames import Message
from collab.wire.outbox import Outbox
from collab.wire.websocket import MAX_REASON_BYTES, RESTART, Closed, Farewell, WebSocket

LIMIT = 1000
DATA_SEGMENTS_OUT = 156
"""Where Linux' `struct tcp_info` has the number of segments with data that were sent."""
Serve = Callable[[WebSocket], Awaitable[None]]
Ws = aiohttp.ClientWebSocketResponse


def farewell(code: int) -> Farewell:
    return Farewell(["last", b"words"], f"{code}, because " + "x" * 200)


@asynccontextmanager
async def connected(serve: Serve) -> AsyncIterator[Ws]:
    """Connect a client that answers no Close frame by itself; the server's side runs ``serve``."""
    served: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def handle(request: web.Request) -> web.StreamResponse:
        ws = WebSocket(max_message_bytes=LIMIT, farewell=farewell, close_timeout=0.1)
        await ws.prepare(request)
        try:
            await serve(ws)
        except BaseException as problem:
            served.set_exception(problem)
            raise
        served.set_result(None)
        return ws

    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"http://{host}:{port}/", autoclose=False) as client,
        ):
            yield client
            async with asyncio.timeout(5):
                await served
    finally:
        await runner.cleanup()


async def next_from(client: Ws) -> tuple[WSMsgType, object, object]:
    message = await client.receive(5)
    return message.type, message.data, message.extra


async def test_texts_and_bytes_are_read_until_the_client_closes() -> None:
    read: list[str | bytes] = []
    codes: list[int] = []

    async def handle(message: str | bytes) -> None:
        await asyncio.sleep(0)
        read.append(message)

    async def serve(ws: WebSocket) -> None:
        codes.append(await ws.read_messages(handle))
        assert not ws.is_open

    async with connected(serve) as client:
        await client.send_str("text")
        await client.send_bytes(b"bytes")
        await client.close(code=4000)
    assert read == ["text", b"bytes"] and codes == [4000]


async def test_reading_ends_with_what_is_raised_where_a_message_is_handled() -> None:
    async def handle(message: str | bytes) -> None:
        raise LookupError(message)

    async def serve(ws: WebSocket) -> None:
        with pytest.raises(LookupError, match="text"):
            await ws.read_messages(handle)
        assert ws.is_open and await ws.read() == "more"

    async with connected(serve) as client:
        await client.send_str("text")
        await client.send_str("more")


async def test_a_message_that_had_to_wait_is_handled_without_a_wait_if_that_is_possible() -> None:
    handled: list[tuple[str, str | bytes]] = []

    async def handle(message: str | bytes) -> None:
        await asyncio.sleep(0.01)
        handled.append(("later", message))

    def handle_now(message: str | bytes) -> bool:
        if message == "slow":
            return False
        handled.append(("now", message))
        return True

    async def serve(ws: WebSocket) -> None:
        await ws.read_messages(handle, handle_now=handle_now)

    async with connected(serve) as client:
        for message in ("slow", "1", "2", "slow", "3"):
            await client.send_str(message)
        await client.close()
    now, later = "now", "later"
    assert handled == [(later, "slow"), (now, "1"), (now, "2"), (later, "slow"), (now, "3")]


async def test_an_outbox_is_written_in_order_until_it_is_closed_and_empty() -> None:
    outbox: Outbox[Message] = Outbox(10)
    written: list[Message] = []

    async def serve(ws: WebSocket) -> None:
        await ws.write_outbox(outbox, written.append)
        await ws.close()

    async with connected(serve) as client:
        outbox.put("1")
        outbox.put_render(lambda: [b"\2", "3"])
        assert await client.receive_str() == "1"
        assert await client.receive_bytes() == b"\2"
        assert await client.receive_str() == "3"
        outbox.put(b"\4")
        outbox.close()
        assert await client.receive_bytes() == b"\4"
        assert written == ["1", b"\2", "3", b"\4"]
        assert (await next_from(client))[:2] == (WSMsgType.CLOSE, 1000)
        await client.close()


async def test_writing_an_outbox_ends_when_the_client_is_gone() -> None:
    outbox: Outbox[str] = Outbox(10)

    async def serve(ws: WebSocket) -> None:
        writing = asyncio.create_task(ws.write_outbox(outbox))
        with pytest.raises(Closed):
            await ws.read()
        outbox.put("into the void")
        await writing

    async with connected(serve) as client:
        await client.close()


async def test_a_client_that_sends_too_much_is_told_so_before_the_close_frame() -> None:
    async def serve(ws: WebSocket) -> None:
        with pytest.raises(Closed) as end:
            await ws.read()
        assert end.value.code == 1009

    async with connected(serve) as client:
        await client.send_str("x" * LIMIT + "x")
        assert await client.receive_str() == "last"
        assert await client.receive_bytes() == b"words"
        kind, code, reason = await next_from(client)
        assert (kind, code) == (WSMsgType.CLOSE, 1009)
        assert isinstance(reason, str) and len(reason) == MAX_REASON_BYTES
        assert reason.startswith("1009, because")
        await client.close()


async def test_a_client_is_read_after_its_close_was_announced() -> None:
    read: list[str | bytes] = []

    async def serve(ws: WebSocket) -> None:
        await ws.announce_close(RESTART, "bye")
        read.append(await ws.read())
        with pytest.raises(Closed):
            await ws.read()

    async with connected(serve) as client:
        assert await next_from(client) == (WSMsgType.CLOSE, RESTART, "bye")
        await client.send_str("one word more")
        await client.close()
    assert read == ["one word more"]


async def test_a_client_that_answers_no_close_frame_is_dropped_in_time() -> None:
    async def serve(ws: WebSocket) -> None:
        await ws.close_or_abort(4000, "why")
        assert not ws.is_open

    async with connected(serve) as client:
        assert await next_from(client) == (WSMsgType.CLOSE, 4000, "why")


async def test_an_aborted_connection_ends_without_a_close_frame() -> None:
    async def serve(ws: WebSocket) -> None:
        assert ws.is_open
        ws.abort()
        assert not ws.is_open

    async with connected(serve) as client:
        assert (await next_from(client))[0] in (WSMsgType.ERROR, WSMsgType.CLOSED)
    assert client.close_code == 1006


async def test_messages_that_are_sent_together_leave_in_one_segment() -> None:
    """A client handles what one segment brings at one moment; between two it may handle a key."""
    sent = []

    async def serve(ws: WebSocket) -> None:
        before = segments_sent(ws)
        await ws.send_messages(["a", b"b", "c"])
        sent.append(segments_sent(ws) - before)
        for message in ("d", "e"):
            await ws.send_messages([message])
        sent.append(segments_sent(ws) - before)
        await ws.close()

    async with connected(serve) as client:
        assert [(await next_from(client))[1] for _ in range(5)] == ["a", b"b", "c", "d", "e"]
        await client.close()
    assert sent == [1, 3]


def segments_sent(ws: WebSocket) -> int:
    """Return how many segments with data the kernel has sent on the connection of ``ws``."""
    assert ws._request is not None and ws._request.transport is not None
    sock = ws._request.transport.get_extra_info("socket")
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return int.from_bytes(info[DATA_SEGMENTS_OUT : DATA_SEGMENTS_OUT + 4], sys.byteorder)
