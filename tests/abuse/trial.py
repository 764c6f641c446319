"""The trial of one attack: a node of its own, the people on it, and the process of the attack."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis.asyncio

from tests.abuse.account import Account
from tests.abuse.attack import Attack
from tests.abuse.bystanders import Arrival, Bystanders, bystanders
from tests.abuse.findings import KEPT, Findings, Memory, RedisCost
from tests.support.processes import ROOT, Node, Redis, running

WARM_SECONDS, CALM_SECONDS = 0.2, 0.5
"""Seconds in which the pair types before it is measured, and before the attack."""
AFTER_SECONDS = 10.0
"""Seconds after an attack until the node's memory is measured; in a short trial at most."""
SETTLE_SECONDS = 0.25
"""Seconds after an attack in which its last acts may still keep the pair waiting."""
SAMPLE_INTERVAL = 0.02
NEWCOMER_INTERVAL = 0.25
"""Seconds between somebody who is in and the next one who comes."""
SETTINGS = {"COLLAB_DRAIN_TIME": "0"}
READY_TIMEOUT, DONE_TIMEOUT = 60.0, 1800.0
"""Seconds for an attack to prepare, and to be done: 100,000 random inputs take minutes."""
SAME_ADDRESS = "127.0.0.1"
"""The address of the people. The attack comes from it too: a campus is one address."""


class OffenderProcess:
    """The process of an attack (`tests.abuse.process`)."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def prepare(self) -> None:
        """Let it make what the attack needs; the node must be ready."""
        await self._go_until("ready", READY_TIMEOUT)

    async def attack(self) -> None:
        """Let it attack; return when it has done everything."""
        await self._go_until("done", DONE_TIMEOUT)

    async def _go_until(self, word: str, within: float) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(b"\n")
        async with asyncio.timeout(within):
            line = await self._process.stdout.readline()
        assert line.strip() == word.encode(), f"the attack's process said {line!r}, not {word}"

    async def end(self) -> Account:
        """Let it close its connections; return its account."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        account = Account.from_json(await self._process.stdout.readline())
        await self._process.wait()
        return account


@asynccontextmanager
async def _offender(*arguments: str) -> AsyncIterator[OffenderProcess]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.abuse.process", *arguments, cwd=ROOT,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield OffenderProcess(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


class Watch:
    """Measures a node's memory all the time, and lets one newcomer after another come."""

    def __init__(self, node: Node, people: Bystanders) -> None:
        self._node = node
        self._people = people
        self.before = self.peak = node.resident()
        self.arrivals: list[Arrival] = []

    async def measure(self) -> None:
        while self._node.running:
            self.peak = max(self.peak, self._node.resident())
            await asyncio.sleep(SAMPLE_INTERVAL)

    async def invite(self) -> None:
        while True:
            self.arrivals.append(await self._people.come())
            await asyncio.sleep(NEWCOMER_INTERVAL)


@asynccontextmanager
async def _watching(node: Node, people: Bystanders) -> AsyncIterator[Watch]:
    watch = Watch(node, people)
    tasks = [asyncio.create_task(each) for each in (watch.measure(), watch.invite())]
    try:
        yield watch
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def try_attack(
    attack: Attack, server: Redis, *,
    full: bool = False, address: str = SAME_ADDRESS, seed: int = 1,
) -> Findings:  # fmt: skip
    """Run an attack from ``address`` at its small or full size against a node of its own.

    What is in Redis before is deleted.
    """
    node = Node(server.url, attack.name, **SETTINGS, **attack.settings)
    arguments = attack.full if full else attack.small, node.port, server.url, address, seed
    async with redis.asyncio.Redis.from_url(server.url) as store:
        await store.flushall()
        async with (  # the processes load their modules while the node starts
            bystanders(node.url) as people,
            _offender(attack.name, *map(str, arguments)) as offender,
            running(node),
        ):
            await offender.prepare()
            await people.begin()
            await asyncio.sleep(WARM_SECONDS)
            await people.waits()
            return await _watch_attack(attack, node, people, offender, store, full)


async def _watch_attack(
    attack: Attack, node: Node, people: Bystanders, offender: OffenderProcess,
    store: redis.asyncio.Redis, full: bool,
) -> Findings:  # fmt: skip
    """Let the attack begin; return what it does."""
    await asyncio.sleep(CALM_SECONDS)
    calm = await people.waits()
    received, _ = await _redis_counters(store)
    async with _watching(node, people) as watch:
        await offender.attack()
        await asyncio.sleep(SETTLE_SECONDS)
        during = await people.waits()
        received_now, commands = await _redis_counters(store)
        seconds = await _recover(node, watch.before, full)
        memory = Memory(watch.before, watch.peak, node.resident() if node.running else 0)
        _, commands_now = await _redis_counters(store)
        account = await offender.end()
    afterwards = await people.waits()
    arrivals = [*watch.arrivals, await people.come()]
    cost = RedisCost((received_now - received) / 1e6, (commands_now - commands) / seconds)
    return Findings(
        attack, calm, during, afterwards, memory, cost, arrivals, account, _complaints(node)
    )


async def _recover(node: Node, before: int, full: bool) -> float:
    """Give the node time to free memory; return the seconds. In a short trial no more than needed.

    The offender's connections are still open.
    """
    clock = asyncio.get_running_loop().time
    began = clock()
    await asyncio.sleep(AFTER_SECONDS if full else SETTLE_SECONDS)
    while True:
        passed = clock() - began
        if passed > AFTER_SECONDS or not node.running or node.resident() - before < KEPT:
            return passed
        await asyncio.sleep(SAMPLE_INTERVAL)


async def _redis_counters(store: redis.asyncio.Redis) -> tuple[int, int]:
    """Return the bytes and the commands that Redis has received."""
    stats = await store.info("stats")
    return stats["total_net_input_bytes"], stats["total_commands_processed"]


def _complaints(node: Node) -> list[str]:
    lines = node.output().splitlines()
    found = [line for line in lines if "Traceback" in line or '"level":"error"' in line]
    return found if node.running else [*found, "the node has crashed"]
