"""Rooms that a node holds and nobody is in cost Redis nothing, and are checked when one enters."""

from __future__ import annotations

import asyncio

import pytest
import redis.asyncio

from collab.merge.lateness import Habit
from collab.rooms import registry
from collab.rooms.author import Author
from collab.rooms.registry import Rooms
from collab.store.directory import Directory
from collab.store.keys import room_keys
from tests.cluster.peers import wait_for_snapshot
from tests.cluster.registries import Silent, rooms, somebody
from tests.support.clients import eventually
from tests.support.processes import Redis
from tests.support.proxy import Proxy, proxy

Client = redis.asyncio.Redis


async def write(held: Rooms, room: str, text: str) -> None:
    """Enter a room, change its text, and leave."""
    there = await held.acquire(room)
    member = there.enter("m", somebody("m"), Silent(), Habit())
    try:
        await (await there.merge_text(text, None, Author("m", "m")))
    finally:
        there.texts.leave(member, may_return=False)
        held.release(room)


def commands(held: Rooms) -> float:
    """Return how many commands a node has sent to Redis."""
    found = held._metrics.registry.get_sample_value("collab_redis_commands_total")
    assert found is not None
    return found


def drop_announcements(wire: Proxy, room: str) -> None:
    """Lose what Redis publishes on a room's channel."""

    def drop(piece: bytes) -> list[bytes]:
        return [] if b"message" in piece and room.encode() in piece else [piece]

    wire.to_client = drop


async def test_rooms_without_members_send_nothing_to_redis_at_the_checks(
    redis_server: Redis, room: str
) -> None:
    async with rooms(redis_server.port, grace=60, check_interval=0.1) as held:
        names = [f"{room}-{number}" for number in range(30)]
        for name in names:
            await write(held, name, "text")
        await asyncio.sleep(0.15)  # the last reports are published
        before = commands(held)
        await asyncio.sleep(0.25)
        assert commands(held) == before and len(held._rooms) == len(names)
        there = await held.acquire(names[0])
        there.enter("n", somebody("n"), Silent(), Habit())
        before = commands(held)
        await eventually(lambda: commands(held) > before + 3, "rooms with members are checked")
        held.release(names[0])


async def test_rooms_that_nobody_wrote_in_cost_no_key_and_are_let_go_soon(
    redis_server: Redis, store: Client, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "UNWRITTEN_GRACE", 0.05)
    async with rooms(redis_server.port, grace=60) as held:
        for number in range(5):
            there = await held.acquire(f"{room}-{number}")
            member = there.enter("m", somebody("m"), Silent(), Habit())
            there.texts.leave(member, may_return=True)
            held.release(f"{room}-{number}")
        await write(held, f"{room}-written", "text")
        await eventually(lambda: list(held._rooms) == [f"{room}-written"])
        found = [key async for key in store.scan_iter(match=f"*{room}*")]
        assert sorted(found) == sorted(key.encode() for key in room_keys(f"{room}-written"))


async def test_who_enters_a_room_that_missed_a_commit_sees_the_present_text_at_once(
    redis_server: Redis, room: str
) -> None:
    async with (
        proxy(redis_server.port) as wire,
        rooms(wire.port, grace=60) as held,
        rooms(redis_server.port, node="o") as other,
    ):
        await write(held, room, "one")
        drop_announcements(wire, room)
        await write(other, room, "one two")
        wire.to_client = None
        assert held._rooms[room].text == "one", "the announcement was not lost"
        found = await asyncio.gather(*(held.acquire(room) for _ in range(5)))
        assert {each.text for each in found} == {"one two"}
        for _ in found:
            held.release(room)


async def test_who_enters_a_room_that_missed_its_end_gets_the_next_room_of_that_name(
    redis_server: Redis, room: str
) -> None:
    async with (
        proxy(redis_server.port) as wire,
        rooms(wire.port, grace=60) as held,
        rooms(redis_server.port, node="o") as other,
    ):
        await write(held, room, "one")
        old = held._rooms[room]
        drop_announcements(wire, room)
        await Directory(other._store).end(room, 1800)
        await write(other, room, "next")
        wire.to_client = None
        assert not old.ended, "the announcement was not lost"
        found = await asyncio.gather(*(held.acquire(room) for _ in range(5)))
        assert old not in found and len(set(map(id, found))) == 1
        assert found[0].text == "next" and held._rooms == {room: found[0]}
        for _ in found:
            held.release(room)


async def test_a_room_without_members_that_redis_lost_is_written_back_when_redis_is_back(
    redis_server: Redis, store: Client, room: str
) -> None:
    async with proxy(redis_server.port) as wire, rooms(wire.port, grace=60) as held:
        await write(held, room, "one")
        wire.refuse()
        await store.delete(*room_keys(room))
        wire.accept()
        await wait_for_snapshot(store, room, "one")


async def test_a_room_that_the_node_has_is_open_while_redis_is_away(
    redis_server: Redis, room: str
) -> None:
    async with (
        proxy(redis_server.port) as wire,
        rooms(wire.port, grace=60, redis_timeout=0.2) as held,
    ):
        await write(held, room, "one")
        wire.refuse()
        async with asyncio.timeout(2):
            there = await held.acquire(room)
        assert there.text == "one"
        wire.accept()
        held.release(room)
