"""Random faults of Redis while several nodes type: all end equal, with every token once.

``JOURNAL_EFFORT=20`` makes the test run for a whole night.
"""

from __future__ import annotations

import asyncio
import os
from random import Random

import pytest
import redis.asyncio

from collab.store.keys import room_keys
from tests.cluster.peers import (
    Cluster,
    assert_one_truth,
    cluster,
    converge,
    dump_keys,
    peers,
    restore_keys,
    set_key,
)
from tests.support.processes import Redis
from tests.support.proxy import Proxy, proxy

EFFORT = int(os.environ.get("JOURNAL_EFFORT", "1"))
STEPS = 70
STARTER, FORMER = "[starter]", "[former]"
Client = redis.asyncio.Redis
Dump = dict[str, tuple[bytes, int]]


class Faults:
    """Faults, of which one happens in about a third of the steps.

    ``flush``: the room's keys are gone. ``older``: the keys are in an older state, at worst from
    before the first join. ``former``: the keys are those of another room of that name. ``part``:
    one key is gone. ``answers``: scripts run, but their answers are lost. ``cold``: another node
    loads the room.
    """

    def __init__(self, store: Client, wire: Proxy, room: str, random: Random, kind: str) -> None:
        self._store = store
        self._wire = wire
        self._room = room
        self._random = random
        self._kinds = (
            {kind} if kind != "all" else {"flush", "older", "former", "part", "answers", "cold"}
        )
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
            self._wire.to_client = lambda piece: []
            await asyncio.sleep(random.choice((0, 0.002, 0.01)))
            self._wire.cut()
            self._wire.to_client = None
        elif chance < 0.23:
            await store.script_flush()
        elif chance < 0.31:
            node = random.choice(nodes.alive)
            node.deaf = not node.deaf
        elif chance < 0.36:
            random.choice(nodes.alive).journal.check()
        elif chance < 0.38 and "cold" in kinds and len(nodes.alive) < 6:
            await nodes.add(f"cold{len(nodes.alive)}")


@pytest.mark.parametrize("kind", ["flush", "older", "former", "part", "answers", "cold", "all"])
@pytest.mark.parametrize("seed", range(6 * EFFORT))
async def test_after_any_faults_all_nodes_end_equal_and_nothing_is_lost_or_doubled(
    redis_server: Redis, store: Client, room: str, kind: str, seed: int
) -> None:
    random = Random(f"{kind} {seed}")
    async with (
        proxy(redis_server.port) as wire,
        cluster(redis_server.url, room, max_entries=random.choice((4, 16, 2000))) as nodes,
    ):
        faults = Faults(store, wire, room, random, kind)
        async with peers(redis_server.url, room, "former") as (former,):
            await former.insert(FORMER)
            faults.former = await dump_keys(store, room)
        await store.delete(*room_keys(room))
        await store.set(f"code_{room}", STARTER, ex=3600)
        faults.dumps.append(await dump_keys(store, room))
        far = f"redis://127.0.0.1:{wire.port}/0"
        for name, url in (("a", far), ("b", far), ("c", redis_server.url)):
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
        for node in nodes.alive:
            node.deaf = False
        await converge(*nodes.alive)
        text = await assert_one_truth(store, room, *nodes.alive)
        assert (text.count(STARTER), text.count(FORMER)) == (1, 0)
        for node in nodes.alive:
            assert node.acknowledged == list(node.sent)
            assert {token: text.count(token) for token in node.sent if text.count(token) != 1} == {}
