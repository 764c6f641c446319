"""Sentinels promote a replica while people type, though it lacks what was acknowledged."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import redis.asyncio
from redis.asyncio.sentinel import Sentinel

from tests.faults.conftest import SETTINGS, status
from tests.faults.typists import Typists
from tests.support.clients import JsHost
from tests.support.processes import Node, running
from tests.support.redises import RETRY, SERVICE, WatchedRedis, watched_redis


@dataclass(frozen=True, slots=True)
class Watched:
    """Two nodes, and what they use as their Redis."""

    redis: WatchedRedis
    a: Node
    b: Node


@pytest.fixture(scope="module")
async def shared() -> AsyncIterator[Watched]:
    async with watched_redis() as redises:
        nodes = Node(redises.url, "a", **SETTINGS), Node(redises.url, "b", **SETTINGS)
        async with running(*nodes):
            yield Watched(redises, *nodes)
        for node in nodes:
            assert "Traceback" not in node.output(), node.output()


@pytest.fixture
async def watched(shared: Watched) -> AsyncIterator[Watched]:
    yield shared
    await shared.redis.ready()


@pytest.fixture
async def store(shared: Watched) -> AsyncIterator[redis.asyncio.Redis]:
    """A client of whichever server is the master."""
    hosts = [("127.0.0.1", each.port) for each in shared.redis.sentinels]
    sentinel = Sentinel(hosts, socket_timeout=1)  # type: ignore[no-untyped-call]
    client = sentinel.master_for(SERVICE, retry=RETRY)
    yield client
    await client.aclose()
    await sentinel.aclose()


async def test_a_promoted_replica_that_lacks_acknowledged_edits_gets_them_from_the_nodes(
    watched: Watched, people: Typists, store: redis.asyncio.Redis, room: str
) -> None:
    """Redis answers before its replicas have a commit, so a fail-over may lose it."""
    people.join(room, watched.a, watched.a, watched.b)
    await people.typed(60)
    old, new = await watched.redis.master(), await watched.redis.replica()
    await watched.redis.cut_replication()
    await people.typed(60)
    await old.kill()
    acknowledged = {word for person in await people.tell() for word in person.acked}
    async with redis.asyncio.Redis(port=new.port) as replica:
        left = (await replica.get(f"code_{room}")).decode()
    assert len(acknowledged - set(left)) >= 60, "the replica lacks what was typed after the cut"
    await people.typed(60)
    await watched.redis.promoted(new)
    text = await people.rest(store, room)
    assert acknowledged <= set(text)


async def test_a_master_that_only_hangs_is_left_and_not_used_when_it_wakes_up(
    watched: Watched, people: Typists, store: redis.asyncio.Redis, room: str
) -> None:
    """It takes itself for the master until a Sentinel demotes it; its connections are open."""
    people.join(room, watched.a, watched.b, watched.b)
    await people.typed(60)
    old, new = await watched.redis.master(), await watched.redis.replica()
    old.process.send_signal(signal.SIGSTOP)
    try:
        await watched.redis.promoted(new)
        await people.typed(30)
    finally:
        old.process.send_signal(signal.SIGCONT)
    await people.typed(60)
    await people.rest(store, room)
    for node in (watched.a, watched.b):
        await status(node, 200)


async def test_a_master_that_is_demoted_by_hand_is_left_by_commands_and_by_pubsub(
    watched: Watched, js: JsHost, store: redis.asyncio.Redis, room: str
) -> None:
    here, there = await js.connect(watched.a.url), await js.connect(watched.b.url)
    for client in (here, there):
        await client.join(room)
    await here.change(room, "before")
    await there.shows("before")
    new = await watched.redis.replica()
    async with redis.asyncio.Redis(port=watched.redis.sentinels[0].port) as sentinel:
        await sentinel.sentinel_failover(SERVICE)
    await watched.redis.promoted(new)
    await here.change(room, "after")
    await there.shows("after")
    assert await store.get(f"code_{room}") == b"after"
    for node in (watched.a, watched.b):
        await status(node, 200)


async def test_a_sentinel_that_is_silent_keeps_no_node_from_starting(watched: Watched) -> None:
    """Each Sentinel gets a part of the time for connecting."""
    silent = watched.redis.sentinels[0]
    silent.process.send_signal(signal.SIGSTOP)
    try:
        node = Node(watched.redis.url, "late", **SETTINGS)
        async with running(node):
            await status(node, 200)
    finally:
        silent.process.send_signal(signal.SIGCONT)
