"""Random faults of Redis while several nodes type: all end equal, with every token once.

``JOURNAL_EFFORT=20`` makes the test run for a whole night.
"""

from __future__ import annotations

import asyncio
import os
from random import Random

import pytest

from collab.errors import RoomUnreadable
from collab.store.keys import room_keys
from tests.cluster.peers import (
    AnyClient,
    Cluster,
    assert_one_truth,
    cluster,
    converge,
    dump_keys,
    peers,
    restore_keys,
    set_key,
)
from tests.support.distance import Distance, distance
from tests.support.processes import Redis
from tests.support.redises import RedisCluster

EFFORT = int(os.environ.get("JOURNAL_EFFORT", "1"))
STEPS = 70
KINDS = "flush", "older", "former", "part", "answers", "cold"
HISTORIES = [
    (redis, kind, seed)
    for redis, kinds, seeds in (
        ("one", (*KINDS, "all"), 6),
        ("cluster", (*KINDS, "all", "moved", "promoted"), 2),
    )
    for kind in kinds
    for seed in range(seeds * EFFORT)
]
"""Which Redis random histories are played on, their faults (see `Faults`), and their seeds."""
STARTER, FORMER = "[starter]", "[former]"
AnyRedis = Redis | RedisCluster
Dump = dict[str, tuple[bytes, int]]


class Faults:
    """Faults, of which one happens in about a third of the steps.

    ``flush``: the room's keys are gone. ``older``: the keys are in an older state, at worst from
    before the first join. ``former``: the keys are those of another room of that name. ``part``:
    one key is gone. ``answers``: scripts run, but their answers are lost. ``cold``: another node
    loads the room. ``moved``: the room's slot moves to another master of the cluster.
    ``promoted``: a replica that lacks the latest entries takes its master's place, once.
    """

    def __init__(
        self, redis: AnyRedis, store: AnyClient, way: Distance, room: str, random: Random, kind: str
    ) -> None:
        self._redis = redis
        self._lagging: Redis | None = None
        self._store = store
        self._way = way
        self._room = room
        self._random = random
        self._kinds = {kind} if kind != "all" else set(KINDS)
        self.promoted = False
        self.dumps: list[Dump] = []
        self.former: Dump = {}

    async def one(self, nodes: Cluster) -> None:
        """Cause one fault, or none."""
        random, store, keys = self._random, self._store, room_keys(self._room)
        chance, kinds = random.random(), self._kinds
        if chance < 0.05 and "flush" in kinds:
            await store.delete(*keys)
        elif chance < 0.09 and "older" in kinds:
            await restore_keys(store, self._room, random.choice(self.dumps))
        elif chance < 0.12:
            self.dumps.append(await dump_keys(store, self._room))
        elif chance < 0.15 and "part" in kinds:
            await store.delete(random.choice(keys))
        elif chance < 0.18 and "former" in kinds:
            await restore_keys(store, self._room, self.former)
        elif chance < 0.21 and "answers" in kinds:
            self._way.lose_answers()
            await asyncio.sleep(random.choice((0, 0.002, 0.01)))
            self._way.cut()
        elif chance < 0.23:
            await store.script_flush()
        elif chance < 0.31:
            node = random.choice(nodes.alive)
            node.deaf = not node.deaf
        elif chance < 0.36:
            random.choice(nodes.alive).journal.check()
        elif chance < 0.38 and "cold" in kinds and len(nodes.alive) < 6:
            try:
                await nodes.add(f"cold{len(nodes.alive)}")
            except RoomUnreadable:  # a key is gone, and no holder has written the room anew yet
                await nodes.kill(nodes.alive[-1])
        elif chance < 0.42 and "moved" in kinds:
            await self._move()
        elif chance < 0.46 and "promoted" in kinds:
            await self.promote()

    async def _move(self) -> None:
        assert isinstance(self._redis, RedisCluster)
        key = f"code_{self._room}"
        home = await self._redis.master_of(key)
        others = [each for each in await self._redis.masters() if each is not home]
        await self._redis.move_slot(key, home, self._random.choice(others))

    async def promote(self) -> None:
        """Let the replica miss what is written from now on; the next time, promote it."""
        assert isinstance(self._redis, RedisCluster)
        if self._lagging is None:
            self._lagging = await self._redis.master_of(f"code_{self._room}")
            await self._redis.cut_replication(self._lagging)
        elif not self.promoted:
            self.promoted = True
            await self._redis.fail_over(self._lagging, "TAKEOVER")


@pytest.mark.parametrize(("any_redis", "kind", "seed"), HISTORIES, indirect=["any_redis"])
async def test_after_any_faults_all_nodes_end_equal_and_nothing_is_lost_or_doubled(
    any_redis: AnyRedis, any_store: AnyClient, room: str, kind: str, seed: int
) -> None:
    store, random = any_store, Random(f"{kind} {seed}")
    async with (
        distance(any_redis) as way,
        cluster(any_redis.url, room, max_entries=random.choice((4, 16, 2000))) as nodes,
    ):
        faults = Faults(any_redis, store, way, room, random, kind)
        async with peers(any_redis.url, room, "former") as (former,):
            await former.insert(FORMER)
            faults.former = await dump_keys(store, room)
        await store.delete(*room_keys(room))
        await store.set(f"code_{room}", STARTER, ex=3600)
        faults.dumps.append(await dump_keys(store, room))
        for name, url in (("a", way.url), ("b", way.url), ("c", any_redis.url)):
            await nodes.add(name, url=url, timeout=0.5)
        await nodes.alive[0].insert("~")
        await converge(*nodes.alive)
        for _ in range(STEPS):
            random.choice(nodes.alive).type(random)
            if random.random() < 0.1:
                key, value = random.choice("xyz"), random.choice(("1", "2", None))
                set_key(random.choice(nodes.alive), key, value)
            await faults.one(nodes)
            if random.random() < 0.6:
                await asyncio.sleep(random.choice((0, 0.001, 0.004)))
        while kind == "promoted" and not faults.promoted:
            await faults.promote()
        for node in nodes.alive:
            node.deaf = False
        await converge(*nodes.alive)
        text = await assert_one_truth(store, room, *nodes.alive)
        assert (text.count(STARTER), text.count(FORMER)) == (1, 0)
        for node in nodes.alive:
            assert node.acknowledged == list(node.sent)
            assert {token: text.count(token) for token in node.sent if text.count(token) != 1} == {}
