"""Grants of connected clients: the warning, the end, and a new grant before it."""

from __future__ import annotations

import asyncio
import time

import pytest

from collab.access import expiry
from collab.access.expiry import Expiry
from collab.access.grant import Grant


class Watched:
    """What a client is told."""

    def __init__(self) -> None:
        self.told: list[float | str] = []
        self.ended = asyncio.Event()
        self.expiry = Expiry(self.told.append, self._expired)

    def _expired(self) -> None:
        self.told.append("expired")
        self.ended.set()

    def watch(self, seconds: float | None) -> None:
        expires = None if seconds is None else time.time() + seconds
        self.expiry.watch(Grant("ann", "Ann", (), expires, "digest"))


async def test_a_client_is_warned_and_then_its_token_has_expired(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(expiry, "WARNING", 0.1)
    client = Watched()
    client.watch(0.2)
    async with asyncio.timeout(5):
        await client.ended.wait()
    warned, end = client.told
    assert warned == pytest.approx(0.1, abs=0.05) and end == "expired"


async def test_a_client_that_comes_late_is_warned_at_once() -> None:
    client = Watched()
    client.watch(30)
    assert client.told == []
    await asyncio.sleep(0.01)
    assert client.told == [pytest.approx(30, abs=1)]
    client.expiry.close()


async def test_a_new_grant_takes_the_place_of_the_old_one() -> None:
    client = Watched()
    client.watch(0.05)
    client.watch(9000)
    await asyncio.sleep(0.1)
    assert client.told == []
    client.watch(None)
    client.watch(-1)
    async with asyncio.timeout(5):
        await client.ended.wait()
    assert client.told == ["expired"]


async def test_nothing_is_told_after_the_end_of_a_connection() -> None:
    client = Watched()
    client.watch(0.01)
    client.expiry.close()
    await asyncio.sleep(0.05)
    assert client.told == []


async def test_the_clock_is_read_again_during_a_long_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer does not see that the clock is set, or that the machine sleeps."""
    monkeypatch.setattr(expiry, "MAX_SLEEP", 0.01)
    client = Watched()
    client.watch(9000)
    await asyncio.sleep(0.02)
    late = time.time() + 9001
    monkeypatch.setattr(time, "time", lambda: late)
    async with asyncio.timeout(5):
        await client.ended.wait()
    assert client.told == ["expired"]
