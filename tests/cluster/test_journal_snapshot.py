"""The snapshot is what the journal adds up to, after races, deaths of nodes and overwriting."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
import redis.asyncio

from collab.merge.delta import Delta
from collab.merge.replica import Replica
from collab.rooms import journal_state
from collab.store.commits import Commits, OnOutcome, Prepare
from collab.store.records import Commit, Committed, NextCommit, Update
from tests.cluster.peers import (
    assert_one_truth,
    converge,
    peers,
    wait_for_snapshot,
)
from tests.support.processes import Redis

Client = redis.asyncio.Redis


async def test_in_a_saturated_room_nodes_append_behind_unseen_entries_and_settle_later(
    redis_server: Redis, store: Client, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_state, "REFUSALS_BEFORE_APPEND", 0)
    random = Random(7)
    async with peers(redis_server.url, room, "a", "b", "c", max_entries=16) as nodes:
        await nodes[0].insert(".")
        for node in nodes:
            node.deaf = True  # so that each is behind whenever it commits
        for _ in range(60):
            random.choice(nodes).type(random)
            await asyncio.sleep(random.choice((0, 0.001)))
        for node in nodes:
            await node.journal.flush()
            node.deaf = False
        await converge(*nodes)
        text = await assert_one_truth(store, room, *nodes)
        assert all(text.count(token) == 1 for node in nodes for token in node.sent)


async def test_other_nodes_settle_in_place_of_a_node_that_died(
    redis_server: Redis, store: Client, room: str
) -> None:
    async with peers(redis_server.url, room, "a", "b") as (node, other):
        await node.insert("seen ")
        await converge(node, other)
        before = node.journal.last
        dying = Replica()
        dying.apply_update(node.journal.replica.state())
        update = dying.edit(Delta.of(5, "and gone"))
        await node.insert("!", 0)
        await converge(node, other)
        commit = Commit([Update("", update)], update, "", 1800)
        answer = await Commits(node.store, room).commit(
            NextCommit(node.journal.epoch or "", before, commit, exact=False)
        )
        assert isinstance(answer, Committed)
        assert [entry.update for entry in answer.missed] != []
        assert await store.get(f"code_{room}") == b"!seen "
        await converge(node, other)
        assert await assert_one_truth(store, room, node, other) == "!seen and gone"


@pytest.mark.parametrize("wrong", ["written over", "deleted", "another type of bytes"])
async def test_the_snapshot_of_a_live_room_is_repaired(
    redis_server: Redis, store: Client, room: str, wrong: str
) -> None:
    async with peers(redis_server.url, room, "a", "b") as (node, other):
        await node.insert("the truth")
        await converge(node, other)
        if wrong == "deleted":
            await store.delete(f"code_{room}")
        else:
            await store.set(f"code_{room}", b"nonsense \xff")
        await converge(node, other)
        assert await assert_one_truth(store, room, node, other) == "the truth"
        assert await store.ttl(f"code_{room}") > 1700


async def test_a_node_that_is_always_late_appends_after_three_refusals_and_settles_the_snapshot(
    redis_server: Redis, store: Client, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody checks here: the node's own settle brings the snapshot up to date."""
    async with peers(redis_server.url, room, "a", "b") as (node, other):
        await node.insert("begun ")
        await converge(node, other)
        node.deaf = True
        send, exact, others = node.journal._commits.send, [], []

        def send_late(prepare: Prepare, on_outcome: OnOutcome) -> None:
            def prepare_exact() -> NextCommit | None:
                next_commit = prepare()
                assert next_commit is not None
                exact.append(next_commit.exact)
                return next_commit

            others.append(other.insert("x"))
            others[-1].add_done_callback(lambda _: send(prepare_exact, on_outcome))

        monkeypatch.setattr(node.journal._commits, "send", send_late)
        await asyncio.wait_for(node.insert("mine"), 5)
        assert exact == [True, True, True, False]
        await wait_for_snapshot(store, room, node.text)
        assert sorted(await assert_one_truth(store, room, node, other)) == sorted("begun xxxxmine")
