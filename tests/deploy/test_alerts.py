"""Each trouble that can be made for real is seen by a real Prometheus, and nothing else is."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import aiohttp
import pytest
import redis.asyncio

from tests.cluster.wire import wire_member
from tests.support.clients import JsHost, eventually, js_clients
from tests.support.processes import Node, Redis, running
from tests.support.prometheus import Firing, Prometheus
from tests.support.proxy import Proxy, proxy

MEBI = 1 << 20
CONNECTIONS = 5
"""Connections that the node "crowded" accepts."""
FAST = {"COLLAB_REDIS_TIMEOUT": "1", "COLLAB_MAX_CHANGES_PER_SECOND": "10000"}
PATIENCE = 40.0
"""Seconds in which all that should fire has fired: the node asks Redis every five seconds, and an
edit counts as waiting after ten."""
OF_THE_MACHINE = {
    "CollabLoopLag", "CollabDeliveriesSlow", "CollabCommitsSlow", "CollabCpuNearLimit",
}  # fmt: skip
"""These are right to fire on a machine that does other work too."""


class Site:
    """Three Redis servers, and nodes that will each have troubles of their own."""

    def __init__(self, wire: Proxy) -> None:
        self.wire = wire
        self.freezing, self.filling, self.shared = Redis(), Redis(), Redis()
        for server, size in ((self.freezing, 64), (self.filling, 8), (self.shared, 64)):
            server.command += ("--maxmemory", str(size * MEBI))
        wire.target = self.shared.port
        crowded = {"COLLAB_MAX_CONNECTIONS": str(CONNECTIONS), "COLLAB_DRAIN_TIME": "120"}
        self.frozen = Node(self.freezing.url, "frozen", **FAST)
        self.full = Node(self.filling.url, "full", **FAST)
        self.wired = Node(f"redis://127.0.0.1:{wire.port}/0", "wired", **FAST)
        self.busy = Node(self.shared.url, "busy", **FAST)
        self.crowded = Node(self.shared.url, "crowded", **FAST, **crowded)
        self.nodes = [self.frozen, self.full, self.wired, self.busy, self.crowded]


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with proxy(0) as wire:
        made = Site(wire)
        async with running(made.freezing, made.filling, made.shared), AsyncExitStack() as stack:
            for process in (*made.nodes, made.freezing):
                stack.push_async_callback(process.kill)  # some are frozen, or do not want to stop
            for node in made.nodes:  # each in its own time, on a busy machine
                await node.start()
            yield made


@pytest.fixture
async def js() -> AsyncIterator[JsHost]:
    async with js_clients() as host:
        yield host


async def typed(js: JsHost, node: Node, changes: int) -> None:
    """Let somebody type while somebody else looks on."""
    writer, reader = await js.connect(node.url), await js.connect(node.url)
    await writer.join(node.name)
    await reader.join(node.name)
    for number in range(changes):
        assert (await writer.change(node.name, f"text {number}"))["ok"]
    await reader.shows(f"text {changes - 1}")
    writer.close()
    reader.close()


async def freeze_redis(site: Site, js: JsHost) -> None:
    assert site.freezing.process is not None
    client = await js.connect(site.frozen.url)
    await client.change("room", "stored")
    site.freezing.process.send_signal(signal.SIGSTOP)
    client.emit("change", {"room": "room", "code": "stored, and waiting"})


async def fill_redis(site: Site) -> None:
    async with redis.asyncio.Redis.from_url(site.filling.url) as store:
        with contextlib.suppress(redis.exceptions.OutOfMemoryError):
            for number in range(1000):
                await store.set(f"filler-{number}", b"x" * (MEBI // 16))


async def break_wire(site: Site, js: JsHost) -> None:
    """Let commits take more than half a second, and a node's subscriptions get lost."""
    await typed(js, site.wired, 400)
    site.wire.delay = 0.3
    await typed(js, site.wired, 8)
    site.wire.to_server = lambda piece: [] if b"SUBSCRIBE" in piece else [piece]
    async with redis.asyncio.Redis.from_url(site.shared.url) as store:
        await store.client_kill_filter(_type="pubsub")
        await store.config_set("maxmemory", 0)


async def guess(site: Site) -> None:
    """Send changes that may be edits of two texts; then connect again and again."""
    url, room = site.busy.url, "guessing"
    async with wire_member(url) as writer, wire_member(url) as torn:
        await writer.join(room)
        await torn.join(room)
        await writer.type(room, "start")
        await torn.shows("start")
        torn.sends_pongs = False

        def is_due(seen: int) -> bool:
            return len(torn.codes) > seen and torn.unanswered >= 2

        for number in range(100):
            due = partial(is_due, len(torn.codes))
            await writer.emit("change", {"room": room, "code": f"{number} {writer.text}"[:40]})
            await eventually(due)
            # It has answered the PING before the receive, and not the one behind it.
            await torn.send_pongs(but=1)
            await torn.emit("change", {"room": room, "code": f"{torn.text[:40]}{number}"})
            await torn.send_pongs()
    for _ in range(100):
        async with wire_member(url, auth={"pid": "p" * 20}):
            pass


async def crowd(site: Site, stack: AsyncExitStack) -> None:
    """Let more people come than may; then stop the node, which has a client that does not go."""
    assert site.crowded.process is not None
    members = [
        await stack.enter_async_context(wire_member(site.crowded.url)) for _ in range(CONNECTIONS)
    ]
    url = f"{site.crowded.url}/socket.io/?EIO=4&transport=polling"
    async with aiohttp.ClientSession() as session:
        for _ in range(150):
            async with session.get(url) as answer:
                assert answer.status == 503
    await asyncio.sleep(5)  # until Prometheus has seen how many there are
    for member in members:
        member.stop_reading()
    site.crowded.process.send_signal(signal.SIGTERM)


async def until(check: Callable[[], Awaitable[object]], within: float = PATIENCE) -> None:
    """Wait until ``check`` returns something true."""
    async with asyncio.timeout(within):
        while True:
            if await check():
                return
            await asyncio.sleep(0.2)


async def until_fired(prometheus: Prometheus, *expected: Firing) -> dict[Firing, dict[str, str]]:
    """Return the annotations of all alerts that have fired, as soon as these have."""
    seen: dict[Firing, dict[str, str]] = {}
    began = time.monotonic()
    while not set(expected) <= seen.keys():
        assert time.monotonic() - began < PATIENCE, set(expected) - seen.keys()
        await asyncio.sleep(0.2)
        seen |= await prometheus.firing()
    return seen


@pytest.mark.timeout(180)  # nine processes start, and an edit must wait for ten seconds
async def test_every_trouble_is_seen_and_a_healthy_cluster_is_left_alone(
    site: Site, js: JsHost, tmp_path: Path
) -> None:
    prometheus = Prometheus(tmp_path, *site.nodes)
    async with running(prometheus), AsyncExitStack() as stack:
        await until(lambda: prometheus.finds("up == 1", len(site.nodes)))
        await asyncio.gather(*(typed(js, node, 30) for node in site.nodes[:3]))
        began = time.monotonic()
        while time.monotonic() - began < 3:
            fired = {each for each in await prometheus.firing() if each.alert not in OF_THE_MACHINE}
            assert not fired
            await asyncio.sleep(0.5)

        await asyncio.gather(
            freeze_redis(site, js), fill_redis(site), break_wire(site, js), guess(site),
            crowd(site, stack),
        )  # fmt: skip
        seen = await until_fired(
            prometheus,
            Firing("CollabRedisAway", "collab-frozen"),
            Firing("CollabRoomNotCommitting", "collab-frozen"),
            Firing("CollabRedisFull", "collab-full"),
            Firing("CollabRedisFilling", "collab-full"),
            Firing("CollabNodeDeaf", "collab-wired"),
            Firing("CollabCommitsSlow", "collab-wired"),
            Firing("CollabRedisUnlimited", "collab-busy"),
            Firing("CollabGuessesUp", "collab-busy"),
            Firing("CollabManyReconnections", "collab-busy"),
            Firing("CollabRefusalsUp", "collab-crowded"),
            Firing("CollabConnectionsNearLimit", "collab-crowded"),
            Firing("CollabDrainStuck", "collab-crowded"),
        )
        for each, annotations in seen.items():
            assert re.search(rf"{each.job}|127\.0\.0\.1:\d", annotations["description"]), (
                annotations
            )

        await site.crowded.kill()
        await until_fired(prometheus, Firing("CollabNodeDown", "collab-crowded"))
        assert site.freezing.process is not None
        site.freezing.process.send_signal(signal.SIGCONT)
        waiting = Firing("CollabRoomNotCommitting", "collab-frozen")
        await until(lambda: prometheus.is_over(waiting, Firing("CollabRedisAway", waiting.job)))
