"""Token buckets, whose unit is a second's worth of what one connection may use of a node."""

from __future__ import annotations

from math import inf
from typing import Final

BURST: Final = 2.0
"""Seconds' worth of a budget that may be used at once."""
NODE_TIMES: Final = 3.0
"""The budget of the node, in budgets of one connection."""


class Budget:
    """A token bucket, whose unit is a second's worth of what one connection may use.

    ``times`` is how many times as much as one connection it holds and gets. ``full_at`` is when it
    will be full again if nothing is charged until then. Times are monotonic seconds.
    """

    __slots__ = ("_share", "full_at")

    def __init__(self, times: float = 1.0) -> None:
        self._share = 1 / times
        self.full_at = -inf

    def charge(self, cost: float, now: float) -> None:
        """Charge ``cost`` (`Budgets.cost`)."""
        self.full_at = max(now, self.full_at) + cost * self._share

    def full_after(self, cost: float, now: float) -> float:
        """Return when the budget would be full again after ``cost`` more."""
        return max(now, self.full_at) + cost * self._share

    def overdraft(self, now: float) -> float:
        """Return after how many seconds the budget is no longer overdrawn; negative if it isn't."""
        return self.full_at - now - BURST


class NodeBudget(Budget):
    """The budget of the node. ``used`` is how many seconds of it were charged, ever."""

    __slots__ = ("used",)

    def __init__(self) -> None:
        super().__init__(NODE_TIMES)
        self.used = 0.0

    def charge(self, cost: float, now: float) -> None:
        """Charge ``cost``, and count it."""
        self.used += cost * self._share
        super().charge(cost, now)
