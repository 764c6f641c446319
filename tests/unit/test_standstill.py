"""A node that stood still holds its clients back until it has heard the other nodes."""

from __future__ import annotations

import asyncio
import time
from asyncio import current_task
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic

import pytest

from collab.wire import standstill as module
from collab.wire.standstill import Standstill


class Client:
    """A connection that does what `Connection` does with a standstill, and records it."""

    def __init__(self, standstill: Standstill) -> None:
        self.standstill = standstill
        self.record: list[str] = []
        self.task: asyncio.Task[object] | None = None

    def stop_for_standstill(self) -> None:
        self.record.append("stop")

    def go_on_after_standstill(self) -> None:
        self.record.append("go on")

    def data_received(self, data: bytes) -> None:
        if monotonic() > self.standstill.late_at:
            self.standstill.hold_back(self, data)
            return
        self.task = current_task()
        if data == b"bad":
            raise ValueError("this client's data is bad")
        self.record.append(data.decode())


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TICK", 0.01)
    monkeypatch.setattr(module, "STOOD_STILL", 0.05)


def stand_still(seconds: float = 0.1) -> None:
    time.sleep(seconds)


@asynccontextmanager
async def watching(
    catch_up: Callable[[], Awaitable[None]],
) -> AsyncIterator[tuple[Standstill, Client, Client]]:
    standstill = Standstill()
    clients = Client(standstill), Client(standstill)
    standstill.connections = lambda: clients
    standstill.open(catch_up)
    yield standstill, *clients
    await standstill.close()


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not check():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.001)


async def test_what_arrives_after_a_standstill_is_read_when_the_node_has_caught_up() -> None:
    caught_up = asyncio.Event()

    async def catch_up() -> None:
        await caught_up.wait()

    async with watching(catch_up) as (standstill, one, two):
        one.data_received(b"before")
        stand_still()
        one.data_received(b"late")
        two.data_received(b"later")
        assert standstill.holding
        assert one.record == ["before", "stop"] and two.record == ["stop"]
        caught_up.set()
        await until(lambda: one.record == ["before", "stop", "late", "go on"])
        assert two.record == ["stop", "later", "go on"] and not standstill.holding
        one.data_received(b"after")
        assert one.record[-1] == "after"


async def test_what_came_over_a_connection_that_has_ended_meanwhile_is_dropped() -> None:
    caught_up = asyncio.Event()

    async def catch_up() -> None:
        await caught_up.wait()

    async with watching(catch_up) as (standstill, one, two):
        stand_still()
        one.data_received(b"sent again elsewhere")
        two.data_received(b"later")
        standstill.connections = lambda: [two]
        caught_up.set()
        await until(lambda: two.record == ["stop", "later", "go on"])
        assert one.record == ["stop"]


async def test_what_was_held_back_is_read_outside_of_tasks_as_the_event_loop_reads() -> None:
    """A message is handled in the name of its client's task, which no other task can do."""
    caught_up = asyncio.Event()

    async def catch_up() -> None:
        await caught_up.wait()

    async with watching(catch_up) as (_, one, two):
        stand_still()
        one.task = current_task()
        one.data_received(b"late")
        caught_up.set()
        await until(lambda: two.record == ["stop", "go on"])
        assert one.record == ["stop", "late", "go on"] and one.task is None


async def test_a_client_whose_data_cannot_be_handled_does_not_keep_others_from_being_read() -> None:
    problems: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: problems.append(context.get("exception")))

    async def catch_up() -> None:
        await asyncio.sleep(0)

    async with watching(catch_up) as (_, one, two):
        stand_still()
        one.data_received(b"bad")
        two.data_received(b"late")
        await until(lambda: two.record == ["stop", "late", "go on"])
        assert one.record == ["stop", "go on"]
    assert [type(problem) for problem in problems] == [ValueError]


async def test_the_timer_notices_a_standstill_if_it_is_first() -> None:
    caught_up = asyncio.Event()

    async def catch_up() -> None:
        await caught_up.wait()

    async with watching(catch_up) as (standstill, one, _):
        await asyncio.sleep(0)
        stand_still()
        await until(lambda: standstill.holding)
        one.data_received(b"late")
        assert one.record == ["stop"]
        caught_up.set()
        await until(lambda: one.record == ["stop", "late", "go on"])


async def test_a_node_that_cannot_catch_up_reads_its_clients_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def catch_up() -> None:
        raise OSError("no answer")

    async with watching(catch_up) as (_, one, _):
        stand_still()
        one.data_received(b"late")
        await until(lambda: one.record == ["stop", "late", "go on"])
    assert "has not caught up" in caplog.text


async def test_a_short_delay_is_no_standstill() -> None:
    async def catch_up() -> None:
        raise AssertionError("it is not asked")

    async with watching(catch_up) as (standstill, one, _):
        stand_still(0.03)
        one.data_received(b"in time")
        await asyncio.sleep(0.03)
        assert one.record == ["in time"] and not standstill.holding
