"""Failures of the links between people and the cluster."""

from __future__ import annotations

import asyncio
import random

from tests.soak.stage import Stage

BREAK_INTERVAL = 4.0
"""Seconds between two breaks of one link, on average."""


async def cuts(stage: Stage) -> None:
    """One link after another breaks, and loses the data in flight."""
    await asyncio.sleep(BREAK_INTERVAL / len(stage.links))
    random.choice(stage.links).cut()
