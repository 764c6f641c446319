"""Redis goes away, stalls, and comes back empty or older, in the middle of typing."""

from __future__ import annotations

import asyncio
import sys
import time

import pytest
import redis.asyncio

from tests.faults.conftest import TIMEOUT, Cluster, status
from tests.faults.typists import Typists
from tests.support.clients import JsHost, eventually


async def test_redis_restarted_empty_while_people_type_gets_everything_back(
    cluster: Cluster, people: Typists, store: redis.asyncio.Redis, room: str
) -> None:
    people.join(room, cluster.a, cluster.a, cluster.b)
    await people.typed(60)
    await cluster.redis.restart(empty=True)
    await people.typed(60)
    await people.rest(store, room)


async def test_redis_restarted_from_an_older_dump_while_people_type_gets_the_rest_back(
    cluster: Cluster, people: Typists, store: redis.asyncio.Redis, room: str
) -> None:
    people.join(room, cluster.a, cluster.b, cluster.b)
    await people.typed(40)
    await store.save()
    await people.typed(60)
    await cluster.redis.restart(empty=False)
    await people.typed(60)
    await people.rest(store, room)


async def test_while_redis_is_away_edits_flow_on_one_node_acknowledgements_wait_and_all_merges(
    cluster: Cluster, js: JsHost, store: redis.asyncio.Redis, room: str
) -> None:
    here, beside = await js.connect(cluster.a.url), await js.connect(cluster.a.url)
    away = await js.connect(cluster.b.url)
    for client in (here, beside, away):
        await client.join(room)
    await here.change(room, "start\n")
    await beside.shows("start\n")
    await away.shows("start\n")
    await away.change(room, "start\n")  # from now on its node knows without Redis what it shows
    await store.save()
    await cluster.redis.kill()
    unheard = [
        asyncio.create_task(here.change(room, "start\nhere\n")),
        asyncio.create_task(away.change(room, "away\nstart\n")),
    ]
    await beside.shows("start\nhere\n")
    await status(cluster.a, 503)
    assert not any(task.done() for task in unheard)
    await cluster.redis.start()
    assert [await task for task in unheard] == [{"ok": True}, {"ok": True}]
    for client in (here, beside, away):
        await client.shows("away\nstart\nhere\n")
    assert await store.get(f"code_{room}") == b"away\nstart\nhere\n"
    await status(cluster.a, 200)


async def test_a_redis_that_stalls_is_waited_for_like_one_that_is_gone(
    cluster: Cluster, people: Typists, store: redis.asyncio.Redis, room: str
) -> None:
    """Commands that were sent into the stall arrive when it ends, after newer ones."""
    people.join(room, cluster.a, cluster.b, cluster.b)
    await people.typed(40)
    cluster.wire.stall()
    await status(cluster.b, 503)
    await status(cluster.a, 200)
    await people.typed(30)  # those on the other node go on
    cluster.wire.resume()
    await status(cluster.b, 200)
    await people.typed(60)
    await people.rest(store, room)


async def test_a_frozen_redis_makes_all_nodes_unready_and_goes_on_where_it_was(
    cluster: Cluster, people: Typists, store: redis.asyncio.Redis, room: str
) -> None:
    people.join(room, cluster.a, cluster.b, cluster.c)
    await people.typed(40)
    with cluster.redis.frozen():
        for node in (cluster.a, cluster.b, cluster.c):
            await status(node, 503)
    for node in (cluster.a, cluster.b, cluster.c):
        await status(node, 200)
    await people.typed(40)
    await people.rest(store, room)


async def test_a_slow_redis_delays_acknowledgements_and_leaves_the_nodes_ready(
    cluster: Cluster, people: Typists, store: redis.asyncio.Redis, room: str
) -> None:
    people.join(room, cluster.a, cluster.b, cluster.b)
    await people.typed(20)
    cluster.wire.delay = TIMEOUT / 8  # each way; two answers of a probe are due in TIMEOUT
    for _ in range(4):
        await status(cluster.b, 200, within=5 * TIMEOUT)
        await people.typed(20)
    cluster.wire.delay = 0.0
    await people.rest(store, room)


async def test_connections_cut_again_and_again_while_people_type_lose_nothing(
    cluster: Cluster, people: Typists, store: redis.asyncio.Redis, room: str
) -> None:
    people.join(room, cluster.a, cluster.b, cluster.b)
    await people.typed(20)
    for _ in range(15):
        cluster.wire.cut()
        await asyncio.sleep(0.1)
    await people.typed(20)
    await people.rest(store, room)


async def test_a_node_joins_people_at_once_though_redis_was_restarted_while_it_was_idle(
    cluster: Cluster, js: JsHost, store: redis.asyncio.Redis, room: str
) -> None:
    """Its idle connections are dead, which must not be the next client's trouble."""
    client = await js.connect(cluster.c.url)
    await cluster.redis.restart(empty=True)
    await status(cluster.c, 200)
    await cluster.redis.restart(empty=True)
    await asyncio.sleep(0.3)
    assert (await client.join(room))["ok"]


async def test_a_node_whose_pubsub_alone_is_dead_says_so_and_mends_when_it_is_back(
    cluster: Cluster, js: JsHost, store: redis.asyncio.Redis, room: str
) -> None:
    here, there = await js.connect(cluster.a.url), await js.connect(cluster.b.url)
    await here.join(room)
    await there.join(room)
    await here.change(room, "heard")
    await there.shows("heard")
    cluster.wire.to_server = lambda piece: [] if b"SUBSCRIBE" in piece else [piece]
    await store.client_kill_filter(_type="pubsub")
    await status(cluster.b, 503)
    await status(cluster.a, 200)
    await here.change(room, "read")
    await there.shows("read")  # the check finds what pub/sub does not bring
    cluster.wire.to_server = None
    await status(cluster.b, 200, within=5 * TIMEOUT)
    await here.change(room, "heard again")
    began = time.monotonic()
    await there.shows("heard again")
    assert time.monotonic() - began < 1


async def test_a_redis_that_is_full_takes_nothing_new_or_old_and_the_nodes_say_why(
    cluster: Cluster, js: JsHost, store: redis.asyncio.Redis, room: str
) -> None:
    old, new = await js.connect(cluster.a.url), await js.connect(cluster.b.url)
    await old.join(room)
    await old.change(room, "one")
    full = int((await store.info("memory"))["used_memory"]) // 2
    await store.config_set("maxmemory", full)
    try:
        waiting = [
            asyncio.create_task(old.change(room, "one two")),
            asyncio.create_task(new.change(room + "-new", "first")),
        ]
        for node in (cluster.a, cluster.b):
            assert "maxmemory" in await status(node, 503)
        await eventually(lambda: cluster.b.output().count("waiting for Redis"))
        assert not any(task.done() for task in waiting)
        assert await store.get(f"code_{room}") == b"one"
        assert await store.keys(f"*{room}-new*") == []
    finally:
        await store.config_set("maxmemory", 0)
    assert [await task for task in waiting] == [{"ok": True}, {"ok": True}]
    assert await store.mget(f"code_{room}", f"code_{room}-new") == [b"one two", b"first"]
    for node in (cluster.a, cluster.b):
        await status(node, 200)


@pytest.mark.parametrize("policy", ["allkeys-lru", "noeviction"])
async def test_a_policy_that_throws_rooms_away_is_an_error_at_the_start(
    cluster: Cluster, store: redis.asyncio.Redis, policy: str
) -> None:
    await store.config_set("maxmemory-policy", policy)
    try:
        await cluster.c.stop()
        before = len(cluster.c.output())
        await cluster.c.start()
        said = cluster.c.output()[before:]
        assert ("noeviction" in said and '"error"' in said.lower()) == (policy != "noeviction")
    finally:
        await store.config_set("maxmemory-policy", "noeviction")


async def test_an_announcement_that_is_dropped_is_healed_within_five_seconds(
    cluster: Cluster, js: JsHost, room: str, capsys: pytest.CaptureFixture[str]
) -> None:
    here, there = await js.connect(cluster.a.url), await js.connect(cluster.b.url)
    await here.join(room)
    await there.join(room)
    await here.change(room, "one")
    await there.shows("one")
    took = []
    for number in range(3):
        dropped: list[bytes] = []

        def drop(piece: bytes, dropped: list[bytes] = dropped) -> list[bytes]:
            if b"message" in piece and b"\nJ " in piece and room.encode() in piece:
                dropped.append(piece)
                return []
            return [piece]

        cluster.wire.to_client = drop
        await here.change(room, f"missed {number}")
        began = time.monotonic()
        await eventually(lambda: dropped)  # noqa: B023 - awaited before the next round
        cluster.wire.to_client = None
        assert there.codes[-1] != f"missed {number}"
        await there.shows(f"missed {number}")
        took.append(time.monotonic() - began)
        assert took[-1] < 5
    with capsys.disabled():
        times = ", ".join(f"{each:.2f} s" for each in took)
        sys.stdout.write(f"\ndropped announcements healed after {times}\n")
