"""Who is due is served in order, at a bounded cost a second, and nobody waits twice."""

from __future__ import annotations

import asyncio

import pytest

from collab.rooms.pacing import Pacer
from tests.support.clients import eventually

RATE, BURST = 1000.0, 10.0


class Served(list[int]):
    """Who was served, in order."""


@pytest.fixture
async def served() -> Served:
    return Served()


async def test_few_are_served_at_once(served: Served) -> None:
    pacer = Pacer(served.append, RATE, BURST)
    assert all(pacer.due(who) for who in range(int(BURST)))
    assert served == list(range(int(BURST))) and not len(pacer)


async def test_many_are_served_in_order_at_the_rate(served: Served) -> None:
    loop = asyncio.get_running_loop()
    pacer = Pacer(served.append, RATE, BURST)
    began = loop.time()
    for who in range(210):
        pacer.due(who)
    assert len(served) < 20
    await eventually(lambda: len(served) == 210)
    assert served == list(range(210))
    assert loop.time() - began >= (210 - BURST - 2) / RATE


async def test_who_is_due_again_while_waiting_is_served_once_and_keeps_its_place(
    served: Served,
) -> None:
    pacer = Pacer(served.append, RATE, 0.0)
    for who in (0, 1, 2, 1, 2, 1):
        pacer.due(who)
    await eventually(lambda: not len(pacer))
    assert served == [0, 1, 2]
    assert not pacer.due(3) or served[-1] == 3


async def test_nobody_overtakes_those_who_wait(served: Served) -> None:
    """After a pause the budget is full again, but who waited is first."""
    pacer = Pacer(served.append, RATE, 1.0)
    for who in range(5):
        pacer.due(who)
    await eventually(lambda: len(served) >= 3)
    pacer.due(99)
    await eventually(lambda: not len(pacer))
    assert served == [0, 1, 2, 3, 4, 99]


async def test_what_costs_more_is_served_more_seldom(served: Served) -> None:
    loop = asyncio.get_running_loop()
    pacer = Pacer(served.append, RATE, 0.0)
    began = loop.time()
    for who in range(4):
        pacer.due(who, cost=50.0)
    await eventually(lambda: len(served) == 4)
    assert loop.time() - began >= 0.14


async def test_after_its_end_nobody_is_served(served: Served) -> None:
    pacer = Pacer(served.append, RATE, 0.0)
    for who in range(3):
        pacer.due(who)
    pacer.close()
    pacer.due(3)
    await asyncio.sleep(0.03)
    assert served == [0] and not len(pacer)
