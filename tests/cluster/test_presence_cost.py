"""Presence in a room that many enter and leave: what Redis and the members get is bounded."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence

import redis.asyncio

from collab.merge.lateness import Habit
from collab.rooms.person import Person
from collab.rooms.presence import (
    MAX_LISTED_PER_SECOND,
    MAX_REPORTED_PER_SECOND,
    PEOPLE_INTERVAL,
    REPORT_INTERVAL,
)
from collab.rooms.room import Room
from collab.store.channel import REPORT, PresenceReport, parse
from collab.store.keys import room_channel
from tests.cluster.registries import Silent, rooms, somebody
from tests.support.clients import eventually
from tests.support.processes import Redis
from tests.support.proxy import proxy

RESIDENTS, VISITS, SECONDS = 40, 120, 2.0


async def visit(there: Room) -> None:
    """Enter a room and leave it, again and again, for a while."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in range(VISITS):
        line = Silent()
        member = there.enter(f"v{number}", somebody(f"v{number}"), line, Habit())
        await asyncio.sleep(0)
        there.texts.leave(member, may_return=False)
        await asyncio.sleep(max(0.0, (number + 1) * SECONDS / VISITS - (loop.time() - began)))


async def reports_of(heard: redis.asyncio.client.PubSub) -> list[PresenceReport]:
    """Return the reports that were published up to now."""
    reports = []
    while message := await heard.get_message(timeout=0.1):
        if message["type"] == "message" and message["data"].startswith(REPORT):
            report = parse(message["data"])
            assert isinstance(report, PresenceReport)
            reports.append(report)
    return reports


async def test_members_that_come_and_go_cost_ten_reports_a_second_and_few_lists(
    redis_server: Redis, store: redis.asyncio.Redis, room: str
) -> None:
    loop = asyncio.get_running_loop()
    async with (
        rooms(redis_server.port) as here, rooms(redis_server.port, node="o") as there,
        store.pubsub() as heard,
    ):  # fmt: skip
        mine, theirs = await here.acquire(room), await there.acquire(room)
        lines = [Silent() for _ in range(RESIDENTS)]
        for number, line in enumerate(lines):
            mine.enter(f"m{number}", somebody(f"m{number}"), line, Habit())
        witness = Silent()
        theirs.enter("w", somebody("w"), witness, Habit())
        await eventually(
            lambda: len(mine.presence.people()) == len(theirs.presence.people()) == RESIDENTS + 1
        )
        await heard.subscribe(room_channel(room))
        assert await heard.get_message(timeout=5.0), "Redis has not confirmed the subscription"
        before, began = lines[0].told_of_people, loop.time()
        await visit(mine)
        await eventually(lambda: len(theirs.presence.people()) == RESIDENTS + 1)
        took = loop.time() - began
        assert lines[0].told_of_people - before <= took / PEOPLE_INTERVAL + 2
        assert theirs.presence.people() == mine.presence.people()
        reports = await reports_of(heard)
        reports = [report for report in reports if report.node == "n"]
        assert reports and len(reports) <= took / REPORT_INTERVAL + 2
        differences = [report for report in reports if not report.full]
        assert len(reports) - len(differences) <= 2, "a heartbeat, or an answer to the witness"
        assert sum(len(report.members) for report in differences) <= VISITS
        for held in (here, there):
            held.release(room)


async def test_a_member_that_is_alone_on_a_node_and_comes_and_goes_makes_others_report_seldom(
    redis_server: Redis, store: redis.asyncio.Redis, room: str
) -> None:
    """Each time it enters, its node asks the others for all of their members."""
    loop = asyncio.get_running_loop()
    async with (
        rooms(redis_server.port) as here, rooms(redis_server.port, node="o") as there,
        store.pubsub() as heard,
    ):  # fmt: skip
        mine, theirs = await here.acquire(room), await there.acquire(room)
        for number in range(RESIDENTS):
            mine.enter(f"m{number}", somebody(f"m{number}"), Silent(), Habit())
        await heard.subscribe(room_channel(room))
        assert await heard.get_message(timeout=5.0), "Redis has not confirmed the subscription"
        began = loop.time()
        await visit(theirs)
        took = loop.time() - began
        full = [each for each in await reports_of(heard) if each.full and each.node == "n"]
        assert 1 <= len(full) <= 2 + took * MAX_REPORTED_PER_SECOND / RESIDENTS
        await eventually(
            lambda: len(theirs.presence.people()) == len(mine.presence.people()) == RESIDENTS
        )
        for held in (here, there):
            held.release(room)


async def test_the_first_change_in_a_quiet_room_is_passed_on_at_once(
    redis_server: Redis, room: str
) -> None:
    async with rooms(redis_server.port) as here:
        there = await here.acquire(room)
        line = Silent()
        there.enter("m", somebody("m"), line, Habit())
        await asyncio.sleep(1.2 * PEOPLE_INTERVAL)
        assert line.told_of_people == 1
        there.enter("n", somebody("n"), Silent(), Habit())
        assert line.told_of_people == 2
        later = Silent()
        there.enter("o", somebody("o"), later, Habit())
        there.enter("p", somebody("p"), Silent(), Habit())
        assert line.told_of_people == 2
        assert later.told_of_people == 1, "a member that enters gets the list at once"
        await eventually(lambda: line.told_of_people == 3)
        assert len(there.presence.people()) == 4
        here.release(room)


async def test_a_node_that_missed_reports_asks_for_them_when_it_hears_again(
    redis_server: Redis, room: str
) -> None:
    """A difference that is lost would otherwise be missing until the next full report."""
    async with (
        proxy(redis_server.port) as wire,
        rooms(redis_server.port, presence_interval=10.0) as here,
        rooms(wire.port, node="far", presence_interval=10.0) as far,
    ):
        mine, theirs = await here.acquire(room), await far.acquire(room)
        stays = mine.enter("m", somebody("m"), Silent(), Habit())
        leaves = mine.enter("n", somebody("n"), Silent(), Habit())
        theirs.enter("o", somebody("o"), Silent(), Habit())
        await eventually(lambda: len(theirs.presence.people()) == len(mine.presence.people()) == 3)
        wire.refuse()
        mine.texts.leave(leaves, may_return=False)
        mine.enter("p", somebody("p"), Silent(), Habit())
        await asyncio.sleep(2 * REPORT_INTERVAL)
        wire.accept()
        await eventually(lambda: theirs.presence.people() == mine.presence.people(), within=5.0)
        assert stays.id in {person.id for person in theirs.presence.people()}
        for held in (here, far):
            held.release(room)


async def test_a_member_that_leaves_a_closed_room_is_not_reported_any_more(
    redis_server: Redis, room: str
) -> None:
    """A room that was ended may be closed, and freed, before the last of its members has left."""
    loop = asyncio.get_running_loop()
    problems: list[dict[str, object]] = []
    async with rooms(redis_server.port) as here:
        there = await here.acquire(room)
        member = there.enter("m", somebody("m"), Silent(), Habit())
        here._drop_ended(there)
        await asyncio.gather(*here._closing)
        loop.set_exception_handler(lambda loop, problem: problems.append(problem))
        try:
            there.texts.leave(member, may_return=False)
            here.release(room)
            del there, member
            gc.collect()
            await asyncio.sleep(2 * REPORT_INTERVAL)
            gc.collect()
        finally:
            loop.set_exception_handler(None)
    assert not problems


class Listed(Silent):
    """A member's screen that shows the list of people."""

    def __init__(self, there: Room, encoded: list[str]) -> None:
        self._there = there
        self._encoded = encoded
        self.shown = ""

    def presence_due(self) -> None:
        super().presence_due()
        self.shown = self._there.presence.message(self._encode)

    def _encode(self, people: Sequence[Person]) -> str:
        self._encoded.append(" ".join(person.id for person in people))
        return self._encoded[-1]


async def test_a_list_of_hundreds_is_encoded_a_few_times_a_second_and_all_get_the_last(
    redis_server: Redis, room: str
) -> None:
    """Each of 300 who come would get a list of its own, and those who are there another one."""
    loop = asyncio.get_running_loop()
    async with rooms(redis_server.port, max_members_per_room=1000) as here:
        there = await here.acquire(room)
        encoded: list[str] = []
        lines = [Listed(there, encoded) for _ in range(300)]
        began = loop.time()
        for number, line in enumerate(lines):
            there.enter(f"m{number:03}", somebody(f"m{number:03}"), line, Habit())
            await asyncio.sleep(0.002)
        everybody = " ".join(f"m{number:03}" for number in range(300))
        await eventually(lambda: all(line.shown == everybody for line in lines), within=20.0)
        took = loop.time() - began
        small = 50  # while the room is small, who comes gets the newest list at once
        assert len(encoded) <= small + took / PEOPLE_INTERVAL + 3
        lists = sum(line.told_of_people for line in lines)
        assert lists * 300 / 2 <= MAX_LISTED_PER_SECOND * took + 300 * 300
        here.release(room)
