"""The responses to a polling client, and how packets are decoded and measured."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from engineio.packet import MESSAGE

from collab.errors import FrameTooLarge
from collab.sio.packets import decode, is_over
from collab.sio.polling import MAX_ANSWER_SIZE, next_answer, read_payload
from collab.wire.frames import Message
from collab.wire.outbox import Outbox


async def test_an_answer_has_all_that_waits() -> None:
    outbox: Outbox[Message] = Outbox(10)
    for text in "abc":
        outbox.put(text)
    assert await next_answer(outbox) == ["a", "b", "c"]


async def test_a_full_answer_leaves_the_rest_for_the_next_poll() -> None:
    outbox: Outbox[Message] = Outbox(10)
    half = "x" * (MAX_ANSWER_SIZE // 2)
    for text in (half, half, "the rest"):
        outbox.put(text)
    assert await next_answer(outbox) == [half, half]
    assert await next_answer(outbox) == ["the rest"]


async def test_a_poll_waits_on_when_a_slot_turns_out_to_have_nothing() -> None:
    outbox: Outbox[Message] = Outbox(10)
    outbox.put_slot("nothing", list)
    polling = asyncio.create_task(next_answer(outbox))
    await asyncio.sleep(0)
    assert not outbox
    outbox.put("something")
    assert await polling == ["something"]


async def test_a_closed_outbox_gives_what_waits_and_then_nothing() -> None:
    outbox: Outbox[Message] = Outbox(10)
    outbox.put("the last")
    outbox.close()
    assert await next_answer(outbox) == ["the last"]
    assert await next_answer(outbox) == []


@pytest.mark.parametrize(
    ("raw", "kind", "data"),
    [
        ("42[]", MESSAGE, "2[]"),
        ("4{}", MESSAGE, "{}"),  # python-engineio would parse it
        ("3", 3, ""),
        ("bAQI=", MESSAGE, b"\1\2"),
        (b"\1\2", MESSAGE, b"\1\2"),
    ],
)
def test_the_content_of_a_packet_is_not_parsed(
    raw: str | bytes, kind: int, data: str | bytes
) -> None:
    packet = decode(raw)
    assert (packet.packet_type, packet.data) == (kind, data)


@pytest.mark.parametrize("raw", ["", "x", "bA"])
def test_an_invalid_packet_is_refused(raw: str) -> None:
    with pytest.raises(ValueError):
        decode(raw)


@pytest.mark.parametrize(
    ("raw", "over"),
    [
        ("x" * 8, False),
        ("x" * 9, True),
        ("é" * 4, False),
        ("é" * 4 + "x", True),
        (b"x" * 8, False),
        (b"x" * 9, True),
    ],
)
def test_a_limit_counts_bytes(raw: str | bytes, over: bool) -> None:
    assert is_over(raw, 8) is over


def stream_of(body: bytes) -> StreamReader:
    """Return the body of a request that has arrived wholly."""
    protocol = BaseProtocol(asyncio.get_running_loop())
    stream = StreamReader(protocol, 1 << 20, loop=asyncio.get_running_loop())
    stream.feed_data(body)
    stream.feed_eof()
    return stream


async def test_a_request_may_have_so_many_packets_and_no_more() -> None:
    body = b"\x1e".join([b"6"] * 16)
    assert len(await read_payload(stream_of(body), 1000, 16, 1.0)) == 16
    with pytest.raises(FrameTooLarge):
        await read_payload(stream_of(body + b"\x1e6"), 1000, 16, 1.0)


async def test_packets_over_the_limit_are_not_decoded() -> None:
    with pytest.raises(FrameTooLarge):  # and no BadEvent for what they are
        await read_payload(stream_of(b"\x1e".join([b"\xff"] * 17)), 1000, 16, 1.0)
