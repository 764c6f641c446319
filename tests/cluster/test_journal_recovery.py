"""Nothing stays lost if Redis comes back in another state, or others write to the journal."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
import redis.asyncio

from collab.errors import RoomUnreadable
from collab.store.keys import room_keys
from tests.cluster.peers import (
    assert_one_truth,
    cluster,
    converge,
    dump_keys,
    often_compacted,
    peers,
    restore_keys,
)
from tests.support.clients import eventually
from tests.support.processes import Redis

Client = redis.asyncio.Redis


async def test_after_redis_is_emptied_the_room_is_written_back_with_the_time_that_was_left(
    redis_server: Redis, store: Client, room: str
) -> None:
    async with peers(redis_server.url, room, "a", "b", ttl=600.0) as nodes:
        await nodes[0].insert("one ")
        await nodes[1].insert("two ")
        await converge(*nodes)
        for key in room_keys(room):
            await store.pexpire(key, 100_000)
        await converge(*nodes)  # the nodes check, and learn the deadline
        await store.delete(*room_keys(room))
        await converge(*nodes)
        assert sorted((await assert_one_truth(store, room, *nodes)).split()) == ["one", "two"]
        assert {round(await store.pttl(key) / 10_000) for key in room_keys(room)} == {10}
        assert await store.xlen(room_keys(room)[1]) == 1, "every holder wrote it back"


async def test_what_a_node_commits_while_its_subscription_has_ended_unnoticed_is_announced_later(
    redis_server: Redis, store: Client, room: str
) -> None:
    """The script takes the only subscription, which is the other node's, for the writer's own."""
    async with peers(redis_server.url, room, "writer", "reader", ttl=600.0) as (writer, reader):
        await writer.insert("before")
        await eventually(lambda: reader.text == "before")
        await writer.lose_subscription()
        for key in room_keys(room):
            await store.pexpire(key, 700_000)
        await writer.insert(", meanwhile")
        await asyncio.sleep(0.2)
        assert reader.text == "before", "it was announced: then this test shows nothing"
        await writer.regain_subscription()
        await eventually(lambda: reader.text == "before, meanwhile")
        await writer.journal.flush()
        assert await store.pttl(room_keys(room)[1]) > 690_000, "the room lives as long as before"


@pytest.mark.parametrize("seed", range(6))
async def test_an_emptied_or_older_redis_while_people_type_loses_nothing(
    redis_server: Redis, store: Client, room: str, seed: int
) -> None:
    random = Random(200 + seed)
    async with peers(redis_server.url, room, "a", "b", "c", **often_compacted(random)) as nodes:
        await nodes[0].insert("^]")
        await converge(*nodes)
        saved = await dump_keys(store, room)
        for _ in range(100):
            random.choice(nodes).type(random)
            chance = random.random()
            if chance < 0.05:
                await restore_keys(store, room, saved)
            elif chance < 0.08:
                await store.delete(*room_keys(room))
            elif chance < 0.15 and await store.exists(room_keys(room)[1]):
                saved = await dump_keys(store, room)
            if random.random() < 0.5:
                await asyncio.sleep(random.choice((0, 0.001, 0.004)))
        await converge(*nodes)
        text = await assert_one_truth(store, room, *nodes)
        assert all(text.count(token) == 1 for node in nodes for token in node.sent)
        assert all(node.acknowledged == list(node.sent) for node in nodes)


async def test_an_entry_id_is_never_given_twice_even_if_redis_and_its_clock_go_back(
    redis_server: Redis, store: Client, room: str
) -> None:
    """Otherwise a node with the lost entry takes the new one for it, and differs permanently."""
    _, stream, head = room_keys(room)
    async with peers(redis_server.url, room, "a", "b") as (node, other):
        await node.insert("x")
        seconds, _ = await store.time()
        ahead = f"{(seconds + 86400) * 1000}-7"  # by a clock that was a day ahead
        await store.xadd(stream, {"a": "", "u": b"\0\0"}, id=ahead)
        await store.hset(head, "tail", ahead)
        await converge(node, other)
        saved = await dump_keys(store, room)
        await node.insert("lost")
        await converge(node, other)
        lost = node.journal.last
        other.deaf = True
        await restore_keys(store, room, saved)
        async with peers(redis_server.url, room, "c") as (cold,):
            await cold.insert("else")
            assert cold.journal.last != lost
            other.deaf = False
            await converge(node, other, cold)
            assert sorted(await assert_one_truth(store, room, node, other, cold)) == sorted(
                "xlostelse"
            )


async def test_scripts_that_redis_forgot_are_sent_again(
    redis_server: Redis, store: Client, room: str
) -> None:
    async with peers(redis_server.url, room, "a") as (node,):
        await node.insert("one ")
        await store.script_flush()
        await node.insert("two")
        await store.script_flush()
        await converge(node)
        assert await assert_one_truth(store, room, node) == "one two"


@pytest.mark.parametrize("half", [1, 2], ids=["without stream", "without head"])
async def test_a_journal_without_one_of_its_keys_is_written_back_by_a_holder(
    redis_server: Redis, store: Client, room: str, half: int
) -> None:
    async with cluster(redis_server.url, room, "a", "b") as nodes:
        node, other = nodes.alive
        await node.insert("all of it")
        await converge(node, other)
        await store.delete(room_keys(room)[half])
        await converge(node, other)
        assert await assert_one_truth(store, room, node, other) == "all of it"
        for peer in list(nodes.alive):
            await nodes.kill(peer)
        await store.delete(room_keys(room)[half])
        saved = await dump_keys(store, room)
        with pytest.raises(RoomUnreadable):
            await nodes.add("c")
        assert (await dump_keys(store, room)).keys() == saved.keys(), "it must delete nothing"


async def test_a_holder_writes_a_room_with_a_bad_entry_anew_and_the_room_goes_on(
    redis_server: Redis, store: Client, room: str
) -> None:
    """Another program wrote to the journal."""
    _, stream, head = room_keys(room)
    async with cluster(redis_server.url, room, "a", max_entries=6) as nodes:
        (node,) = nodes.alive
        await node.insert("good ")
        await store.hset(head, "tail", await store.xadd(stream, {"a": "", "u": b"\xff nonsense"}))
        await converge(node)
        await node.insert("still good")
        cold = await nodes.add("b")
        await converge(node, cold)
        for peer in (node, cold):
            assert peer.text == "good still good"
        for number in range(10):
            await cold.insert(str(number), author=str(number))
        await converge(node, cold)
        text = await assert_one_truth(store, room, node, cold)
        assert text == "good still good0123456789"
