"""Failures of Redis."""

from __future__ import annotations

import asyncio
import random

from tests.soak.stage import Stage

PAUSE_SECONDS = 2.0, 5.0
"""Seconds of a short freeze: from less to more than the nodes' timeout."""
FROZEN_SECONDS = 30.0
"""Seconds of a long freeze."""
DOWN_SECONDS = 12.0
"""Seconds without a Redis, or with a full one: longer than ``/readyz`` has to say so."""
DUMP_AGE_SECONDS = 3.0
"""Seconds of typing that are missing in the dump with which Redis restarts."""
SLOW_SECONDS = 20.0
ANSWER_DELAY = 0.5
"""Seconds by which each answer of a slow Redis is late."""


async def redis_paused(stage: Stage) -> None:
    """Redis does not answer for some seconds (SIGSTOP)."""
    async with stage.failure(*stage.cluster.nodes):
        with stage.cluster.redis.frozen():
            await asyncio.sleep(random.uniform(*PAUSE_SECONDS))


async def redis_frozen(stage: Stage) -> None:
    """Redis does not answer for half a minute (SIGSTOP)."""
    async with stage.failure(*stage.cluster.nodes):
        with stage.cluster.redis.frozen():
            await asyncio.sleep(FROZEN_SECONDS)


async def redis_killed(stage: Stage) -> None:
    """Redis is killed, and comes back after some seconds with all that it had."""
    async with stage.failure(*stage.cluster.nodes):
        async with stage.cluster.store() as client:
            await client.save()
        await stage.cluster.redis.kill()
        await asyncio.sleep(DOWN_SECONDS)
        await stage.cluster.redis.start()


async def redis_emptied(stage: Stage) -> None:
    """Redis is killed and starts again empty."""
    async with stage.failure(*stage.cluster.nodes):
        await stage.cluster.redis.restart(empty=True)


async def redis_older(stage: Stage) -> None:
    """Redis is killed and starts again with its data of some seconds ago."""
    async with stage.cluster.store() as client:
        await client.save()
    await asyncio.sleep(DUMP_AGE_SECONDS)
    async with stage.failure(*stage.cluster.nodes):
        await stage.cluster.redis.restart(empty=False)


async def redis_slow(stage: Stage) -> None:
    """Each answer of Redis is half a second late."""
    async with stage.failure():
        for wire in stage.cluster.wires.values():
            wire.delay = ANSWER_DELAY / 2  # each way
        await asyncio.sleep(SLOW_SECONDS)
        for wire in stage.cluster.wires.values():
            wire.delay = 0.0


async def redis_full(stage: Stage) -> None:
    """Redis has no memory left, and refuses to write."""
    async with stage.failure(*stage.cluster.nodes), stage.cluster.store() as client:
        used = int((await client.info("memory"))["used_memory"])
        await client.config_set("maxmemory", used // 2)
        await asyncio.sleep(DOWN_SECONDS)
        await client.config_set("maxmemory", 0)
