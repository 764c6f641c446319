"""Samples while a scene is played: whether each node is ready, and how much memory is used."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from tests.soak.cluster import SoakCluster
from tests.support.processes import Node

ASK_INTERVAL = 0.2
"""Seconds between an answer of ``/readyz`` and the next question."""
ASK_TIMEOUT = 5.0
"""Seconds after which a node that does not answer counts as not ready. A node itself gives Redis
two seconds for each of two answers."""
MEMORY_INTERVAL = 0.5
"""Seconds between two samples of the memory."""
READY_TIMEOUT = 20.0
"""Seconds after which the soak stops waiting for a node that is not ready."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One question to ``/readyz``: when it was sent, when it was answered, and whether with 200."""

    asked: float
    answered: float
    ready: bool


class Watch:
    """The samples of one scene; times are seconds of the event loop's clock.

    ``memory`` has the resident megabytes of each process, by its name and pid, from the moment in
    which it is ready: so a restarted node is another one.
    """

    def __init__(self, cluster: SoakCluster) -> None:
        self._cluster = cluster
        self.now = asyncio.get_running_loop().time
        self.samples: defaultdict[str, list[Sample]] = defaultdict(list)
        self.memory: defaultdict[tuple[str, int], list[int]] = defaultdict(list)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take samples of all nodes and of Redis."""
        timeout = aiohttp.ClientTimeout(total=ASK_TIMEOUT)
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            tasks = [
                asyncio.create_task(self._ask_again_and_again(session, node))
                for node in self._cluster.nodes.values()
            ]
            tasks.append(asyncio.create_task(self._weigh_again_and_again()))
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
            for task in tasks:
                if not task.cancelled():
                    task.result()

    async def until_ready(self, since: float) -> None:
        """Wait until each node that runs has said after ``since`` that it is ready."""
        while self.now() < since + READY_TIMEOUT:
            last = [self.samples[name][-1:] for name in self._cluster.serving]
            if all(each and each[0].ready and each[0].asked > since for each in last):
                return
            await asyncio.sleep(ASK_INTERVAL)

    async def _ask_again_and_again(self, session: aiohttp.ClientSession, node: Node) -> None:
        while True:
            asked, ready = self.now(), False
            if node.running:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with session.get(node.url + "/readyz") as answer:
                        ready = answer.status == 200
            self.samples[node.name].append(Sample(asked, self.now(), ready))
            await asyncio.sleep(ASK_INTERVAL)

    async def _weigh_again_and_again(self) -> None:
        while True:
            for name, node in self._cluster.serving.items():
                last = self.samples[name][-1:]
                if (last and last[0].ready) or (name, node.pid) in self.memory:
                    self._weigh(name, node.pid, node.resident)
            server = self._cluster.redis
            if server.running:
                self._weigh("redis", server.pid, server.resident)
            await asyncio.sleep(MEMORY_INTERVAL)

    def _weigh(self, name: str, pid: int, resident: Callable[[], int]) -> None:
        with contextlib.suppress(OSError, ValueError, IndexError):  # it may end at this moment
            self.memory[name, pid].append(resident())
