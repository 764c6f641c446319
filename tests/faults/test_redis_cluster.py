"""A Redis Cluster loses masters and moves slots while people type on nodes that share it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest
import redis.asyncio
import socketio

from tests.faults.conftest import SETTINGS, status
from tests.faults.typists import Typists
from tests.support.clients import JsHost, eventually
from tests.support.processes import Node, running
from tests.support.redises import RETRY, RedisCluster, redis_cluster


@dataclass(frozen=True, slots=True)
class Sharded:
    """Two nodes on a Redis Cluster."""

    redis: RedisCluster
    a: Node
    b: Node


@pytest.fixture(scope="module")
async def shared() -> AsyncIterator[Sharded]:
    async with redis_cluster() as cluster:
        nodes = Node(cluster.url, "a", **SETTINGS), Node(cluster.url, "b", **SETTINGS)
        async with running(*nodes):
            yield Sharded(cluster, *nodes)
        for node in nodes:
            assert "Traceback" not in node.output(), node.output()


@pytest.fixture
async def sharded(shared: Sharded) -> AsyncIterator[Sharded]:
    yield shared
    await shared.redis.ready()


@pytest.fixture
async def store(shared: Sharded) -> AsyncIterator[redis.asyncio.RedisCluster]:
    port = next(server.port for server in shared.redis.servers if server.running)
    client = redis.asyncio.RedisCluster(port=port, host="127.0.0.1", retry=RETRY)
    yield client
    await client.aclose()


async def rooms_at_each(cluster: RedisCluster, prefix: str) -> list[str]:
    """Return a room for each master, in the order of their slots."""
    masters = await cluster.masters()
    rooms: dict[int, str] = {}
    for number in range(1000):
        room = f"{prefix}-{number}"
        rooms.setdefault(masters.index(await cluster.master_of(f"code_{room}")), room)
        if len(rooms) == len(masters):
            break
    return [rooms[index] for index in range(len(masters))]


async def test_rooms_on_all_masters_are_edited_from_all_nodes_at_once(
    sharded: Sharded, js: JsHost, store: redis.asyncio.RedisCluster, room: str
) -> None:
    for each in await rooms_at_each(sharded.redis, room):
        here, there = await js.connect(sharded.a.url), await js.connect(sharded.b.url)
        for client in (here, there):
            await client.join(each)
        await here.change(each, "by pub/sub")
        async with asyncio.timeout(1):  # before a check finds it
            await there.shows("by pub/sub")
        assert await store.get(f"code_{each}") == b"by pub/sub"


async def test_a_master_is_killed_and_its_replica_promoted_while_people_type(
    sharded: Sharded, people: Typists, store: redis.asyncio.RedisCluster, room: str
) -> None:
    people.join(room, sharded.a, sharded.a, sharded.b)
    await people.typed(60)
    master = await sharded.redis.master_of(f"code_{room}")
    await master.kill()
    await people.typed(90)
    assert await sharded.redis.master_of(f"code_{room}") is not master
    await people.rest(store, room)
    for node in (sharded.a, sharded.b):
        await status(node, 200)


async def test_the_slot_of_a_room_is_moved_there_and_back_while_people_type(
    sharded: Sharded, people: Typists, store: redis.asyncio.RedisCluster, room: str
) -> None:
    people.join(room, sharded.a, sharded.b, sharded.b)
    await people.typed(60)
    home = await sharded.redis.master_of(f"code_{room}")
    other = next(each for each in await sharded.redis.masters() if each is not home)
    for source, target in ((home, other), (other, home)):
        await sharded.redis.move_slot(f"code_{room}", source, target, pause=0.3)
        await people.typed(60)
        assert await sharded.redis.master_of(f"code_{room}") is target
    await people.rest(store, room)
