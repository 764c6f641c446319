"""Rooms with many members: all end with one text, and readers do not keep typists waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from loadtest.crowd import BigRoom, LazyReader, Reader, Typist
from tests.cluster.people import until
from tests.support.clients import eventually
from tests.support.processes import Node, Redis, get_metrics, running

MANY = 200
LETTERS = 30
PAUSE = 0.1
"""Seconds between two letters of one typist."""
MANY_MEMBERS = {"COLLAB_MAX_MEMBERS_PER_ROOM": "1000"}


@asynccontextmanager
async def nodes_for_many(server: Redis) -> AsyncIterator[tuple[Node, Node]]:
    pair = Node(server.url, "a", **MANY_MEMBERS), Node(server.url, "b", **MANY_MEMBERS)
    async with running(*pair):
        yield pair
    for node in pair:
        assert "Traceback" not in node.output(), node.output()


async def typists_in(room: BigRoom, *nodes: Node) -> list[Typist]:
    """Return the typists of a room, which has its first text."""
    count = len(room.typed_by)
    typists = [await Typist.come(room, n, nodes[n % len(nodes)].port) for n in range(count)]
    first, *others = typists
    first.write_text()
    await asyncio.wait_for(first.stored, 10)
    for other in others:
        await asyncio.wait_for(asyncio.shield(other.first_text), 10)
    return typists


async def readers_of(room: BigRoom, count: int, *nodes: Node, lazy: int = 0) -> list[Reader]:
    """Return readers that have come at once and show a text; the first ``lazy`` read seldom."""
    readers = await asyncio.gather(
        *(
            (LazyReader if n < lazy else Reader).enter(room, nodes[n % len(nodes)].port)
            for n in range(count)
        )
    )
    await asyncio.gather(*(asyncio.shield(each.first_text) for each in readers))
    return list(readers)


async def type_letters(typists: list[Typist], letters: int) -> None:
    """Let all type at the same time, in turn."""
    for _ in range(letters):
        for typist in typists:
            typist.type_letter()
            await asyncio.sleep(PAUSE / len(typists))


async def until_equal(room: BigRoom, typists: list[Typist], readers: list[Reader]) -> None:
    """Wait until everybody shows the text with all letters."""
    letters = len(room.typed_at)
    size = len(room.first) + letters
    await eventually(lambda: all(len(each.text) == size for each in typists), within=20)
    await eventually(lambda: all(each.shown >= letters for each in readers), within=20)
    texts = {each.final_text() for each in [*typists, *readers]}
    assert len(texts) == 1, texts
    (text,) = texts
    for number, typed in enumerate(room.typed_by):
        _, _, line = text.partition(room.head(number))
        assert len(line.partition("\n")[0]) == len(typed), "each letter is in its author's line"
    assert not [each.error for each in [*typists, *readers] if each.error]


async def test_thirty_who_type_at_once_on_two_nodes_end_with_one_text_and_all_letters(
    nodes: tuple[Node, Node], room: str
) -> None:
    big = BigRoom(room, 1000, 30)
    typists = await typists_in(big, *nodes)
    await type_letters(typists, 10)
    await until_equal(big, typists, [])
    for each in typists:
        each.close()


@pytest.mark.timeout(90)
async def test_two_hundred_readers_get_the_newest_text_and_a_slow_one_fewer_texts(
    redis_server: Redis, room: str
) -> None:
    async with nodes_for_many(redis_server) as pair:
        big = BigRoom(room, 2000, 2)
        typists = await typists_in(big, *pair)
        await type_letters(typists, 2)
        readers = await readers_of(big, MANY, *pair, lazy=4)
        before = [each.receives for each in readers]
        await type_letters(typists, LETTERS)
        await until_equal(big, typists, list(readers))
        counts = [each.receives - old for each, old in zip(readers, before, strict=True)]
        lazy, normal = counts[:4], counts[4:]
        assert max(lazy) < min(normal), (lazy, normal)
        assert min(normal) >= max(normal) / 4, "each gets its turn"
        for each in [*typists, *readers]:
            each.close()


async def test_readers_of_a_big_room_get_no_more_texts_than_the_node_may_write(
    redis_server: Redis, room: str
) -> None:
    """100 edits a second to 120 readers would be 12,000 texts."""
    loop = asyncio.get_running_loop()
    node = Node(redis_server.url, "big", **MANY_MEMBERS)
    async with running(node):
        big = BigRoom(room, 200, 4)
        typists = await typists_in(big, node)
        await type_letters(typists, 1)
        readers = await readers_of(big, 120, node)
        began, before = loop.time(), sum(each.receives for each in readers)
        await type_letters(typists, LETTERS // 2)
        took, sent = loop.time() - began, sum(each.receives for each in readers) - before
        assert sent <= 1000 * took + 200
        await until_equal(big, typists, list(readers))
        for each in [*typists, *readers]:
            each.close()
        await until(lambda: nobody_is_left(node), pause=0.05)


async def nobody_is_left(node: Node) -> bool:
    return not (await get_metrics(node.url))["collab_members"]
