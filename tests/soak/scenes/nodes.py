"""Failures of nodes, and changes of their number."""

from __future__ import annotations

import asyncio
import random

from tests.soak.cluster import NODES, PARTED, SPARE, SoakCluster
from tests.soak.stage import Stage

DOWN_SECONDS = 0.5, 2.0
"""Seconds until a killed node is started again."""
FROZEN_SECONDS = 20.0
"""Seconds for which a node does nothing: pages leave it before it is back."""
PARTED_SECONDS = 20.0
"""Seconds for which a node is cut off."""
SCALED_SECONDS = 4.0
"""Seconds for which people type on each number of nodes."""


async def restarts(stage: Stage) -> None:
    """A rolling restart: one node after another is stopped and started again."""
    for name, node in stage.cluster.serving.items():
        async with stage.failure(name):
            code = await node.stop()
            assert code == 0, f"{name} ended with {code}"
            await node.start()


async def node_killed(stage: Stage) -> None:
    """A node is killed and started again."""
    name, node = random.choice(list(stage.cluster.serving.items()))
    async with stage.failure(name):
        await node.kill()
        await asyncio.sleep(random.uniform(*DOWN_SECONDS))
        await node.start()


async def node_frozen(stage: Stage) -> None:
    """A node does nothing for some time (SIGSTOP), and then goes on with what it had."""
    name, node = random.choice(list(stage.cluster.serving.items()))
    async with stage.failure(name):
        with node.frozen():
            await asyncio.sleep(FROZEN_SECONDS)


async def node_refused(stage: Stage) -> None:
    """A node's connections to Redis break, and it gets no new ones."""
    name, wire = random.choice([(name, stage.cluster.wires[name]) for name in NODES])
    async with stage.failure(name):
        wire.refuse()
        await asyncio.sleep(PARTED_SECONDS)
        wire.accept()


async def node_cut_off(stage: Stage) -> None:
    """A node is partitioned from Redis alone: nothing arrives, and no connection breaks."""
    name, wire = random.choice([(name, stage.cluster.wires[name]) for name in NODES])
    async with stage.failure(name):
        wire.part()
        await asyncio.sleep(PARTED_SECONDS)
        wire.rejoin()


async def node_parted(stage: Stage) -> None:
    """A node is partitioned from Redis and from its clients."""
    async with stage.failure(PARTED):
        for wire in (stage.cluster.wires[PARTED], stage.cluster.front):
            wire.part()
        await asyncio.sleep(PARTED_SECONDS)
        for wire in (stage.cluster.wires[PARTED], stage.cluster.front):
            wire.rejoin()


async def scale(stage: Stage) -> None:
    """The number of nodes changes from four to two, to six, and back to three."""
    await _scale_to(stage, NODES + SPARE[0])
    await _scale_to(stage, NODES[:2])
    await _scale_to(stage, NODES + SPARE)
    await _scale_to(stage, NODES)


async def _scale_to(stage: Stage, names: str) -> None:
    """Start and stop nodes, as an orchestrator does: new nodes are listed when they are ready."""
    cluster = stage.cluster
    changing = set(names) ^ cluster.serving.keys()
    async with stage.failure(*changing):
        await asyncio.gather(*(cluster.nodes[name].start() for name in changing & set(names)))
        cluster.nginx.list_nodes(*cluster.ports(names))
        await asyncio.gather(*(_stop(cluster, name) for name in changing - set(names)))
    await asyncio.sleep(SCALED_SECONDS)


async def _stop(cluster: SoakCluster, name: str) -> None:
    code = await cluster.nodes[name].stop()
    assert code == 0, f"{name} ended with {code}"
