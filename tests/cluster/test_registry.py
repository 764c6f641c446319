"""Which rooms a node holds: loaded once, kept for a grace time, let go when nothing waits."""

from __future__ import annotations

import asyncio
import gc

import pytest
import redis.asyncio

from collab.errors import RoomClosed, StoreUnavailable
from collab.merge.delta import Delta
from collab.merge.lateness import Habit
from collab.merge.replica import Replica
from collab.rooms.registry import Rooms
from collab.rooms.room import Room
from collab.store.directory import Directory
from tests.cluster.registries import Silent, rooms, somebody
from tests.support.clients import eventually
from tests.support.processes import Redis
from tests.support.proxy import proxy


async def test_a_room_is_kept_for_the_whole_grace_time_after_the_last_visitor(
    redis_server: Redis, room: str
) -> None:
    """The time of an earlier visit that ended must not cut this one short."""
    loop = asyncio.get_running_loop()
    async with rooms(redis_server.port, grace=0.25) as held:
        first = await held.acquire(room)
        held.release(room)
        await asyncio.sleep(0.15)
        assert await held.acquire(room) is first
        held.release(room)
        left = loop.time()
        await eventually(lambda: room not in held._rooms)
        assert loop.time() - left > 0.2
        assert await held.acquire(room) is not first
        held.release(room)


async def test_holds_that_come_together_get_one_room(redis_server: Redis, room: str) -> None:
    async with rooms(redis_server.port) as held:
        found = await asyncio.gather(*(held.acquire(room) for _ in range(10)))
        assert len(set(map(id, found))) == 1
        for _ in range(10):
            held.release(room)
        await eventually(lambda: not held._rooms)
        assert not held._acquired and not held._release_timers


async def test_a_room_that_cannot_be_loaded_leaves_nothing_behind_and_can_be_later(
    redis_server: Redis, room: str
) -> None:
    async with proxy(redis_server.port) as wire, rooms(wire.port) as held:
        wire.refuse()
        found = await asyncio.gather(
            *(held.acquire(room) for _ in range(3)), return_exceptions=True
        )
        assert all(isinstance(each, StoreUnavailable) for each in found)
        assert not held._rooms and not held._loading and not held._acquired
        wire.accept()
        async with asyncio.timeout(5):
            while True:
                try:
                    await held.acquire(room)
                    break
                except StoreUnavailable:
                    await asyncio.sleep(0.05)
        held.release(room)


async def test_a_room_is_not_let_go_while_something_waits_for_redis(
    redis_server: Redis, store: redis.asyncio.Redis, room: str
) -> None:
    async with proxy(redis_server.port) as wire, rooms(wire.port, grace=0.05) as held:
        there = await held.acquire(room)
        member = there.enter("m", somebody("m"), Silent(), Habit())
        there.texts.change(member, "one")
        await there.stored()
        wire.refuse()
        there.texts.change(member, "one two")
        done = there.stored()
        there.texts.leave(member, may_return=False)
        held.release(room)
        await asyncio.sleep(0.3)
        assert held._rooms == {room: there}
        wire.accept()
        await done
        assert await store.get(f"code_{room}") == b"one two"
        await eventually(lambda: not held._rooms)


async def test_closing_takes_to_redis_what_waits(
    redis_server: Redis, store: redis.asyncio.Redis, room: str
) -> None:
    async with rooms(redis_server.port) as held:
        there = await held.acquire(room)
        there.texts.change(
            there.enter("m", somebody("m"), Silent(), Habit()), "typed at the last moment"
        )
    assert await store.get(f"code_{room}") == b"typed at the last moment"


async def test_a_room_whose_upkeep_fails_does_not_end_the_others(
    redis_server: Redis, room: str, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    checked: list[str] = []

    def check(self: Room) -> None:
        checked.append(self.name)
        if self.name.endswith("bad"):
            raise RuntimeError("a mistake")

    monkeypatch.setattr(Room, "check", check)
    async with rooms(redis_server.port, check_interval=0.1) as held:
        for name in (f"{room}-bad", f"{room}-good"):
            await held.acquire(name)
        await eventually(lambda: checked.count(f"{room}-good") > 3)
        assert "a mistake" in caplog.text
        for name in (f"{room}-bad", f"{room}-good"):
            held.release(name)


async def test_reports_of_presence_arrive_in_the_order_in_which_things_happened(
    redis_server: Redis, room: str
) -> None:
    """Two connections carry commands: of two reports under way the older could arrive last."""
    async with rooms(redis_server.port) as here, rooms(redis_server.port, node="o") as there:
        mine, theirs = await here.acquire(room), await there.acquire(room)
        for number in range(30):
            member = mine.enter(f"m{number}", somebody("m"), Silent(), Habit())
            await asyncio.sleep(0)
            if number % 3:
                mine.texts.leave(member, may_return=False)
        assert len(mine.presence.people()) == 10
        await eventually(lambda: theirs.presence.people() == mine.presence.people())
        for held in (here, there):
            held.release(room)


async def test_the_other_nodes_hear_of_members_that_leave_just_before_their_node_closes(
    redis_server: Redis, room: str
) -> None:
    """Without that report they would show the members for some seconds after the node is gone."""
    names = [f"{room}-{number}" for number in range(3)]
    async with proxy(redis_server.port, delay=0.02) as wire, rooms(redis_server.port) as here:
        theirs = [await here.acquire(name) for name in names]
        async with rooms(wire.port, node="closes") as closes:
            members = []
            for name in names:
                mine = await closes.acquire(name)
                members.append((mine, mine.enter("m", somebody("m"), Silent(), Habit())))
            await eventually(lambda: all(each.presence.people() for each in theirs))
            for mine, member in members:
                mine.texts.leave(member, may_return=True)
        await eventually(lambda: not any(each.presence.people() for each in theirs), within=2.0)
        for name in names:
            here.release(name)


async def test_a_room_that_was_ended_makes_way_for_the_next_of_its_name(
    redis_server: Redis, room: str
) -> None:
    """The grace time of the one that was ended must not end the other."""
    async with rooms(redis_server.port, grace=0.3) as held:
        line = Silent()
        first = await held.acquire(room)
        first.texts.change(first.enter("m", somebody("m"), line, Habit()), "one")
        await first.stored()
        held.release(room)
        assert await Directory(held._store).end(room, 1800)
        await eventually(lambda: line.told_of_end == 1)
        with pytest.raises(RoomClosed):
            first.enter("n", somebody("n"), Silent(), Habit())
        second = await held.acquire(room)
        assert second is not first and not second.exists
        await asyncio.sleep(0.4)
        assert held._rooms == {room: second}
        held.release(room)


async def test_rooms_that_were_let_go_leave_no_document_for_the_collector_to_find(
    redis_server: Redis, room: str
) -> None:
    """The collector goes through everything seldom: what is large must go without it."""

    def documents() -> int:
        return sum(isinstance(thing, Replica) for thing in gc.get_objects())

    async def visit(held: Rooms, number: int) -> None:
        name = f"{room}-{number}"
        there = await held.acquire(name)
        member = there.enter("m", somebody("m"), Silent(), Habit())
        await there.texts.recognise(member, "text")
        there.texts.change(member, "text")
        await there.stored()
        reader = there.join_yjs("y", somebody("y"), Silent())
        await there.yjs.change(reader, _made_of("more"))
        if (stored := there.yjs.stored()) is not None:  # on a busy machine it is stored already
            await stored
        there.texts.leave(member, may_return=True)
        there.yjs.leave(reader)
        held.release(name)

    async with rooms(redis_server.port, grace=0.0) as held:
        await visit(held, 0)
        await eventually(lambda: not held._rooms and not held._closing)
        gc.collect()
        gc.disable()
        try:
            before = documents()
            for number in range(1, 20):
                await visit(held, number)
            await eventually(lambda: not held._rooms and not held._closing)
            assert documents() == before
        finally:
            gc.enable()


def _made_of(text: str) -> bytes:
    return Replica().edit(Delta.of(text))
