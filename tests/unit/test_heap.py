"""Memory is given back to the system after clients were let go, also after the last of many."""

from __future__ import annotations

import asyncio

import pytest

from collab.wire import heap


async def test_each_client_that_was_let_go_is_followed_by_a_trim(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(heap, "TRIM_DELAY", 0.05)
    trims: list[int] = []
    present = heap.Heap()
    monkeypatch.setattr(present, "_trim", trims.append)
    present.trim_soon()
    await asyncio.sleep(0.03)
    for _ in range(2):
        present.trim_soon()  # too late to be ended before the first trim
    assert trims == []
    await asyncio.sleep(0.2)
    assert trims == [0, 0]
    present.trim_soon()
    await asyncio.sleep(0.1)
    assert trims == [0, 0, 0]
