"""Long work in slices, on a node that stands still in the middle of it."""

from __future__ import annotations

import asyncio

import pytest

from collab.rooms import slices as module
from collab.rooms.search import MAX_SEARCH_SECONDS
from collab.rooms.slices import LONGEST_SLICE, Slices


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "perf_counter", clock)
    return clock


async def test_work_in_which_the_node_stood_still_goes_on_soon_and_has_not_used_its_time(
    clock: Clock,
) -> None:
    slices = Slices()
    clock.now += 20.0  # the process was stopped
    async with asyncio.timeout(2 * LONGEST_SLICE):
        await slices.pause()
    assert slices.spent == LONGEST_SLICE < MAX_SEARCH_SECONDS


async def test_others_get_as_much_time_as_a_slice_took(clock: Clock) -> None:
    slices = Slices()
    clock.now += 0.05
    began = asyncio.get_running_loop().time()
    await slices.pause()
    assert asyncio.get_running_loop().time() - began >= 0.045
    assert slices.spent == pytest.approx(0.05)
