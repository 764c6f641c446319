"""Several connections at a time that share the inputs of a fuzzer."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from random import Random

from tests.abuse.account import Refused
from tests.abuse.offender import Offender

CREW = 16
"""Connections at a time."""

Visit = Callable[[Random, int], Awaitable[int]]
"""Opens a connection, sends at most so many inputs, and closes it; returns how many it sent."""


async def share(offender: Offender, inputs: int, visit: Visit) -> None:
    """Let connections send ``inputs`` inputs together, each with randomness of its own."""
    seeds = itertools.count(offender.rng.randrange(1 << 30))
    left = inputs

    async def work() -> None:
        nonlocal left
        while left > 0:
            try:
                sent = await visit(Random(next(seeds)), left)
                left -= sent  # not `left -= await …`, which reads it before the visit
            except Refused:
                await asyncio.sleep(0.01)

    await asyncio.gather(*(work() for _ in range(CREW)))
