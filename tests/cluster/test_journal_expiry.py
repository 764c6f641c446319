"""A room that expires is over; a text that is found in its place begins the next room."""

from __future__ import annotations

import asyncio

import pytest
import redis.asyncio

from collab.merge.delta import Delta
from collab.store.keys import room_keys
from tests.cluster.peers import (
    Peer,
    assert_one_truth,
    cluster,
    converge,
    dump_keys,
    peers,
    restore_keys,
)
from tests.support.clients import eventually
from tests.support.processes import Redis

Client = redis.asyncio.Redis


async def test_writing_a_room_back_never_shortens_the_expiry_that_other_nodes_set(
    redis_server: Redis, store: Client, room: str
) -> None:
    async with peers(redis_server.url, room, "a", "b", ttl=600.0) as (node, other):
        await node.insert("kept ")
        await converge(node, other)
        node.deaf = True
        node.journal._follower.set_deadline(asyncio.get_running_loop().time() + 5)
        await store.delete(*room_keys(room))
        await other.insert("new")  # writes all back, for ten minutes
        node.deaf = False
        late = node.journal.replica.edit(Delta.of("~"))
        node.shown = node.text
        node.journal._follower.waiting.add("", late)
        node.journal._follower.waiting.request_whole(asyncio.get_running_loop().time(), 5)
        await converge(node, other)
        await assert_one_truth(store, room, node, other)
        for key in room_keys(room):
            assert await store.ttl(key) > 500


async def test_every_node_knows_a_rooms_deadline_from_announcements(
    redis_server: Redis, store: Client, room: str
) -> None:
    """A node with a later deadline would take the expiry for a loss and write the room back."""
    clock = asyncio.get_running_loop().time
    await store.set(f"code_{room}", "starter", ex=50)
    async with peers(redis_server.url, room, "a", "b", ttl=600.0) as (node, other):
        assert 45 < node.journal._follower.deadline - clock() <= 50
        assert 45 < other.journal._follower.deadline - clock() <= 50
        assert 45 < await store.ttl(f"code_{room}") <= 50
        other.journal.touch()
        await other.stored()
        await eventually(lambda: node.journal._follower.deadline - clock() > 590)
        for key in room_keys(room):
            assert await store.ttl(key) > 590
        for key in room_keys(room):
            await store.expire(key, 50)
        node.journal._follower.waiting.request_whole(
            asyncio.get_running_loop().time(), 5
        )  # as if it had been lost
        node.journal._start_work()
        await eventually(lambda: 45 < other.journal._follower.deadline - clock() <= 50)


async def test_an_idle_room_expires_and_only_the_next_change_brings_it_back(
    redis_server: Redis, store: Client, room: str
) -> None:
    async with peers(redis_server.url, room, "a", "b", ttl=1.2) as (node, other):
        await node.insert("old ")
        await converge(node, other)
        await asyncio.sleep(1.3)
        for _ in range(5):
            await converge(node, other)
            assert not await store.exists(*room_keys(room))
        await other.insert("and new")
        await converge(node, other)
        assert await assert_one_truth(store, room, node, other) == "old and new"


async def dead(client: Client, room: str, *nodes: Peer) -> None:
    """Let a room expire for all of its nodes."""
    for node in nodes:
        node.journal._follower.set_deadline(0)
    await client.delete(*room_keys(room))
    for node in nodes:
        node.journal.check()
        await node.journal.flush()
    assert not await client.exists(*room_keys(room))


@pytest.mark.parametrize("cold_first", [False, True])
@pytest.mark.parametrize("typing", [False, True])
async def test_a_starter_written_over_a_dead_room_wins_whoever_holds_it_open(
    redis_server: Redis, store: Client, room: str, cold_first: bool, typing: bool
) -> None:
    """A node that never had the old text must be able to apply the holders' updates about it."""
    async with cluster(redis_server.url, room, "a", "b", ttl=600.0) as nodes:
        node, other = nodes.alive
        await node.insert("what was asked last week")
        await converge(node, other)
        await dead(store, room, node, other)
        await store.set(f"code_{room}", "a new question\n", ex=300)
        if cold_first:
            cold = await nodes.add("c")
            assert cold.text == "a new question\n"
        if typing:
            node.insert("! ")  # before it has seen that there is a starter
        await converge(*nodes.alive)
        if not cold_first:
            await nodes.add("c")
        text = await assert_one_truth(store, room, *nodes.alive)
        assert text.replace("! ", "") == "a new question\n"
        assert text.count("! ") == typing
        assert await store.ttl(f"code_{room}") > 290
        for peer in list(nodes.alive):
            await peer.insert(f"# {peer.name} ", 0)
        await converge(*nodes.alive)
        await nodes.add("d")
        assert "# c " in await assert_one_truth(store, room, *nodes.alive)


async def test_a_journal_that_began_with_a_starter_is_no_new_starter_when_it_comes_back(
    redis_server: Redis, store: Client, room: str
) -> None:
    """Redis is emptied, the room goes on, then an old dump is loaded: the room must not end."""
    await store.set(f"code_{room}", "starter ", ex=600)
    async with peers(redis_server.url, room, "a", "b") as (node, other):
        saved = await dump_keys(store, room)
        await node.insert("one ")
        await converge(node, other)
        await store.delete(*room_keys(room))
        await converge(node, other)
        await other.insert("two")
        await converge(node, other)
        await restore_keys(store, room, saved)
        await converge(node, other)
        assert await assert_one_truth(store, room, node, other) == "starter one two"


# Texts of other services


async def test_nodes_that_begin_rooms_from_the_same_text_at_once_build_one_copy_of_each(
    redis_server: Redis, store: Client, room: str
) -> None:
    for number in range(20):
        name = f"{room}{number}"
        await store.set(f"code_{name}", "def f(): 🐍\n", ex=600)
        async with cluster(redis_server.url, name) as nodes:
            await asyncio.gather(*(nodes.add(each) for each in "abc"))
            await converge(*nodes.alive)
            assert await assert_one_truth(store, name, *nodes.alive) == "def f(): 🐍\n"
            assert await store.xlen(room_keys(name)[1]) == 1


async def test_a_starter_written_to_an_open_empty_room_is_merged_with_edits(
    redis_server: Redis, store: Client, room: str
) -> None:
    async with peers(redis_server.url, room, "a", "b") as (node, other):
        await store.set(f"code_{room}", "starter", ex=600)
        node.insert("typed ")
        await converge(node, other)
        text = await assert_one_truth(store, room, node, other)
        assert "starter" in text and "typed " in text
