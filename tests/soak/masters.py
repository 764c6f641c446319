"""``python -m tests.soak.masters`` types while masters of Redis die, hang or lose their slots.

On a Redis Cluster, or with ``--redis sentinel`` on a master with a replica. It ends with 1 if an
acknowledged character is not in its room exactly once, if a room has several texts, or if a node
logged an error.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import redis.asyncio
from redis.asyncio.cluster import ClusterNode

from tests.faults.conftest import SETTINGS
from tests.faults.typists import Store, Typists, typists
from tests.support.processes import Node, Redis, running
from tests.support.redises import RETRY, RedisCluster, WatchedRedis, redis_cluster, watched_redis

Redises = RedisCluster | WatchedRedis
ROOMS = 4
TYPING_INTERVAL = 60
"""Milliseconds between two keystrokes of one person."""
DOWN_SECONDS = 0.1, 4.0
"""Seconds for which a master is gone or hangs: from less to more than it takes to replace it."""
CUT_SECONDS = 1.0
"""Seconds of typing that a replica lacks when it is promoted."""
PAUSE_SECONDS = 0.0, 1.5


async def killed(redises: Redises, key: str) -> None:
    """A master is killed, and started again after a while."""
    master = await _master(redises, key)
    await master.kill()
    await asyncio.sleep(random.uniform(*DOWN_SECONDS))


async def lagging(redises: Redises, key: str) -> None:
    """A master is killed whose replica lacks the last second."""
    master = await _master(redises, key)
    if isinstance(redises, RedisCluster):
        await redises.cut_replication(master)
    else:
        await redises.cut_replication()
    await asyncio.sleep(CUT_SECONDS)
    await master.kill()
    await asyncio.sleep(random.uniform(*DOWN_SECONDS))


async def frozen(redises: Redises, key: str) -> None:
    """A master hangs for a while."""
    master = await _master(redises, key)
    assert master.process is not None
    master.process.send_signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(random.uniform(*DOWN_SECONDS))
    finally:
        master.process.send_signal(signal.SIGCONT)


async def demoted(redises: Redises, key: str) -> None:
    """A replica takes the place of a master that runs."""
    if isinstance(redises, RedisCluster):
        await redises.fail_over(await _master(redises, key))
        return
    replica = await redises.replica()
    async with redis.asyncio.Redis(port=redises.sentinels[0].port) as sentinel:
        await sentinel.sentinel_failover("rooms")
    await redises.promoted(replica)


async def moved(redises: Redises, key: str) -> None:
    """The slot of a room moves to another master of the cluster."""
    assert isinstance(redises, RedisCluster), "there are no slots"
    master = await _master(redises, key)
    other = random.choice([each for each in await redises.masters() if each is not master])
    await redises.move_slot(key, master, other)


SCENES: dict[str, Callable[[Redises, str], Awaitable[None]]] = {
    scene.__name__: scene for scene in (killed, lagging, frozen, demoted, moved)
}


async def _master(redises: Redises, key: str) -> Redis:
    if isinstance(redises, RedisCluster):
        return await redises.master_of(key)
    return await redises.master()


@asynccontextmanager
async def _client(redises: Redises) -> AsyncIterator[Store]:
    client: Store
    if isinstance(redises, RedisCluster):
        servers = [ClusterNode("127.0.0.1", server.port) for server in redises.servers]
        client = redis.asyncio.RedisCluster(startup_nodes=servers, retry=RETRY)
    else:
        client = redis.asyncio.Redis(port=(await redises.master()).port, retry=RETRY)
    try:
        yield client
    finally:
        await client.aclose()


async def _soak(given: argparse.Namespace) -> bool:
    """Play scenes for a time; return whether all promises were kept."""
    opened = redis_cluster() if given.redis == "cluster" else watched_redis()
    async with opened as redises, AsyncExitStack() as stack:
        nodes = [Node(redises.url, name, **SETTINGS) for name in "ab"]
        await stack.enter_async_context(running(*nodes))
        rooms: dict[str, Typists] = {}
        for number in range(ROOMS):
            people = rooms[f"soak-{number}"] = await stack.enter_async_context(typists())
            people.join(f"soak-{number}", *nodes, every=TYPING_INTERVAL)
        for people in rooms.values():
            await people.typed(len(nodes))  # who joins while Redis is away is refused, and says so
        end = time.monotonic() + given.seconds
        while time.monotonic() < end:
            name, room = random.choice(given.scenes), random.choice(list(rooms))
            began = time.monotonic()
            await SCENES[name](redises, f"code_{room}")
            await redises.ready()
            _print_line(f"{name:8} {time.monotonic() - began:5.1f} s")
            await asyncio.sleep(random.uniform(*PAUSE_SECONDS))
        kept = True
        async with _client(redises) as store:
            for room, people in rooms.items():
                try:
                    _print_line(
                        f"{room}: {len(await people.rest(store, room))} characters, all there"
                    )
                except AssertionError as broken:
                    _print_line(f"{room}: {broken}"[:400])
                    kept = False
        for node in nodes:
            complaints = [
                line for line in node.output().splitlines()
                if "Traceback" in line or '"level":"error"' in line
            ]  # fmt: skip
            for line in complaints:
                _print_line(line)
            kept &= not complaints
        return kept


def _print_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run the soak that the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.masters", description=__doc__)
    parser.add_argument("--redis", choices=("cluster", "sentinel"), default="cluster")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(2)))
    parser.add_argument(
        "scenes", nargs="*", default=list(SCENES), metavar="scene",
        help="; ".join(f"{name}: {scene.__doc__}" for name, scene in SCENES.items()),
    )  # fmt: skip
    given = parser.parse_args()
    if unknown := set(given.scenes) - SCENES.keys():
        parser.error(f"there is no scene {', '.join(unknown)}")
    if given.redis == "sentinel":
        given.scenes = [name for name in given.scenes if name != "moved"]
    random.seed(given.seed)
    _print_line(f"seed {given.seed}")
    return 0 if asyncio.run(_soak(given)) else 1


if __name__ == "__main__":
    sys.exit(main())
