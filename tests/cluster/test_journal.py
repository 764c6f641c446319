"""Several nodes on one journal end with one text, though they race, die or miss messages."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
import redis.asyncio

from collab.errors import StoreUnavailable
from collab.merge.delta import Delta
from collab.rooms.journal_state import Event
from collab.store.keys import room_keys
from tests.cluster.peers import (
    AnyClient,
    assert_one_truth,
    cluster,
    converge,
    often_compacted,
    peers,
    wait_for_snapshot,
)
from tests.support.clients import eventually
from tests.support.distance import distance
from tests.support.processes import Redis
from tests.support.proxy import proxy
from tests.support.redises import RedisCluster

AnyRedis = Redis | RedisCluster
Client = redis.asyncio.Redis
HISTORIES = [
    (redis, seed) for redis, seeds in (("one", 8), ("cluster", 3)) for seed in range(seeds)
]
"""Which Redis random histories are played on, and their seeds."""


@pytest.mark.parametrize(("any_redis", "seed"), HISTORIES, indirect=["any_redis"])
async def test_nodes_that_commit_at_once_and_miss_announcements_end_with_one_text(
    any_redis: AnyRedis, any_store: AnyClient, room: str, seed: int
) -> None:
    """Announcements are dropped, doubled and reordered, and history is compacted meanwhile."""
    random = Random(seed)
    names = "abcd"[: random.randint(2, 4)]
    async with peers(any_redis.url, room, *names, **often_compacted(random)) as nodes:
        for node in nodes:
            node.chaos = Random(seed)
        for _ in range(120):
            random.choice(nodes).type(random)
            if random.random() < 0.4:
                await asyncio.sleep(random.choice((0, 0, 0.001, 0.004)))
        await converge(*nodes)
        text = await assert_one_truth(any_store, room, *nodes)
        for node in nodes:
            assert node.acknowledged == list(node.sent)
            assert all(text.count(token) == 1 for token in node.sent)


@pytest.mark.parametrize(("any_redis", "seed"), HISTORIES, indirect=["any_redis"])
async def test_acknowledged_changes_survive_killed_nodes_and_lost_replies_at_any_step(
    any_redis: AnyRedis, any_store: AnyClient, room: str, seed: int
) -> None:
    """A reply is lost after its script has run, or a node dies between any two steps."""
    random = Random(100 + seed)
    async with (
        distance(any_redis) as way,
        cluster(any_redis.url, room, **often_compacted(random)) as nodes,
    ):
        for name, url in (("a", way.url), ("b", way.url), ("c", any_redis.url)):
            await nodes.add(name, url=url, timeout=0.3)
        for step in range(90):
            random.choice(nodes.alive).type(random)
            chance = random.random()
            if chance < 0.08:
                way.lose_answers()  # scripts run
                await asyncio.sleep(random.choice((0, 0.002, 0.01)))
                way.cut()
            elif chance < 0.13:
                way.cut()
            elif chance < 0.2:
                await nodes.kill(random.choice(nodes.alive))
                await nodes.add(f"n{step}")
            if random.random() < 0.5:
                await asyncio.sleep(random.choice((0, 0.001, 0.005)))
        await converge(*nodes.alive)
        text = await assert_one_truth(any_store, room, *nodes.alive)
        everybody = nodes.dead + nodes.alive
        assert sum(len(node.acknowledged) for node in everybody) > 20
        assert all(text.count(token) == 1 for node in everybody for token in node.acknowledged)
        for node in nodes.alive:
            assert node.acknowledged == list(node.sent)


@pytest.mark.parametrize("heard", [False, True])
@pytest.mark.parametrize("authors", [1, 3])
async def test_a_lost_reply_doubles_no_entry_and_loses_no_acknowledgement(
    redis_server: Redis, store: Client, room: str, heard: bool, authors: int
) -> None:
    """A later edit of the same author is a separate entry, which is not lost."""
    async with (
        proxy(redis_server.port) as wire,
        peers(f"redis://127.0.0.1:{wire.port}/0", room, "a") as (node,),
    ):
        await node.insert("first ")
        await converge(node)
        wire.to_client = lambda piece: [piece] if heard and b"\nJ " in piece else []
        done = [node.insert(f"{number} ", author=str(number)) for number in range(authors)]
        sent = "".join(f"{number} " for number in range(authors))
        await wait_for_snapshot(store, room, f"first {sent}")
        if heard:
            await asyncio.wait_for(
                asyncio.gather(*done), 1
            )  # the announcement confirms the commit too
        assert all(each.done() == heard for each in done)
        later = node.insert("last", author=str(authors - 1))
        wire.cut()
        wire.to_client = None
        await asyncio.gather(*done, later)
        await converge(node)
        assert await assert_one_truth(store, room, node) == f"first {sent}last"
        assert await store.xlen(room_keys(room)[1]) == authors + 2


async def test_a_commit_that_is_announced_after_its_reply_was_lost_is_not_appended_again(
    redis_server: Redis, store: Client, room: str
) -> None:
    """The announcement does not tell which of the updates that wait by then are in the journal."""
    async with (
        proxy(redis_server.port) as wire,
        peers(f"redis://127.0.0.1:{wire.port}/0", room, "a") as (node,),
    ):
        await node.insert("first ")
        await converge(node)
        late: list[bytes] = []
        handle, node.journal.handle_announcement = node.journal.handle_announcement, late.append  # type: ignore[assignment]
        wire.to_client = lambda piece: [piece] if b"\nJ " in piece else []
        done = node.insert("second ")
        await eventually(lambda: late)
        wire.refuse()
        await eventually(lambda: node.journal._follower.waiting.sent_count)
        later = node.insert("last")
        handle(late.pop())  # type: ignore[arg-type]
        wire.to_client = None
        wire.accept()
        node.journal.handle_announcement = handle  # type: ignore[method-assign]
        await asyncio.gather(done, later)
        await converge(node)
        assert await assert_one_truth(store, room, node) == "first second last"
        assert await store.xlen(room_keys(room)[1]) == 3


async def test_a_lost_reply_to_the_first_commit_of_a_room_begins_it_once(
    redis_server: Redis, store: Client, room: str
) -> None:
    def drop_answers(piece: bytes) -> list[bytes]:
        if b"\r\nJ " in piece:  # the script that begins a journal, with its announcement
            wire.to_client = lambda piece: []
        return [piece]

    async with (
        proxy(redis_server.port) as wire,
        peers(f"redis://127.0.0.1:{wire.port}/0", room, "a") as (node,),
    ):
        wire.to_server = drop_answers
        done = node.insert("only")
        await wait_for_snapshot(store, room, "only")
        wire.to_server = None
        wire.cut()
        wire.to_client = None
        await done
        await converge(node)
        assert await assert_one_truth(store, room, node) == "only"
        assert await store.xlen(room_keys(room)[1]) == 1


async def test_an_announcement_received_while_the_journal_is_being_read_is_handled(
    redis_server: Redis, store: Client, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit may be newer than the reading, and otherwise only a check would find it."""
    async with peers(redis_server.url, room, "a", "b") as (node, other):
        await other.insert("one ")
        await converge(node, other)
        read, late = node.store.read, "two "

        async def slow_read(*asked: object) -> object:
            nonlocal late
            reading = await read(*asked)  # type: ignore[arg-type]
            if late:
                text, late = late, ""
                node.deaf = True
                await other.insert("missed ")
                node.deaf = False
                await other.insert(text)
                await asyncio.sleep(
                    0.05
                )  # the announcement arrives, and the entry before it is missing
            return reading

        monkeypatch.setattr(node.store, "read", slow_read)
        node.journal._state.on(Event.MISSED)
        node.journal._start_work()
        await eventually(lambda: node.text == "one missed two ", within=1)


# Nodes that go wrong


async def test_an_unexpected_error_in_the_journals_work_is_logged_and_the_work_goes_on(
    redis_server: Redis, store: Client, room: str, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    async with peers(redis_server.url, room, "a", "b") as (node, other):
        await node.insert("one ")
        journal = node.journal
        steps: list[tuple[object, str, Event | None]] = [
            (journal._commits, "commit", Event.CHECK_REQUESTED),
            (node.store, "read", Event.MISSED),
            (journal._recovery, "check", Event.CHECK_REQUESTED),
            (journal._follower, "compare", None),  # without the worker's task
        ]
        for owner, step, event in steps:
            right = getattr(owner, step)

            def wrong(
                *_: object, owner: object = owner, right: object = right, step: str = step
            ) -> None:
                monkeypatch.setattr(owner, step, right)
                raise RuntimeError(f"a mistake in {step}")

            monkeypatch.setattr(owner, step, wrong)
            if event is None:
                journal.check()
            else:
                journal._state.on(event)
                journal._worker.start()
            await node.insert(f"{step} ")
            await converge(node, other)
            assert f"a mistake in {step}" in caplog.text
        assert await assert_one_truth(store, room, node, other) == "one commit read check compare "


async def test_a_check_finds_a_difference_though_redis_has_forgotten_its_script(
    redis_server: Redis, store: Client, room: str
) -> None:
    async with peers(redis_server.url, room, "a") as (node,):
        await node.insert("one")
        await node.journal.flush()
        await store.script_flush()
        await store.set(f"code_{room}", "overwritten")
        node.journal.check()
        await node.journal.flush()
        assert await store.get(f"code_{room}") == b"one"


async def test_a_replica_that_differs_from_the_journal_is_repaired_and_repairs_it(
    redis_server: Redis, store: Client, room: str
) -> None:
    """The next check finds any difference by the snapshot, and repairs both sides."""
    async with peers(redis_server.url, room, "a", "b") as (node, other):
        await node.insert("one ")
        await converge(node, other)
        other.deaf = True
        await node.insert("two ")
        other.journal._follower.last = node.journal.last  # as if it had been applied
        delta = Delta.of(4, "three")
        other.journal.replica.edit(delta)  # and this had been committed
        other.shown = delta.apply(other.shown)
        other.deaf = False
        await converge(node, other)
        text = await assert_one_truth(store, room, node, other)
        assert sorted(text.split()) == sorted(["one", "two", "three"]) or "two" in text


async def test_a_node_restarted_with_its_old_name_applies_its_own_earlier_entries(
    redis_server: Redis, store: Client, room: str
) -> None:
    """This holds for two nodes with one name too: each applies the other's entries."""
    async with peers(redis_server.url, room, "a", "a") as (node, namesake):
        await node.insert("one ")
        await eventually(lambda: namesake.text == "one ", within=1)
        await namesake.insert("two")
        await eventually(lambda: node.text == "one two", within=1)
        await converge(node, namesake)
        await assert_one_truth(store, room, node, namesake)


async def test_closing_a_room_fails_updates_that_wait_and_later_ones(
    redis_server: Redis, store: Client, room: str
) -> None:
    async with (
        proxy(redis_server.port) as wire,
        peers(f"redis://127.0.0.1:{wire.port}/0", room, "a") as (node,),
    ):
        await node.insert("kept")
        wire.stall()
        done = node.insert("given up")
        await asyncio.sleep(0)
        await node.journal.close()
        with pytest.raises(StoreUnavailable):
            await done
        node.journal.check()
        assert not node.journal._worker.busy
        with pytest.raises(StoreUnavailable):
            node.journal.touch()
            await node.stored()
