"""No event of a room is lost with a node or a master of a Redis Cluster, wherever the room is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import redis.asyncio
from aiohttp import web

from tests.cluster.caller import Caller, calling
from tests.cluster.wire import wire_member
from tests.faults.conftest import SETTINGS
from tests.support.clients import WAIT_TIMEOUT, eventually
from tests.support.inbox import SECRET, Arrived, Inbox, fails, hang, receiving
from tests.support.processes import Node, Redis, running
from tests.support.redises import RedisCluster

WEBHOOKS = "{webhooks}"
"""The hash tag of all keys of the webhooks: they are at one master, the rooms at all of them."""
FAST = {
    **SETTINGS,
    "COLLAB_WEBHOOK_SECRET": SECRET,
    "COLLAB_WEBHOOK_TIMEOUT": "0.3",
    "COLLAB_WEBHOOK_BACKOFF": "0.05",
    "COLLAB_WEBHOOK_IDLE": "1.5",
    "COLLAB_CHECK_INTERVAL": "0.5",
}


@pytest.fixture(scope="module")
async def inbox() -> AsyncIterator[Inbox]:
    async with receiving() as inbox:
        yield inbox


@pytest.fixture(scope="module")
async def nodes(three_masters: RedisCluster, inbox: Inbox) -> AsyncIterator[tuple[Node, Node]]:
    settings = {**FAST, "COLLAB_WEBHOOK_URL": inbox.url}
    pair = Node(three_masters.url, "a", **settings), Node(three_masters.url, "b", **settings)
    async with running(*pair):
        yield pair
    for node in pair:
        assert "Traceback" not in node.output(), node.output()


@pytest.fixture
async def cluster(three_masters: RedisCluster) -> AsyncIterator[RedisCluster]:
    await three_masters.ready()
    yield three_masters
    await three_masters.ready()


async def put(caller: Caller, room: str) -> None:
    """Begin a room, as soon as Redis takes it."""
    async with asyncio.timeout(WAIT_TIMEOUT):
        while (await caller.ask("PUT", f"/rooms/{room}", json={"code": room}))[0] != 201:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def end(caller: Caller, inbox: Inbox, room: str) -> None:
    """End a room: that, and its text, are told, and nobody has told it before."""
    assert not inbox.of(room, "room.ended")
    assert await caller.ask("DELETE", f"/rooms/{room}") == (204, None)
    ended = await inbox.until(room, "ended")
    assert (ended.data["reason"], ended.data["text"]) == ("ended", room)


async def replicated(master: Redis) -> None:
    """Wait until the replica of a master has what the master has now."""
    async with redis.asyncio.Redis(port=master.port) as client:
        await client.set(f"test:{WEBHOOKS}", "", ex=60)  # WAIT is about this connection's writes
        assert await client.wait(1, 5000) == 1


def opened(inbox: Inbox, room: str) -> int:
    """Return how many times a room was told to be open; a repeated delivery is one event."""
    return len({event.id for event in inbox.of(room, "room.opened")})


async def written_back(caller: Caller, room: str) -> None:
    """Wait until Redis has a room again."""
    async with asyncio.timeout(WAIT_TIMEOUT):
        while True:
            status, told = await caller.ask("GET", f"/rooms/{room}")
            if status == 200 and told["code"] == room:  # no code: it has members, and is lost
                return
            await asyncio.sleep(0.02)


async def test_what_a_killed_node_has_not_delivered_or_not_made_yet_another_one_tells(
    cluster: RedisCluster, nodes: tuple[Node, Node], inbox: Inbox, room: str
) -> None:
    taken = await cluster.rooms_at_each(f"{room}-taken")
    begun = await cluster.rooms_at_each(f"{room}-begun")
    inbox.answers = dict.fromkeys(taken, fails(1, hang))
    patient = {"COLLAB_WEBHOOK_URL": inbox.url, "COLLAB_WEBHOOK_TIMEOUT": "30"}
    killed = Node(cluster.url, "killed", **{**FAST, **patient})
    async with running(killed), calling(killed) as (caller,):
        with nodes[0].frozen(), nodes[1].frozen():  # they take nothing meanwhile
            await asyncio.gather(*(put(caller, each) for each in taken))
            await eventually(lambda: all(inbox.attempts(each) for each in taken))
            await asyncio.gather(*(put(caller, each) for each in begun))
            await killed.kill()
            assert not any(inbox.of(each) for each in taken + begun)
    for each in taken:
        told = await inbox.until(each, "opened")
        first, again = [one for one in inbox.attempts(each) if one.event["type"] == "room.opened"]
        assert first.id == again.id == told.id
    for each in begun:
        await inbox.until(each, "opened")
    async with calling(nodes[0]) as (caller,):
        await asyncio.gather(*(end(caller, inbox, each) for each in taken + begun))
    assert all(opened(inbox, each) == 1 for each in taken + begun)


async def test_events_that_wait_outlive_their_master_and_rooms_that_begin_meanwhile_are_told(
    cluster: RedisCluster, nodes: tuple[Node, Node], inbox: Inbox, room: str
) -> None:
    waiting = await cluster.rooms_at_each(f"{room}-waiting")
    meanwhile = await cluster.rooms_at_each(f"{room}-meanwhile")
    back = asyncio.Event()

    async def answer(arrived: Arrived, before: int) -> web.StreamResponse:
        await back.wait()
        return web.Response()

    inbox.answers = dict.fromkeys(waiting + meanwhile, answer)
    async with calling(*nodes) as (here, there):
        await asyncio.gather(*(put(here, each) for each in waiting))
        await eventually(lambda: all(inbox.attempts(each) for each in waiting))
        master = await cluster.master_of(WEBHOOKS)
        await replicated(master)
        await master.kill()
        await asyncio.gather(*(put(here, each) for each in meanwhile))
        assert await cluster.master_of(WEBHOOKS) is not master
        assert not any(inbox.of(each) for each in waiting + meanwhile)
        back.set()
        for each in waiting + meanwhile:
            await inbox.until(each, "opened")
        await asyncio.gather(*(end(there, inbox, each) for each in waiting + meanwhile))
    assert all(opened(inbox, each) == 1 for each in waiting + meanwhile)


@pytest.mark.parametrize("lost", ["the webhooks", "rooms"])
async def test_what_a_promoted_replica_lacks_is_not_told_as_ended_and_rooms_are_known_again(
    cluster: RedisCluster, nodes: tuple[Node, Node], inbox: Inbox, room: str, lost: str
) -> None:
    rooms = await cluster.rooms_at_each(room)
    master = await cluster.master_of(WEBHOOKS)
    if lost == "rooms":
        master = next(each for each in await cluster.masters() if each is not master)
    replica = await cluster.cut_replication(master)
    async with AsyncExitStack() as stack:
        for each in rooms:
            member = await stack.enter_async_context(wire_member(nodes[0].url))
            await member.join(each)
            await (await member.type(each, each))
        for each in rooms:
            await inbox.until(each, "opened")
        await master.kill()
        times = 2 if lost == "the webhooks" else 1
        await eventually(lambda: all(opened(inbox, each) == times for each in rooms))
        (caller,) = await stack.enter_async_context(calling(nodes[1]))
        await asyncio.gather(*(written_back(caller, each) for each in rooms))
        await asyncio.gather(*(end(caller, inbox, each) for each in rooms))
    assert all(opened(inbox, each) == times for each in rooms)
    assert replica in await cluster.masters()
