"""A journal's history is bounded, and a room of many edits opens in a moment."""

from __future__ import annotations

import asyncio
import sys
import time
from random import Random

import pytest
import redis.asyncio

from collab.store.keys import room_keys
from tests.cluster.peers import (
    Peer,
    assert_one_truth,
    converge,
    dump_keys,
    journal_updates,
    peers,
    restore_keys,
)
from tests.support.processes import Redis

Client = redis.asyncio.Redis


@pytest.mark.parametrize("bound", ["entries", "bytes"])
async def test_history_is_bounded_and_compacting_while_others_commit_loses_nothing(
    redis_server: Redis, store: Client, room: str, bound: str
) -> None:
    random = Random(11)
    limits = {"max_entries": 10} if bound == "entries" else {"max_bytes": 1500}
    most = 0
    async with peers(redis_server.url, room, "a", "b", "c", **limits) as nodes:
        for _ in range(200):
            random.choice(nodes).type(random)
            if random.random() < 0.7:
                await asyncio.sleep(0.001)
            _, _, head = room_keys(room)
            updates = await journal_updates(store, room)
            most = max(most, len(updates) if bound == "entries" else sum(map(len, updates)))
            if updates:
                assert int(await store.hget(head, "bytes") or 0) >= 0
        await converge(*nodes)
        text = await assert_one_truth(store, room, *nodes)
        assert all(text.count(token) == 1 for node in nodes for token in node.sent)
        updates = await journal_updates(store, room)
        assert int(await store.hget(head, "bytes") or 0) == sum(map(len, updates))
    assert 0 < most <= (40 if bound == "entries" else 6000)
    async with peers(redis_server.url, room, "d") as (cold,):
        assert cold.text == text


async def test_a_room_that_is_always_busy_is_compacted(
    redis_server: Redis, store: Client, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Updates wait at every moment, so work that comes after commits would never be done."""
    async with peers(redis_server.url, room, "a", max_entries=8) as (node,):
        compact = node.store.compact
        compacted: list[bool] = []

        async def spied(*asked: object) -> bool:
            compacted.append(bool(node.journal._follower.waiting))
            return await compact(*asked)  # type: ignore[arg-type]

        monkeypatch.setattr(node.store, "compact", spied)
        async with asyncio.timeout(10):
            while len(compacted) < 3:
                node.insert("x")
                await asyncio.sleep(0)
        assert all(compacted), "compaction ran only when no update waited"
        assert await store.xlen(room_keys(room)[1]) <= 24
        await converge(node)
        await assert_one_truth(store, room, node)


async def test_a_compaction_of_what_redis_has_lost_is_refused(
    redis_server: Redis, store: Client, room: str
) -> None:
    """With a base beyond the journal's end every node would seem to be up to date."""
    async with peers(redis_server.url, room, "a") as (node,):
        await node.insert("kept ")
        saved = await dump_keys(store, room)
        await node.insert("lost")
        reading = await node.store.read(room, None, (0, 0))
        await restore_keys(store, room, saved)
        assert reading.epoch is not None
        last = reading.entries[-1].id
        assert not await node.store.compact(
            room, reading.epoch, reading.base_id, last, node.journal.replica.state(), 0
        )
        assert await store.hget(room_keys(room)[2], "base") == b""
        await converge(node)
        assert await assert_one_truth(store, room, node) == "kept lost"


async def test_a_room_of_twenty_thousand_edits_opens_cold_in_a_moment(
    redis_server: Redis, store: Client, room: str, capsys: pytest.CaptureFixture[str]
) -> None:
    random = Random(1)
    cursor = 0
    async with peers(redis_server.url, room, "a") as (node,):
        for number in range(20_000):
            size, chance = len(node.text), random.random()
            if chance < 0.03:
                cursor = random.randint(0, size)  # a click elsewhere
            if 0.03 < chance < 0.15 and cursor:
                node.delete(cursor - 1, cursor)
                cursor -= 1
            elif chance > 0.999:
                node.delete(size // 4, size // 2)
                cursor = size // 4
            else:
                word = random.choice(("x", " ", "= 1", "\n"))
                node.insert(word, cursor)
                cursor += len(word)
            if number % 10 == 9:
                await node.journal.flush()
        await converge(node)
        entries = await store.xlen(room_keys(room)[1])
        took = []
        for _ in range(3):
            cold = Peer(redis_server.url, "cold", room)
            await cold.store.open(5)
            began = time.perf_counter()
            await cold.journal.open()
            took.append(time.perf_counter() - began)
            assert cold.text == node.text
            await cold.close()
    with capsys.disabled():
        sys.stdout.write(
            f"\n20,000 edits ({entries} entries, {len(node.text)} characters) open cold in "
            f"{min(took) * 1000:.1f} to {max(took) * 1000:.1f} ms\n"
        )
    assert min(took) < 0.3
