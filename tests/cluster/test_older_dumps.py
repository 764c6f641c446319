"""Redis comes back older than the room: what was before the room is no news, what came since is."""

from __future__ import annotations

import asyncio

import pytest
import redis.asyncio

from collab.store.keys import room_keys
from tests.cluster.peers import (
    Cluster,
    Peer,
    assert_one_truth,
    cluster,
    converge,
    dump_keys,
    journal_sum,
    keys_of,
    peers,
    restore_keys,
    set_key,
)
from tests.support.processes import Redis
from tests.support.proxy import proxy

Client = redis.asyncio.Redis
HOLDERS = ("def f(a):\n", "    return a\n")
"""What is typed, and acknowledged, in the present room."""


async def begun(store: Client, room: str, nodes: Cluster) -> tuple[Peer, Peer]:
    """Let two nodes hold a room in which each has had something acknowledged."""
    a, b = [await nodes.add(name) for name in "ab"]
    await a.insert(HOLDERS[0])
    await converge(a, b)
    await b.insert(HOLDERS[1])
    await converge(a, b)
    return a, b


async def mended(
    store: Client, room: str, nodes: Cluster, *, cold: bool, typing: bool, found: str
) -> str:
    """Return the text that all end with, and assert that nothing typed is lost or doubled.

    ``cold``: a third node finds the room first, as ``found``, and somebody types there.
    ``typing``: something waits at a holder that has not seen yet what Redis holds.
    """
    typed = list(HOLDERS)
    if cold:
        third = await nodes.add("cold")
        assert third.text == found
        await third.insert("# typed at the cold node\n", 0)
        typed.append("# typed at the cold node\n")
    if typing:
        nodes.alive[0].insert("# waits at a holder\n", 0)
        typed.append("# waits at a holder\n")
    await converge(*nodes.alive)
    text = await assert_one_truth(store, room, *nodes.alive)
    for words in typed:
        assert text.count(words) == 1
    late = await nodes.add("late")
    assert late.text == text
    return text


@pytest.mark.parametrize("typing", [False, True])
@pytest.mark.parametrize("cold", [False, True])
async def test_the_starter_that_a_room_began_from_is_no_news_when_a_dump_holds_it_alone(
    redis_server: Redis, store: Client, room: str, cold: bool, typing: bool
) -> None:
    await store.set(f"code_{room}", "# task\n", ex=3600)
    saved = await dump_keys(store, room)
    async with cluster(redis_server.url, room) as nodes:
        await begun(store, room, nodes)
        await restore_keys(store, room, saved)
        text = await mended(store, room, nodes, cold=cold, typing=typing, found="# task\n")
        assert text.count("# task\n") == 1
        assert await store.ttl(f"code_{room}") > 1700


@pytest.mark.parametrize("typing", [False, True])
@pytest.mark.parametrize("cold", [False, True])
@pytest.mark.parametrize("starter", ["", "# task 1\n"])
@pytest.mark.parametrize("over", ["ended", "expired"])
async def test_a_former_room_of_the_name_is_no_news_when_a_dump_holds_it(
    redis_server: Redis, store: Client, room: str, over: str, starter: str, cold: bool, typing: bool
) -> None:
    if starter:
        await store.set(f"code_{room}", starter, ex=3600)
    async with peers(redis_server.url, room, "before") as (before,):
        await before.insert("what Ada wrote\n")
        await set_key(before, "language", "python")
        saved, former = await dump_keys(store, room), before.text
    await store.delete(*room_keys(room))
    if over == "ended":
        await store.lpush(f"journal-ended:{{code_{room}}}", "the end of Ada's room")
    await store.set(f"code_{room}", "# task 2\n", ex=3600)
    async with cluster(redis_server.url, room) as nodes:
        await begun(store, room, nodes)
        if over == "ended":
            await store.delete(f"journal-ended:{{code_{room}}}")
        await restore_keys(store, room, saved)
        text = await mended(store, room, nodes, cold=cold, typing=typing, found=former)
        assert text.count("# task 2\n") == 1
        assert "Ada" not in text and "# task 1" not in text
        for node in nodes.alive:
            assert keys_of(node.journal.replica) == {}


async def test_a_text_put_where_a_live_rooms_journal_was_is_written_over_as_in_any_live_room(
    redis_server: Redis, store: Client, room: str
) -> None:
    """It may be the starter of a former room, out of a dump: nothing tells it from a new text."""
    async with peers(redis_server.url, room, "a", "b") as (a, b):
        await a.insert("acknowledged")
        await converge(a, b)
        await store.delete(*room_keys(room))
        await store.set(f"code_{room}", "somebody's text", ex=60)
        await converge(a, b)
        assert await assert_one_truth(store, room, a, b) == "acknowledged"


@pytest.mark.parametrize("typing", [False, True])
async def test_a_room_begun_anew_by_a_change_after_its_time_has_nothing_of_the_old_one(
    redis_server: Redis, store: Client, room: str, typing: bool
) -> None:
    async with cluster(redis_server.url, room) as nodes:
        a, b = await begun(store, room, nodes)
        await set_key(a, "language", "python")
        await converge(a, b)
        for node in (a, b):
            node.journal._follower.set_deadline(0)
        await store.delete(*room_keys(room))
        cold = await nodes.add("cold")
        await cold.insert("another room\n")
        if typing:
            a.insert("# typed\n", 0)
        await converge(a, b, cold)
        text = await assert_one_truth(store, room, a, b, cold)
        assert text.replace("# typed\n", "") == "another room\n"
        assert text.count("# typed\n") == typing
        assert {tuple(keys_of(node.journal.replica)) for node in nodes.alive} == {()}


async def test_a_room_in_which_people_type_on_is_not_over_when_redis_was_away_past_its_time(
    redis_server: Redis, store: Client, room: str
) -> None:
    await store.set(f"code_{room}", "# task\n")
    saved = await dump_keys(store, room)
    async with (
        proxy(redis_server.port) as wire,
        peers(f"redis://127.0.0.1:{wire.port}/0", room, "a", timeout=0.3) as (a,),
    ):
        await a.insert(HOLDERS[0])
        wire.refuse()
        waiting = a.insert(HOLDERS[1])
        a.journal._follower.set_deadline(asyncio.get_running_loop().time())
        await restore_keys(store, room, saved)
        wire.accept()
        await waiting
        await converge(a)
        assert await assert_one_truth(store, room, a) == "# task\n" + "".join(HOLDERS)


# Outside the text


async def test_the_deletion_of_a_key_is_in_redis_when_it_is_acknowledged(
    redis_server: Redis, store: Client, room: str
) -> None:
    """Another holder wrote the room back before it: texts and state vectors are equal."""
    async with peers(redis_server.url, room, "a", "b") as (a, b):
        await a.insert("text")
        await set_key(a, "language", "python")
        await converge(a, b)
        a.deaf = True
        await store.delete(*room_keys(room))
        b.journal.check()
        await b.journal.flush()
        await set_key(a, "language", None)
        assert keys_of(await journal_sum(store, room)) == {}
        a.deaf = False
        await converge(a, b)
        assert keys_of(a.journal.replica) == keys_of(b.journal.replica) == {}


async def test_the_deletion_of_a_key_is_written_back_to_an_older_redis(
    redis_server: Redis, store: Client, room: str
) -> None:
    async with cluster(redis_server.url, room, "a", "b") as nodes:
        a, b = nodes.alive
        await a.insert("text")
        await set_key(a, "secret", "shown by mistake")
        await converge(a, b)
        saved = await dump_keys(store, room)
        await set_key(a, "secret", None)
        await converge(a, b)
        await restore_keys(store, room, saved)
        await converge(a, b)
        cold = await nodes.add("cold")
        assert {tuple(keys_of(node.journal.replica)) for node in (a, b, cold)} == {()}
