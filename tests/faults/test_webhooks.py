"""No event of a room is lost with a node, or with what Redis has lost."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
import redis.asyncio
from aiohttp import web

from collab.metrics import Metrics
from collab.store import scripts
from collab.store.directory import Directory
from collab.store.keys import room_keys
from collab.store.store import Store
from collab.webhooks.delivery import POLL_INTERVAL
from collab.webhooks.life import Phase, State
from collab.webhooks.registry import Registry
from collab.webhooks.sweeper import SWEEP_INTERVAL
from tests.cluster.caller import Caller
from tests.cluster.wire import wire_member
from tests.support.clients import eventually
from tests.support.inbox import SECRET, Arrived, Inbox, fails, hang, receiving
from tests.support.processes import Node, Redis, running
from tests.support.proxy import proxy

STATES = "collab:{webhooks}:states"
FAST = {
    "COLLAB_WEBHOOK_SECRET": SECRET,
    "COLLAB_WEBHOOK_TIMEOUT": "0.7",
    "COLLAB_WEBHOOK_BACKOFF": "0.05",
    "COLLAB_WEBHOOK_IDLE": "600",
    "COLLAB_DRAIN_TIME": "0.2",
}
MANY, AT_ONCE = 5000, 500


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Redis]:
    one = Redis()
    async with running(one):
        yield one


@pytest.fixture(scope="module")
async def inbox() -> AsyncIterator[Inbox]:
    async with receiving() as inbox:
        yield inbox


@pytest.fixture(scope="module")
async def other(server: Redis, inbox: Inbox) -> AsyncIterator[Node]:
    """The node that goes on with what others leave."""
    one = node(server.url, "other", inbox)
    async with running(one):
        yield one
    assert "Traceback" not in one.output(), one.output()


@pytest.fixture
async def store(server: Redis) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(server.url) as client:
        yield client


def node(url: str, name: str, inbox: Inbox, **settings: str) -> Node:
    return Node(url, name, **{**FAST, "COLLAB_WEBHOOK_URL": inbox.url, **settings})


@asynccontextmanager
async def calling(one: Node) -> AsyncIterator[Caller]:
    async with aiohttp.ClientSession() as session:
        yield Caller(session, one.url)


async def test_what_a_node_has_taken_and_not_delivered_another_one_delivers(
    server: Redis, inbox: Inbox, other: Node
) -> None:
    assert other.process is not None
    rooms = ["killed-1", "killed-2", "killed-3"]
    inbox.answers = dict.fromkeys([*rooms, "stopped"], fails(1, hang))
    other.process.send_signal(signal.SIGSTOP)  # it takes nothing meanwhile
    patient = {"COLLAB_WEBHOOK_TIMEOUT": "30", "COLLAB_WEBHOOK_CONCURRENCY": "2"}
    killed = node(server.url, "killed", inbox, **patient)
    stopped = node(server.url, "stopped", inbox)
    async with running(killed), calling(killed) as caller:
        for room in rooms:
            await caller.put(room, "x")
        await eventually(lambda: len(inbox.arrived) == 2)
        await asyncio.sleep(2 * POLL_INTERVAL)
        assert len(inbox.arrived) == 2, "a node sends no more at once than it may"
        await killed.kill()
    async with running(stopped), calling(stopped) as caller:
        for room in rooms:
            told = await inbox.until(room, "opened")
            assert {each.id for each in inbox.attempts(room)} == {told.id}
        await caller.put("stopped", "x")
        await eventually(lambda: inbox.attempts("stopped"))
        await stopped.stop()
    other.process.send_signal(signal.SIGCONT)
    await inbox.until("stopped", "opened", within=2)


async def test_a_node_that_dies_between_the_intent_and_the_journal_loses_no_event(
    server: Redis, inbox: Inbox, store: redis.asyncio.Redis, other: Node
) -> None:
    start = scripts.START.digest.encode()
    async with proxy(server.port) as wire, calling(other) as caller:
        await caller.put("first", "x")  # so that Redis has the scripts
        url = f"redis://127.0.0.1:{wire.port}/0"
        early, late = node(url, "early", inbox), node(url, "late", inbox)
        async with running(early, late), calling(early) as one, calling(late) as two:
            putting = [asyncio.create_task(two.put("after", "x"))]
            while not await store.exists("code_after"):  # noqa: ASYNC110 - in Redis
                await asyncio.sleep(0)
            wire.to_client = lambda piece: []
            await late.kill()
            wire.to_client = None
            wire.to_server = lambda piece: [] if start in piece else [piece]
            putting.append(asyncio.create_task(one.put("before", "x")))
            while not await store.hexists(STATES, "before"):  # noqa: ASYNC110 - in Redis
                await asyncio.sleep(0.01)
            assert not await store.exists("code_before")
            await early.kill()
            await asyncio.gather(*putting, return_exceptions=True)
        await inbox.until("after", "opened")
        assert not inbox.attempts("before"), "it never began"
        await caller.put("before", "x")
        await inbox.until("before", "opened")
    assert len(inbox.attempts("before")) == 1 and len(inbox.attempts("after")) == 1


async def test_a_room_whose_ending_node_dies_at_once_is_told_without_its_text(
    server: Redis, inbox: Inbox, store: redis.asyncio.Redis, other: Node
) -> None:
    async with calling(other) as caller:
        await caller.put("ending", "x")
        await inbox.until("ending", "opened")
    own = Store(server.url, "test", 2.0, Metrics())
    assert await Directory(own).end("ending", 1800.0)  # and nothing of what the node does around it
    await own.close()
    await store.zadd("collab:{webhooks}:rooms", {"ending": 1})  # the next look, which may be later
    ended = await inbox.until("ending", "ended")
    assert ended.data["reason"] == "ended" and ended.data["text"] is None


async def test_rooms_that_live_on_are_known_again_after_redis_was_emptied(
    server: Redis, inbox: Inbox
) -> None:
    url = server.url.removesuffix("0") + "1"
    one = node(url, "emptied", inbox, COLLAB_WEBHOOK_IDLE="1.5", COLLAB_CHECK_INTERVAL="0.2")
    async with (
        running(one), wire_member(one.url) as ann, calling(one) as caller,
        redis.asyncio.Redis.from_url(url) as store,
    ):  # fmt: skip
        await ann.join("r")
        await (await ann.type("r", "all of it"))
        await inbox.until("r", "opened")
        await store.flushdb()
        await eventually(lambda: len(inbox.of("r", "room.opened")) == 2)
        # What a Redis Cluster can lose alone: the webhooks' shard.
        await store.delete(*[key async for key in store.scan_iter("collab:{webhooks}:*")])
        await eventually(lambda: len(inbox.of("r", "room.opened")) == 3)
        await caller.ask("DELETE", "/rooms/r")
        assert (await inbox.until("r", "ended")).data["text"] == "all of it"
    assert "Traceback" not in one.output()


async def test_the_end_of_a_room_that_redis_has_lost_is_told_at_once(
    server: Redis, inbox: Inbox
) -> None:
    url = server.url.removesuffix("0") + "3"
    one = node(url, "lost", inbox, COLLAB_CHECK_INTERVAL="60")  # nobody notices that it is lost
    async with (
        running(one), wire_member(one.url) as ann, calling(one) as caller,
        redis.asyncio.Redis.from_url(url) as store,
    ):  # fmt: skip
        await ann.join("gone")
        await (await ann.type("gone", "x"))
        await inbox.until("gone", "opened")
        await store.delete(*room_keys("gone"))
        assert (await caller.ask("DELETE", "/rooms/gone"))[0] == 204
        ended = await inbox.until("gone", "ended", within=5)
        assert ended.data["reason"] == "ended" and ended.data["text"] is None


async def test_a_room_that_could_not_be_noted_begins_all_the_same_and_is_told_later(
    server: Redis, inbox: Inbox
) -> None:
    url = server.url.removesuffix("0") + "2"
    one = node(url, "late", inbox, COLLAB_WEBHOOK_IDLE="1.5")
    async with (
        running(one), calling(one) as caller, redis.asyncio.Redis.from_url(url) as store,
    ):  # fmt: skip
        await store.set(STATES, "not a hash")  # every script of the webhooks fails from now on
        await caller.put("late", "x")
        await asyncio.sleep(0.2)
        assert not inbox.attempts("late") and await store.get("code_late") == b"x"
        await store.delete(STATES)
        await inbox.until("late", "opened")
    assert "Traceback" not in one.output()


async def test_hundreds_of_rooms_that_open_at_once_are_each_told_once_by_two_nodes(
    server: Redis, inbox: Inbox, store: redis.asyncio.Redis, other: Node
) -> None:
    async def accept(arrived: Arrived, before: int) -> web.StreamResponse:
        await asyncio.sleep(0.01)
        return web.Response()

    inbox.otherwise, before = accept, len(inbox.arrived)
    second = node(server.url, "second", inbox)
    async with running(second), calling(other) as caller:
        for first in range(0, AT_ONCE, 100):
            await asyncio.gather(*(caller.put(f"r{first + i}", "x") for i in range(100)))
        while await store.hlen("collab:{webhooks}:events"):  # noqa: ASYNC110 - in Redis
            await asyncio.sleep(0.05)
        await eventually(lambda: len({each.id for each in inbox.arrived[before:]}) >= AT_ONCE)
    told = {each.id: each.data["room"] for each in inbox.arrived[before:]}
    assert len(set(told.values())) == len(told) == AT_ONCE
    assert await store.get("collab:{webhooks}:bytes") == b"0"


async def test_thousands_of_rooms_with_members_cost_no_commands_of_their_own(
    server: Redis, store: redis.asyncio.Redis, other: Node
) -> None:
    names = [f"many-{number}" for number in range(MANY)]
    far = (int(time.time()) + 1800) * 1000
    state = State(Phase.ACTIVE, far, 0, far, "epoch").pack()
    await store.hset(STATES, mapping=dict.fromkeys(names, state))
    own = Store(server.url, "test", 2.0, Metrics())
    await Registry(own, 60_000, 1, 1).attend(names, 60_000)
    await own.close()
    # As if each had to be looked at because a minute has passed.
    began, before = time.monotonic(), await sent(store)
    await store.zadd("collab:{webhooks}:rooms", dict.fromkeys(names, 1))
    while await store.zcount("collab:{webhooks}:rooms", 0, 1):  # noqa: ASYNC110 - in Redis
        await asyncio.sleep(0.05)
    per_second = 2 / POLL_INTERVAL + 2 / SWEEP_INTERVAL  # with some slack
    assert await sent(store) - before <= 10 + per_second * (time.monotonic() - began) < MANY / 50


async def sent(store: redis.asyncio.Redis) -> int:
    """Return how many commands nodes have sent, without those inside of scripts."""
    stats = await store.info("commandstats")
    names = ("cmdstat_evalsha", "cmdstat_eval", "cmdstat_publish")
    return sum(stats[name]["calls"] for name in names if name in stats)
