"""The end of a room: no holder writes back what was ended, and none takes a loss for an end."""

from __future__ import annotations

from typing import Any

import pytest
import redis.asyncio

from collab.errors import RoomClosed
from collab.store.directory import Directory
from collab.store.keys import ends_key, room_keys
from tests.cluster.peers import Peer, assert_one_truth, cluster, converge, peers
from tests.support.clients import eventually
from tests.support.processes import Redis
from tests.support.proxy import proxy

Client = redis.asyncio.Redis


async def end(node: Peer, room: str, *, force: bool = False) -> bool:
    return await Directory(node.store).end(room, 1800, force=force)


async def test_what_waits_fails_and_nothing_of_the_old_room_is_in_the_next(
    redis_server: Redis, store: Client, room: str
) -> None:
    async with cluster(redis_server.url, room, "a", "b") as nodes:
        a, b = nodes.alive
        await a.insert("the old text")
        await converge(a, b)
        assert await end(b, room)
        for node in (a, b):  # neither has heard of it: their commits are refused
            with pytest.raises(RoomClosed):
                await node.insert(" and more")
            with pytest.raises(RoomClosed):
                await node.insert(" and more")
            assert node.journal.ended
        assert not await store.exists(*room_keys(room))
        c = await nodes.add("c")
        await c.insert("another")
        assert await assert_one_truth(store, room, c) == "another"
        assert not await end(c, f"{room}-2")


async def test_a_holder_that_missed_a_loss_a_mending_and_the_end_writes_nothing_back(
    redis_server: Redis, store: Client, room: str
) -> None:
    """The journal that was ended is not the one that this holder knew."""
    async with (
        proxy(redis_server.port) as wire,
        cluster(redis_server.url, room, "a") as nodes,
    ):
        b = await nodes.add("b", url=f"redis://127.0.0.1:{wire.port}/0", timeout=0.3)
        (a, _), known = nodes.alive, b.journal.epoch
        await a.insert("the old text")
        await converge(a, b)
        wire.refuse()
        waiting = b.insert(" and more")
        await store.delete(*room_keys(room))
        await converge(a)
        assert await store.get(f"code_{room}") == b"the old text" and a.journal.epoch != known
        assert await end(a, room)
        wire.accept()
        with pytest.raises(RoomClosed):
            await waiting
        a.journal.check()
        await eventually(lambda: a.journal.ended)
        assert not await store.exists(*room_keys(room))


async def test_a_room_that_is_ended_while_it_is_written_back_is_not(
    redis_server: Redis, store: Client, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with peers(redis_server.url, room, "a") as (a,):
        await a.insert("the old text")
        await store.delete(*room_keys(room))
        start = a.store.start

        async def too_late(*arguments: Any, **options: Any) -> Any:
            await end(a, room, force=True)
            return await start(*arguments, **options)

        monkeypatch.setattr(a.store, "start", too_late)
        a.journal.check()
        await eventually(lambda: a.journal.ended)
        assert not await store.exists(*room_keys(room))


async def test_a_redis_that_comes_back_older_ends_no_room(
    redis_server: Redis, store: Client, room: str
) -> None:
    """It may have forgotten the last end before the room, and remember the one before that."""
    for _ in range(2):
        async with peers(redis_server.url, room, "before") as (before,):
            await before.insert("ended before")
            assert await end(before, room)
    async with peers(redis_server.url, room, "a", "b") as (a, b):
        await a.insert("here to stay")
        await converge(a, b)
        await store.delete(*room_keys(room))
        await store.lpop(ends_key(room))
        await converge(a, b)
        assert await assert_one_truth(store, room, a, b) == "here to stay"


async def test_an_end_is_remembered_for_longer_than_the_room_would_have_lived(
    redis_server: Redis, store: Client, room: str
) -> None:
    """Somebody's starter may live longer than a room does."""
    await store.set(f"code_{room}", "a starter", ex=7200)
    async with peers(redis_server.url, room, "a") as (a,):
        assert await end(a, room)
        assert 7200 < await store.ttl(ends_key(room)) <= 7300
