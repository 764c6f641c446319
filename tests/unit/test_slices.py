"""Long work in slices, on a node that stands still in the middle of it."""

from __future__ import annotations

import asyncio
import time

import pytest

from collab.rooms import slices as module
from collab.rooms.slices import Slices


async def test_time_in_which_the_node_had_no_processor_is_no_work() -> None:
    """It was stopped, or other processes had the processor."""
    slices = Slices()
    time.sleep(0.5)  # noqa: ASYNC251 - this is the standstill
    async with asyncio.timeout(0.1):
        await slices.pause()
    assert slices.spent < 0.01


async def test_others_get_as_much_time_as_a_slice_took(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(module, "thread_time", lambda: now)
    slices = Slices()
    now += 0.05
    began = asyncio.get_running_loop().time()
    await slices.pause()
    assert asyncio.get_running_loop().time() - began >= 0.045
    assert slices.spent == pytest.approx(0.05)
