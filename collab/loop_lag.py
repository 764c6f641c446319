"""How late the event loop is: what keeps it busy delays everything that the node does."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Final

from collab.counters import Histogram

INTERVAL: Final = 0.25
"""Seconds between two timers: a stop of that length is always seen, and four a second cost an idle
node a ten-thousandth of a core."""


class LoopLag:
    """Counts into ``histogram`` by how many seconds a timer is late, four times a second."""

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Begin to measure."""
        self._due = monotonic() + INTERVAL
        self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._count)

    def _count(self) -> None:
        self._histogram.observe(max(0.0, monotonic() - self._due))
        self.open()

    def close(self) -> None:
        """Stop measuring."""
        if self._timer is not None:
            self._timer.cancel()
