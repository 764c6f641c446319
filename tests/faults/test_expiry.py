"""Rooms end when nobody has changed them for their time to live, even if clients have them open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from collab.store.keys import room_keys
from tests.support.clients import JsHost, eventually
from tests.support.processes import Node, Redis, running

TTL = 3
Nodes = tuple[Node, Node, Node]


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Redis]:
    server = Redis()
    async with running(server):
        yield server


@pytest.fixture(scope="module")
async def nodes(server: Redis) -> AsyncIterator[Nodes]:
    settings = {"COLLAB_ROOM_TTL": str(TTL), "COLLAB_CHECK_INTERVAL": "0.5"}
    first, second, third = (Node(server.url, name, **settings) for name in "abc")
    three = first, second, third
    async with running(*three):
        yield three
    for node in three:
        assert "Traceback" not in node.output(), node.output()


@pytest.fixture
async def store(server: Redis) -> AsyncIterator[redis.asyncio.Redis]:
    client = redis.asyncio.Redis.from_url(server.url)
    yield client
    await client.aclose()


async def gone(store: redis.asyncio.Redis, room: str) -> None:
    """Wait until a room has expired."""
    async with asyncio.timeout(TTL + 2):
        while await store.exists(*room_keys(room)):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.05)


async def test_an_idle_room_expires_stays_away_and_lives_again_with_the_next_change(
    nodes: Nodes, js: JsHost, store: redis.asyncio.Redis, room: str
) -> None:
    here, there = await js.connect(nodes[0].url), await js.connect(nodes[1].url)
    await here.join(room)
    await there.join(room)
    await here.change(room, "old")
    await there.shows("old")
    await gone(store, room)
    for _ in range(25):  # several checks of both nodes
        assert not await store.exists(*room_keys(room))
        await asyncio.sleep(0.05)
    assert await there.change(room, "old and new") == {"ok": True}
    await here.shows("old and new")
    assert await store.get(f"code_{room}") == b"old and new"
    assert await store.ttl(f"code_{room}") >= TTL - 1


@pytest.mark.parametrize("first", ["the holders", "a cold node"])
async def test_a_starter_written_over_a_dead_room_wins_though_tabs_are_open_on_it(
    nodes: Nodes, js: JsHost, store: redis.asyncio.Redis, room: str, first: str
) -> None:
    here, there = await js.connect(nodes[0].url), await js.connect(nodes[1].url)
    await here.join(room)
    await there.join(room)
    await here.change(room, "def last_week():\n    pass\n")
    await there.shows("def last_week():\n    pass\n")
    await gone(store, room)
    starter = "def next_week():\n    pass\n"
    await store.set(f"code_{room}", starter, ex=60)
    cold = await js.connect(nodes[2].url)
    if first == "a cold node":
        await cold.join(room)
    await here.shows(starter)
    await there.shows(starter)
    if first != "a cold node":
        await cold.join(room)
    await cold.shows(starter)
    assert await store.get(f"code_{room}") == starter.encode()
    assert await here.change(room, "# a\n" + starter) == {"ok": True}
    await cold.shows("# a\n" + starter)
    await there.shows("# a\n" + starter)


async def test_a_change_that_changes_nothing_keeps_a_room_alive_on_every_node(
    nodes: Nodes, js: JsHost, store: redis.asyncio.Redis, room: str
) -> None:
    here, there = await js.connect(nodes[0].url), await js.connect(nodes[1].url)
    await here.join(room)
    await there.join(room)
    await here.change(room, "same")
    await there.shows("same")
    for _ in range(5):
        await asyncio.sleep(0.3)
        await there.change(room, "same")
    for key in room_keys(room):
        assert await store.pttl(key) > (TTL - 1) * 1000
    assert here.codes == []
    await eventually(lambda: here.state("disconnect") is None)
