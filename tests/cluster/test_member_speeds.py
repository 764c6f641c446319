"""Slow members cost little, fast ones are slowed, and neither loses anything."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import AsyncExitStack

import redis.asyncio

from tests.cluster.people import (
    all_show,
    member_of,
    until,
    until_stored,
)
from tests.support.clients import eventually
from tests.support.processes import Node, Redis, get_metrics, running

Nodes = tuple[Node, Node]


# Slow members


async def test_a_member_that_stops_reading_costs_a_bounded_set_of_texts_and_ends_equal(
    redis_server: Redis, stack: AsyncExitStack, room: str, store: redis.asyncio.Redis
) -> None:
    node = Node(redis_server.url, "slow")
    await stack.enter_async_context(running(node))
    typist = await member_of(stack, node.url, room)
    slow = await member_of(stack, node.url, room, receive_buffer=4096)
    page = "".join(f"line {i}\n" for i in range(18_000))[:200_000]
    for text in ("a", "b", page):  # until the node knows that the member does not echo
        await (await typist.type(room, text))
        await slow.shows(text)
    before = node.resident()
    slow.stop_reading()
    sizes = []
    for i in range(150):
        await (await typist.type(room, f"{i}\n" + page))
        sizes.append(node.resident())
    sys.stdout.write(f"\nRSS in MB, one member not reading: {before}, then {sizes[::15]}\n")
    # The transport's buffer, the views (32 at most) and one unsent text, of 200 kB each.
    assert max(sizes) - before < 40
    assert max(sizes[75:]) - max(sizes[:75]) < 10, "it goes on growing"
    slow.read_again()
    await slow.shows("149\n" + page)
    assert len(slow.codes) < 60
    await (await slow.type(room, "read all of it\n" + slow.text))
    await typist.shows("read all of it\n149\n" + page)
    await until_stored(store, room, typist.text)


async def test_a_member_that_answers_no_mark_waits_with_a_bounded_set_of_views(
    nodes: Nodes, stack: AsyncExitStack, room: str
) -> None:
    typist = await member_of(stack, nodes[0].url, room)
    silent = await member_of(stack, nodes[0].url, room)
    for text in ("a", "b"):  # until the node knows that the member does not echo
        await (await typist.type(room, text))
        await silent.shows(text)
    await silent.send_without_waiting(room)
    await (await silent.type(room, "bc"))  # now it may have many receives in flight
    silent.codes.clear()
    silent.sends_pongs = False
    for i in range(100):
        await (await typist.type(room, "x" * (i + 1)))
    assert 20 < len(silent.codes) <= 32
    await silent.send_pongs()
    silent.sends_pongs = True
    await silent.shows("x" * 100)


# Fast members


async def test_a_burst_of_five_hundred_changes_is_slowed_and_all_of_it_is_acknowledged(
    redis_server: Redis, stack: AsyncExitStack, room: str, store: redis.asyncio.Redis
) -> None:
    node = Node(redis_server.url, "fast", COLLAB_MAX_CHANGES_PER_SECOND="100")
    await stack.enter_async_context(running(node))
    fast, other = [await member_of(stack, node.url, room) for _ in range(2)]
    began = time.monotonic()
    answers = [await fast.type(room, "x" * (i + 1)) for i in range(500)]
    await eventually(lambda: other.text)
    await (await other.type(room, "y" + other.text))
    async with asyncio.timeout(20):
        assert all([(await answer)["ok"] for answer in answers])
    assert time.monotonic() - began > 2.9  # 200 at once, then a hundred a second
    await all_show([fast, other], "y" + "x" * 500)
    await until_stored(store, room, "y" + "x" * 500)
    # Fewer than were too fast: a busy machine lets some wait in their socket.
    assert (await get_metrics(node.url))["collab_slowed_total"] > 20


async def test_only_abuse_ends_in_rate_limited_and_the_connection_survives_it(
    redis_server: Redis, stack: AsyncExitStack, room: str, store: redis.asyncio.Redis
) -> None:
    node = Node(
        redis_server.url, "abused",
        COLLAB_MAX_CHANGES_PER_SECOND="50", COLLAB_MAX_SLOWED="0.5",
    )  # fmt: skip
    await stack.enter_async_context(running(node))
    member = await member_of(stack, node.url, room)
    answers = [await member.type(room, "x" * (i + 1)) for i in range(400)]
    async with asyncio.timeout(20):
        replies = [await answer for answer in answers]
    refused = [reply["error"]["code"] for reply in replies if not reply["ok"]]
    assert refused and set(refused) == {"rate_limited"}
    assert [error["code"] for error in member.errors] == refused
    assert all(reply["ok"] for reply in replies[:120])

    async def accepted() -> bool:  # each change has the whole text
        return bool((await (await member.type(room, "x" * 401)))["ok"])

    await until(accepted, pause=0.1)
    assert not member.closed
    await until_stored(store, room, "x" * 401)
