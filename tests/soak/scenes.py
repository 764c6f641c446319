"""The scenes: one failure after another of the links, the nodes or Redis while people type."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Sequence

import redis.asyncio

from tests.soak.cluster import SoakCluster
from tests.support.proxy import Proxy

Links = Sequence[Proxy]
Scene = Callable[[SoakCluster, Links], Awaitable[None]]
"""Causes one failure, repairs it, and leaves time to recover."""

BREAK_INTERVAL = 4.0
"""Seconds between two breaks of one link, on average."""
DOWN_SECONDS = 0.5, 2.0
"""Seconds until a killed node is started again."""
FREEZE_SECONDS = 2.0, 5.0
"""Seconds for which Redis does not answer: from less to more than the nodes' timeout."""
DUMP_AGE_SECONDS = 3.0
"""Seconds of typing that are missing in the dump with which Redis restarts."""
RECOVERY_SECONDS = 3.0
"""Seconds between two failures."""


async def cuts(cluster: SoakCluster, links: Links) -> None:
    """One link after another breaks, and loses the data in flight."""
    await asyncio.sleep(BREAK_INTERVAL / len(links))
    random.choice(links).cut()


async def restarts(cluster: SoakCluster, links: Links) -> None:
    """A rolling restart: one node after another is stopped and started again."""
    for node in cluster.nodes.values():
        code = await node.stop()
        assert code == 0, f"{node.name} ended with {code}"
        await node.start()


async def kills(cluster: SoakCluster, links: Links) -> None:
    """A node is killed and started again."""
    node = random.choice(list(cluster.nodes.values()))
    await node.kill()
    await asyncio.sleep(random.uniform(*DOWN_SECONDS))
    await node.start()
    await asyncio.sleep(RECOVERY_SECONDS)


async def frozen(cluster: SoakCluster, links: Links) -> None:
    """Redis does not answer for some seconds."""
    assert cluster.redis.process is not None
    cluster.redis.process.send_signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(random.uniform(*FREEZE_SECONDS))
    finally:
        cluster.redis.process.send_signal(signal.SIGCONT)
    await asyncio.sleep(RECOVERY_SECONDS)


async def emptied(cluster: SoakCluster, links: Links) -> None:
    """Redis is killed and starts again empty."""
    await cluster.redis.restart(empty=True)
    await asyncio.sleep(RECOVERY_SECONDS)


async def older(cluster: SoakCluster, links: Links) -> None:
    """Redis is killed and starts again with its data of some seconds ago."""
    async with redis.asyncio.Redis.from_url(cluster.redis.url) as client:
        await client.save()
    await asyncio.sleep(DUMP_AGE_SECONDS)
    await cluster.redis.restart(empty=False)
    await asyncio.sleep(RECOVERY_SECONDS)


SCENES: dict[str, Scene] = {
    scene.__name__: scene for scene in (cuts, restarts, kills, frozen, emptied, older)
}
