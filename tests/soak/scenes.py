"""What happens to the links, the nodes and Redis while people type: one blow after the other."""

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
"""Strikes one blow, mends it, and leaves some time for what comes after it."""

BREAK_INTERVAL = 4.0
"""Seconds between two breaks of one link, on average."""
DOWN_SECONDS = 0.5, 2.0
"""Seconds until a killed node is started again."""
FREEZE_SECONDS = 2.0, 5.0
"""Seconds for which Redis answers nobody: shorter and longer than the nodes have patience."""
DUMP_AGE_SECONDS = 3.0
"""Seconds of typing that a Redis has forgotten which comes back older."""
RECOVERY_SECONDS = 3.0
"""Seconds between two blows."""


async def cuts(cluster: SoakCluster, links: Links) -> None:
    """One link after the other breaks, with all that is on its way."""
    await asyncio.sleep(BREAK_INTERVAL / len(links))
    random.choice(links).cut()


async def restarts(cluster: SoakCluster, links: Links) -> None:
    """A rolling restart: one node after the other is told to stop, and started again."""
    for node in cluster.nodes.values():
        code = await node.stop()
        assert code == 0, f"{node.name} ended with {code}"
        await node.start()


async def kills(cluster: SoakCluster, links: Links) -> None:
    """A node is killed, and is started again."""
    node = random.choice(list(cluster.nodes.values()))
    await node.kill()
    await asyncio.sleep(random.uniform(*DOWN_SECONDS))
    await node.start()
    await asyncio.sleep(RECOVERY_SECONDS)


async def frozen(cluster: SoakCluster, links: Links) -> None:
    """Redis answers nobody for a while."""
    assert cluster.redis.process is not None
    cluster.redis.process.send_signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(random.uniform(*FREEZE_SECONDS))
    finally:
        cluster.redis.process.send_signal(signal.SIGCONT)
    await asyncio.sleep(RECOVERY_SECONDS)


async def emptied(cluster: SoakCluster, links: Links) -> None:
    """Redis is killed, and comes back with nothing."""
    await cluster.redis.restart(empty=True)
    await asyncio.sleep(RECOVERY_SECONDS)


async def older(cluster: SoakCluster, links: Links) -> None:
    """Redis is killed, and comes back as it was some seconds ago."""
    async with redis.asyncio.Redis.from_url(cluster.redis.url) as client:
        await client.save()
    await asyncio.sleep(DUMP_AGE_SECONDS)
    await cluster.redis.restart(empty=False)
    await asyncio.sleep(RECOVERY_SECONDS)


SCENES: dict[str, Scene] = {
    scene.__name__: scene for scene in (cuts, restarts, kills, frozen, emptied, older)
}
