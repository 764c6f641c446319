"""Serve the many members of a big room one after another, at a bounded cost a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

SLICE: Final = 0.01
"""Seconds between two groups of those who wait: others wait only while one group is served."""


class Pacer(Generic[T]):
    """Calls ``serve`` with each who is due, in order, at a total cost of ``per_second``.

    ``burst`` is how much may be spent at once after a pause: a room that needs less is not slowed.
    Nobody waits twice: whoever is due again while waiting keeps its place. ``serve`` must not refer
    to what owns the pacer, which would be a cycle. This is the generic cell rate algorithm.
    """

    def __init__(self, serve: Callable[[T], object], per_second: float, burst: float) -> None:
        self._serve = serve
        self._price = 1 / per_second
        self._ahead = burst * self._price
        self._clock = asyncio.get_running_loop().time
        self._spent_until = 0.0
        self._waiting: dict[T, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def due(self, who: T, cost: float = 1.0) -> bool:
        """Serve ``who`` as soon as ``cost`` can be spent; return whether that was at once."""
        if self._closed:
            return False
        if not self._waiting and self._spend(cost, self._clock()):
            self._serve(who)
            return True
        self._waiting.setdefault(who, cost)
        self._wake_later()
        return False

    def close(self) -> None:
        """Serve nobody any more."""
        self._closed = True
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _spend(self, cost: float, now: float) -> bool:
        """Spend ``cost``, if not too much is spent already; return whether it is."""
        if self._spent_until - now > self._ahead:
            return False
        self._spent_until = max(now, self._spent_until) + cost * self._price
        return True

    def _wake_later(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SLICE, self._wake)

    def _wake(self) -> None:
        self._timer = None
        now = self._clock()
        while self._waiting:
            who = next(iter(self._waiting))
            if not self._spend(self._waiting[who], now):
                self._wake_later()
                return
            del self._waiting[who]
            self._serve(who)
