"""No event of a room is lost with a node, or with what Redis has lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
import redis.asyncio

from collab.config import Config
from collab.metrics import Metrics
from collab.rooms.author import Author
from collab.store import scripts
from collab.store.store import Store
from collab.webhooks.registry import Registry
from tests.cluster.caller import Caller
from tests.cluster.registries import rooms
from tests.cluster.wire import wire_member
from tests.support.clients import eventually
from tests.support.inbox import SECRET, Inbox, fails, hang, receiving
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
MANY = 2000


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
        b.process.send_signal(19)  # SIGSTOP: it takes nothing meanwhile
        async with running(a), calling(a) as caller:
            await caller.put("killed", "x")
            await eventually(lambda: inbox.attempts("killed"))
            await a.kill()
        b.process.send_signal(18)  # SIGCONT
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
    async with proxy(server.port) as wire, running(node(server.url, "b", inbox)) as _:
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
    async with running(c := node(server.url, "c", inbox)), calling(c) as caller:
        await inbox.until("after", "opened")
        assert not inbox.attempts("before"), "it never began"
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
    async with rooms(server.port) as held:
        await asyncio.gather(*(held.create(name, "x", Author("a", "A")) for name in names))
    own = Store(server.url, "test", 2.0, Metrics())
    registry = Registry(own, 60_000, 1, 1)
    both = [node(server.url, name, inbox, COLLAB_WEBHOOK_IDLE="60") for name in "ab"]
    async with running(*both):
        await registry.attend(names, 60_000)
        await eventually(lambda: len(inbox.arrived) >= MANY, within=40)
        await asyncio.sleep(0.5)
        # As if each had to be looked at because a minute has passed.
        for first in range(0, MANY, 500):
            due = dict.fromkeys(names[first : first + 500], 1)
            await store.zadd("collab:{webhooks}:rooms", due)
        before = await sent(store)
        await asyncio.sleep(2.0)
        assert await sent(store) - before < 60
    await own.close()
    assert len(inbox.arrived) == MANY and Config().webhook_concurrency * 2 >= inbox.most_open
    async with redis.asyncio.Redis.from_url(server.url) as client:
        assert await client.hlen("collab:{webhooks}:events") == 0
        assert int(await client.get("collab:{webhooks}:bytes")) == 0


async def sent(store: redis.asyncio.Redis) -> int:
    """Return how many commands nodes have sent, without those inside of scripts."""
    stats = await store.info("commandstats")
    names = ("cmdstat_evalsha", "cmdstat_eval", "cmdstat_publish")
    return sum(stats[name]["calls"] for name in names if name in stats)
