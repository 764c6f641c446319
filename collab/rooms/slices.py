"""Long work on the event loop, divided into slices."""

from __future__ import annotations

import asyncio
from time import thread_time
from typing import Final

from collab.merge.steps import Result, Steps

SLICE_SECONDS: Final = 0.005
"""Seconds of long work at a stretch, if its steps are shorter."""


class Slices:
    """The slices of one piece of long work.

    Between two slices everybody else gets as much time as a slice took. To yield once would not be
    enough: a keystroke takes several turns of the event loop from one client to another.

    Seconds of work are those of the processor. A node may stand still (SIGSTOP, a virtual machine
    that was paused), or share the processor with others: then less work would be done in a time by
    the clock, and a search would give up too early.
    """

    __slots__ = ("_begun", "spent")

    def __init__(self) -> None:
        self._begun = thread_time()
        self.spent = 0.0
        """The seconds that all slices took, except the present one."""

    async def pause(self) -> None:
        """Give time to others if the slice is over. Call this after each step of the work."""
        taken = thread_time() - self._begun
        if taken > SLICE_SECONDS:
            self.spent += taken
            await asyncio.sleep(taken)
            self._begun = thread_time()


async def in_slices(steps: Steps[Result]) -> Result:
    """Take all steps of long work in slices, and return its result."""
    slices = Slices()
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
        await slices.pause()
