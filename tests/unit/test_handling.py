"""How the messages of one client are handled at its expense."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from math import inf
from typing import Any, TypeVar

import pytest

from collab.budget import Budgets
from collab.config import Config
from collab.scheduler import SLICE, Scheduler
from collab.wire import handling as handling_module
from collab.wire.handling import Handling, Timed

T = TypeVar("T")


def work(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


class Clock:
    """A clock that moves only while messages are handled, however busy the machine is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(handling_module, "monotonic", self)

    def __call__(self) -> float:
        return self.now

    def work(self, seconds: float) -> None:
        self.now += seconds


async def until_handled(order: list[str], count: int) -> None:
    while len(order) < count:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0)


async def started(work: Coroutine[Any, Any, T]) -> T:
    timed = Timed(work)
    timed.start()
    return await timed


async def test_only_the_time_is_counted_in_which_the_work_runs() -> None:
    async def working() -> str:
        work(0.02)
        await asyncio.sleep(0.1)
        work(0.02)
        return "done"

    timed = Timed(working())
    timed.start()
    assert not timed.is_done
    assert await timed == "done"
    assert 0.04 <= timed.busy < 0.1


async def test_errors_and_cancellations_pass_through() -> None:
    async def failing() -> None:
        await asyncio.sleep(0)
        raise KeyError

    with pytest.raises(KeyError):
        await started(failing())
    cleaned = []

    async def waiting() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    async def outer() -> None:
        await started(waiting())

    task = asyncio.create_task(outer())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned


async def test_a_time_out_inside_the_work_is_an_ordinary_one() -> None:
    async def patient() -> str:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(60)
        except TimeoutError:
            return "too late"
        return ""

    assert await started(patient()) == "too late"


async def test_many_messages_at_once_let_others_have_a_turn() -> None:
    handling = Handling(Budgets(Config()).open("10.0.0.1"))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def message() -> None:
        work(SLICE / 4)

    task = asyncio.create_task(others())
    for _ in range(40):
        await handling.handle(message(), 0)
    task.cancel()
    assert turns >= 8


async def test_a_client_over_its_budget_waits_before_its_next_message() -> None:
    handling = Handling(Budgets(Config(max_busy=0.01)).open("10.0.0.1"))

    async def message() -> None:
        work(0.022)

    began = time.perf_counter()
    await handling.handle(message(), 0)
    assert time.perf_counter() - began >= 0.2


@pytest.mark.parametrize("way", ["waiting for a turn", "begun where it arrives", "handled there"])
async def test_a_client_does_not_pay_for_the_time_for_which_the_node_stood_still_in_its_message(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    budgets = Budgets(Config(), clock)
    meter = budgets.open("10.0.0.1")
    handling = Handling(meter)
    task = asyncio.current_task()
    assert task is not None

    async def message() -> None:
        clock.work(20.0)  # the process was stopped

    if way == "waiting for a turn":
        async with asyncio.timeout(0.5):
            await handling.handle(message(), 0)
    elif way == "begun where it arrives":
        begun = await in_no_task(lambda: handling.begin(message(), task))
        assert begun is None
    else:
        assert handling.count(20.0) is None
    assert meter.wait(clock.now) <= 0.1
    assert budgets.node.overdraft(clock.now) <= 0.0


async def in_no_task(call: Callable[[], T]) -> T:
    """Return what ``call`` returns in a callback of the event loop."""
    done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: done.set_result(call()))
    return await done


async def test_who_has_used_least_is_next_when_many_wait() -> None:
    scheduler = Scheduler()
    order: list[str] = []

    async def message(name: str, used: float, *, queued: int = 0) -> None:
        await scheduler.turn(used, SLICE, queued=queued)
        order.append(name)
        scheduler.add(SLICE)

    scheduler.add(SLICE)
    assert not scheduler.is_free
    costly = [asyncio.create_task(message(f"costly {n}", 10.0 + n)) for n in range(20)]
    await asyncio.sleep(0)
    typist = asyncio.create_task(message("typist", 1.0))
    await asyncio.gather(*costly, typist)
    assert order.index("typist") <= 1
    assert [name for name in order if name != "typist"] == [f"costly {n}" for n in range(20)]
    await asyncio.sleep(0)
    assert scheduler.is_free


async def test_a_client_without_a_queue_does_not_wait_for_a_hundred_with_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each of the hundred uses little, but always has another message ready."""
    clock = Clock(monkeypatch)
    budgets = Budgets(Config(), clock)
    order: list[str] = []

    async def message(name: str) -> None:
        clock.work(0.001)
        order.append(name)

    async def flood() -> None:
        handling = Handling(budgets.open("10.0.0.1"))
        for queued in reversed(range(10)):
            await handling.handle(message("flood"), queued)

    floods = [asyncio.create_task(flood()) for _ in range(100)]
    typist = Handling(budgets.open("10.0.0.1"))
    for turn in range(1, 6):
        await until_handled(order, 20 * turn)
        handled = len(order)
        await typist.handle(message("typist"), 0)
        assert order.index("typist", handled) - handled < 25
    assert len(order) < 500
    await asyncio.gather(*floods)


async def test_a_client_does_not_wait_for_hundreds_of_new_connections_from_one_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each of these has used little, but their address much."""
    clock = Clock(monkeypatch)
    budgets = Budgets(Config(), clock)
    order: list[str] = []

    async def message(name: str) -> None:
        clock.work(0.001)
        order.append(name)

    async def arrive() -> None:
        meter = budgets.open("10.0.0.1")
        meter.charge(budgets.cost(0.001), budgets.clock())  # for what it has sent
        await Handling(meter).handle(message("arrival"), 0)

    arriving = asyncio.gather(*(arrive() for _ in range(300)))
    typist = Handling(budgets.open("10.0.0.2"))
    await until_handled(order, 20)
    handled = len(order)
    for queued in (2, 1, 0):  # PONGs are before and behind a change
        await typist.handle(message("typist"), queued)
    assert len(order) - handled < 60
    await arriving


async def test_a_typists_pongs_and_the_change_behind_them_take_one_turn() -> None:
    budgets = Budgets(Config())
    handling = Handling(budgets.open("10.0.0.1"))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await budgets.scheduler.turn(inf, SLICE, queued=0)
            budgets.scheduler.add(SLICE)
            turns += 1

    async def message() -> None:
        pass

    busy = [asyncio.create_task(others()) for _ in range(2)]
    await asyncio.sleep(0)
    for _ in range(5):
        before = turns
        for queued in (2, 1, 0):
            await handling.handle(message(), queued)
        assert turns - before <= 2
    await handling.handle(message(), 0)
    before = turns
    await handling.handle(message(), 0)
    assert turns > before  # what is left of a turn does not last
    for task in busy:
        task.cancel()


async def test_a_turn_of_a_client_that_has_gone_is_passed_on() -> None:
    scheduler = Scheduler()
    scheduler.add(SLICE)
    gone = scheduler.turn(0.0, SLICE, queued=0)
    next_one = scheduler.turn(1.0, SLICE, queued=0)
    await asyncio.sleep(0)
    gone.cancel()
    async with asyncio.timeout(1):
        await next_one


async def test_short_messages_share_a_round_of_the_loop() -> None:
    scheduler = Scheduler()
    scheduler.add(SLICE)
    turns = [scheduler.turn(0.0, SLICE / 10, queued=0) for _ in range(10)]
    for _ in range(3):
        await asyncio.sleep(0)
    assert all(turn.done() for turn in turns)


async def test_the_arrival_of_a_message_is_known_until_its_first_wait_and_not_between_two() -> None:
    """What the message is made to wait for later is no delay of the node."""
    budgets = Budgets(Config())
    handling, scheduler = Handling(budgets.open("10.0.0.1")), budgets.scheduler
    seen: list[float] = []

    async def message() -> None:
        seen.append(scheduler.arrived)
        await asyncio.sleep(0)
        seen.append(scheduler.arrived)

    async def fault() -> None:
        raise ValueError

    await handling.handle(message(), 0, 7.0)
    with pytest.raises(ValueError):
        await handling.handle(fault(), 0, 8.0)
    assert [*seen, scheduler.arrived] == [7.0, 0.0, 0.0]
