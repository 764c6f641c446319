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

from collab.config import Config
from collab.metrics import Metrics
from collab.store import scripts
from collab.store.store import Store
from collab.webhooks.life import Phase, State
from collab.webhooks.registry import Registry
from tests.cluster.caller import Caller
from tests.cluster.wire import wire_member
from tests.support.clients import eventually
from tests.support.inbox import SECRET, Arrived, Inbox, fails, hang, receiving
from tests.support.processes import Node, Redis, running
from tests.support.proxy import proxy

STATES = "collab:{webhooks}:states"
FAST = {
    "COLLAB_WEBHOOK_SECRET": SECRET,
    "COLLAB_WEBHOOK_TIMEOUT": "0.4",
    "COLLAB_WEBHOOK_BACKOFF": "0.05",
    "COLLAB_WEBHOOK_IDLE": "600",
    "COLLAB_DRAIN_TIME": "0.2",
}
MANY, AT_ONCE = 5000, 500


@pytest.fixture
async def server() -> AsyncIterator[Redis]:
    one = Redis()
    async with running(one):
        yield one


@pytest.fixture
async def inbox() -> AsyncIterator[Inbox]:
    async with receiving() as inbox:
        yield inbox


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
    server: Redis, inbox: Inbox
) -> None:
    a, b = node(server.url, "a", inbox), node(server.url, "b", inbox)
    async with running(b):
        inbox.answers = {"killed": fails(1, hang), "stopped": fails(1, hang)}
        b.process.send_signal(signal.SIGSTOP)  # it takes nothing meanwhile
        async with running(a), calling(a) as caller:
            await caller.put("killed", "x")
            await eventually(lambda: inbox.attempts("killed"))
            await a.kill()
        b.process.send_signal(signal.SIGCONT)
        told = await inbox.until("killed", "opened")
        assert {each.id for each in inbox.attempts("killed")} == {told.id}
        assert len(inbox.attempts("killed")) == 2
        async with running(a), calling(a) as caller:
            await caller.put("stopped", "x")
            await eventually(lambda: inbox.attempts("stopped"))
            await a.stop()
        await inbox.until("stopped", "opened", within=2)


async def test_a_node_that_dies_between_the_intent_and_the_journal_loses_no_event(
    server: Redis, inbox: Inbox, store: redis.asyncio.Redis
) -> None:
    start = scripts.START.digest.encode()
    b = node(server.url, "b", inbox)
    async with proxy(server.port) as wire, running(b):
        url = f"redis://127.0.0.1:{wire.port}/0"
        a = node(url, "a", inbox)
        wire.to_server = lambda piece: [] if start in piece else [piece]
        async with running(a), calling(a) as caller:
            putting = asyncio.create_task(caller.put("before", "x"))
            while not await store.hexists(STATES, "before"):  # noqa: ASYNC110 - in Redis
                await asyncio.sleep(0.01)
            assert not await store.exists("code_before")
            await a.kill()
            await asyncio.gather(putting, return_exceptions=True)
        wire.to_server = None
        a = node(url, "a2", inbox)
        async with running(a), calling(a) as caller:
            await caller.put("first", "x")  # so that Redis has the scripts
            await inbox.until("first", "opened")
            putting = asyncio.create_task(caller.put("after", "x"))
            while not await store.exists("code_after"):  # noqa: ASYNC110 - in Redis
                await asyncio.sleep(0)
            wire.stall()
            await a.kill()
            await asyncio.gather(putting, return_exceptions=True)
        await inbox.until("after", "opened")
        assert not inbox.attempts("before"), "it never began"
        async with calling(b) as caller:
            await caller.put("before", "x")
        await inbox.until("before", "opened")
    assert len(inbox.attempts("before")) == 1 and len(inbox.attempts("after")) == 1


async def test_rooms_that_live_on_are_known_again_after_redis_was_emptied(
    server: Redis, inbox: Inbox, store: redis.asyncio.Redis
) -> None:
    one = node(server.url, "a", inbox, COLLAB_WEBHOOK_IDLE="1.5", COLLAB_CHECK_INTERVAL="0.2")
    async with running(one), wire_member(one.url) as ann, calling(one) as caller:
        await ann.join("r")
        await (await ann.type("r", "all of it"))
        await inbox.until("r", "opened")
        await store.flushall()
        await eventually(lambda: len(inbox.of("r", "room.opened")) == 2)
        # What a Redis Cluster can lose alone: the webhooks' shard.
        await store.delete(*[key async for key in store.scan_iter("collab:{webhooks}:*")])
        await eventually(lambda: len(inbox.of("r", "room.opened")) == 3)
        await caller.ask("DELETE", "/rooms/r")
        assert (await inbox.until("r", "ended")).data["text"] == "all of it"
    assert "Traceback" not in one.output()


async def test_thousands_of_rooms_with_members_cost_no_commands_of_their_own(
    server: Redis, inbox: Inbox, store: redis.asyncio.Redis
) -> None:
    names = [f"r{number}" for number in range(MANY)]
    far = (int(time.time()) + 1800) * 1000
    state = State(Phase.ACTIVE, far, 0, far, "epoch").pack()
    await store.hset(STATES, mapping=dict.fromkeys(names, state))
    own = Store(server.url, "test", 2.0, Metrics())
    await Registry(own, 60_000, 1, 1).attend(names, 60_000)
    await own.close()
    async with running(node(server.url, "a", inbox, COLLAB_WEBHOOK_IDLE="60")):
        # As if each had to be looked at because a minute has passed.
        await store.zadd("collab:{webhooks}:rooms", dict.fromkeys(names, 1))
        before = await sent(store)
        while await store.zcount("collab:{webhooks}:rooms", 0, 1):  # noqa: ASYNC110 - in Redis
            await asyncio.sleep(0.05)
        assert await sent(store) - before < MANY / 100
        assert await store.zcard("collab:{webhooks}:rooms") == MANY


async def test_hundreds_of_rooms_that_open_at_once_are_each_told_once(
    server: Redis, inbox: Inbox, store: redis.asyncio.Redis
) -> None:
    async def accept(arrived: Arrived, before: int) -> web.StreamResponse:
        await asyncio.sleep(0.01)
        return web.Response()

    inbox.otherwise = accept
    both = [node(server.url, name, inbox) for name in "ab"]
    async with running(*both), calling(both[0]) as caller:
        for first in range(0, AT_ONCE, 100):
            await asyncio.gather(*(caller.put(f"r{first + i}", "x") for i in range(100)))
        await eventually(lambda: len(inbox.arrived) >= AT_ONCE, within=30)
        assert 1 < inbox.most_open <= 2 * Config().webhook_concurrency
    assert len({each.data["room"] for each in inbox.arrived}) == len(inbox.arrived) == AT_ONCE
    assert await store.hlen("collab:{webhooks}:events") == 0
    assert await store.get("collab:{webhooks}:bytes") == b"0"


async def sent(store: redis.asyncio.Redis) -> int:
    """Return how many commands nodes have sent, without those inside of scripts."""
    stats = await store.info("commandstats")
    names = ("cmdstat_evalsha", "cmdstat_eval", "cmdstat_publish")
    return sum(stats[name]["calls"] for name in names if name in stats)
