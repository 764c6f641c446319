"""Long work on the event loop, divided into slices."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Final

from collab.merge.steps import Result, Steps

SLICE_SECONDS: Final = 0.005
"""Seconds of long work at a stretch, if its steps are shorter."""
LONGEST_SLICE: Final = 0.25
"""Seconds that a slice counts for at most: steps that cannot be divided take a tenth of that. What
seems longer was no work: the node stood still then (SIGSTOP, a virtual machine that was paused).
To pause for as long would hold up the room, or all searches of the node, a second time."""


class Slices:
    """The slices of one piece of long work.

    Between two slices everybody else gets as much time as a slice took. To yield once would not be
    enough: a keystroke takes several turns of the event loop from one client to another.
    """

    __slots__ = ("_begun", "_spent")

    def __init__(self) -> None:
        self._begun = perf_counter()
        self._spent = 0.0

    @property
    def spent(self) -> float:
        """The seconds that all slices took, except the present one."""
        return self._spent

    async def pause(self) -> None:
        """Give time to others if the slice is over. Call this after each step of the work."""
        taken = min(perf_counter() - self._begun, LONGEST_SLICE)
        if taken > SLICE_SECONDS:
            self._spent += taken
            await asyncio.sleep(taken)
            self._begun = perf_counter()


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
