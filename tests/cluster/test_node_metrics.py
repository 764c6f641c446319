"""What a node tells about itself: how fast it is, what waits, who comes, and what is refused."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest
import redis.asyncio as redis_client

from collab import __version__
from tests.cluster.wire import wire_member
from tests.support.clients import WAIT_TIMEOUT, JsHost
from tests.support.processes import Node, Redis, get_metrics, running
from tests.support.proxy import proxy
from tests.support.yjs import YjsHost

Counters = dict[str, float]


async def shown(node: Node, right: Callable[[Counters], bool]) -> Counters:
    """Return a node's metrics as soon as they are ``right``."""
    async with asyncio.timeout(WAIT_TIMEOUT):
        while True:
            now = await get_metrics(node.url)
            if right(now):
                return now
            await asyncio.sleep(0.05)


@asynccontextmanager
async def one_node(redis: Redis, **env: str) -> AsyncIterator[Node]:
    node = Node(redis.url, "alone", **env)
    async with running(node):
        yield node


@pytest.fixture
async def node(redis_server: Redis) -> AsyncIterator[Node]:
    async with one_node(redis_server) as made:
        yield made


# Deliveries


def delivered(now: Counters, within: str = "+Inf") -> float:
    return now[f'collab_delivery_seconds_bucket{{le="{within}"}}']


async def test_each_receive_over_a_websocket_is_a_delivery(
    node: Node, js: JsHost, room: str
) -> None:
    writer, reader = await js.connect(node.url), await js.connect(node.url)
    await writer.join(room)
    await reader.join(room)
    for number in range(20):
        await writer.change(room, f"text {number}")
    await reader.shows("text 19")
    now = await get_metrics(node.url)
    assert delivered(now) == now["collab_receives_total"] > 0
    assert now["collab_delivery_seconds_sum"] < 20
    assert delivered(now, "0.1") > 0, "arrival and write are by the same clock"


async def test_updates_are_deliveries_and_cross_node_ones_are_measured_where_they_are_written(
    redis_server: Redis, yjs: YjsHost, room: str
) -> None:
    here, there = Node(redis_server.url, "here"), Node(redis_server.url, "there")
    async with running(here, there):
        ada, bob = await yjs.connect(here.url, room), await yjs.connect(there.url, room)
        ada.insert(0, "typed")
        await bob.shows("typed")
        now = await shown(there, lambda now: delivered(now) > 0)
        assert 0 < now["collab_delivery_seconds_sum"] < 5
        assert delivered(await get_metrics(here.url)) == 0, "the author is sent nothing"


async def test_what_waits_for_a_slow_client_is_not_this_nodes_delay(node: Node, room: str) -> None:
    """A page that has not answered its marks gets its next receive only afterwards."""
    async with wire_member(node.url) as writer, wire_member(node.url) as slow:
        await writer.join(room)
        await slow.join(room)
        slow.sends_pongs = False
        await writer.type(room, "first")
        await slow.shows("first")
        await writer.type(room, "second")
        await asyncio.sleep(1.2)
        await slow.send_pongs()
        await slow.shows("second")
        now = await get_metrics(node.url)
    assert delivered(now) == delivered(now, "1.0") >= 2


# What waits for Redis


def age(now: Counters) -> float:
    return now["collab_uncommitted_age_seconds"]


async def test_while_redis_is_frozen_what_waits_gets_older_and_afterwards_nothing_waits(
    js: JsHost, room: str
) -> None:
    redis = Redis()
    async with running(redis), one_node(redis, COLLAB_REDIS_TIMEOUT="0.5") as node:
        assert redis.process is not None
        client = await js.connect(node.url)
        await client.change(room, "stored")
        before = await get_metrics(node.url)
        assert (before["collab_uncommitted_edits"], age(before)) == (0, 0)
        assert before["collab_redis_up"] == before["collab_pubsub_up"] == 1
        redis.process.send_signal(signal.SIGSTOP)
        try:
            for number in range(5):
                client.emit("change", {"room": room, "code": f"stored, {number}"})
            first = await shown(node, lambda now: now["collab_uncommitted_edits"] == 5)
            assert age(first) < 5
            then = await shown(node, lambda now: age(now) > age(first) + 1)
            assert then["collab_uncommitted_edits"] == 5, (
                "they are counted, however they are merged"
            )
            await shown(node, lambda now: now["collab_pubsub_up"] == 0)
        finally:
            redis.process.send_signal(signal.SIGCONT)
        # After the edits, the commit that announces them again to whoever has missed them.
        after = await shown(node, lambda now: (now["collab_uncommitted_edits"], age(now)) == (0, 0))
        assert after['collab_commits_total{outcome="failed"}'] >= 1
        await shown(node, lambda now: now["collab_pubsub_up"] == 1)


async def test_a_document_that_redis_has_lost_and_does_not_take_waits_too(
    js: JsHost, room: str
) -> None:
    redis = Redis()
    async with running(redis), one_node(redis, COLLAB_CHECK_INTERVAL="0.2") as node:
        client = await js.connect(node.url)
        await client.change(room, "kept")
        async with redis_client.Redis.from_url(redis.url) as store, store.pipeline() as at_once:
            at_once.flushall()
            at_once.config_set("maxmemory", 1)
            await at_once.execute()
        now = await shown(node, lambda now: age(now) > 1)
        assert now["collab_uncommitted_edits"] == 0, "nobody has typed since"


async def test_a_node_whose_subscriptions_are_lost_says_so(redis_server: Redis) -> None:
    async with proxy(redis_server.port) as wire:
        through = Node(f"redis://127.0.0.1:{wire.port}/0", "deaf", COLLAB_REDIS_TIMEOUT="0.3")
        async with running(through):
            await shown(through, lambda now: now["collab_pubsub_up"] == 1)
            wire.to_server = lambda piece: [] if b"SUBSCRIBE" in piece else [piece]
            wire.cut()
            now = await shown(through, lambda now: now["collab_pubsub_up"] == 0)
            assert now["collab_redis_up"] == 1
            wire.to_server = None
            await shown(through, lambda now: now["collab_pubsub_up"] == 1)


# Requests and clients


async def test_requests_are_counted_by_the_routes_pattern_never_by_what_a_client_wrote(
    node: Node,
) -> None:
    async with aiohttp.ClientSession() as session:
        for method, path in (
            ("GET", "/api/rooms/secret-1"), ("GET", "/api/rooms/secret-2"), ("GET", "/secret"),
            ("PROPFIND", "/healthz"), ("DELETE", "/api/rooms/secret-1"), ("GET", "/assets/secret"),
            ("GET", "/secret/playback"), ("GET", "/healthz?secret"),
        ):  # fmt: skip
            async with session.request(method, node.url + path, allow_redirects=False):
                pass
        async with session.ws_connect(f"{node.url}/yjs/secret-3"):
            pass
        async with session.get(f"{node.url}/metrics") as answer:
            assert "secret" not in (await answer.text()).lower()
    now = await shown(
        node,
        lambda now: (
            'collab_http_requests_total{method="GET",route="/yjs/{room}",status="101"}' in now
        ),
    )
    counted = {
        name.removeprefix("collab_http_requests_total"): value
        for name, value in now.items()
        if name.startswith("collab_http_requests_total") and "/readyz" not in name
    }
    counted.pop('{method="GET",route="/metrics",status="200"}', None)
    assert counted == {
        '{method="GET",route="/api/rooms/{room}",status="404"}': 2,
        '{method="DELETE",route="/api/rooms/{room}",status="404"}': 1,
        '{method="GET",route="other",status="404"}': 1,
        '{method="other",route="other",status="405"}': 1,
        '{method="GET",route="/assets/{name}",status="404"}': 1,
        '{method="GET",route="/{room}/playback",status="302"}': 1,
        '{method="GET",route="/healthz",status="200"}': 1,
        '{method="GET",route="/yjs/{room}",status="101"}': 1,
    }


async def test_clients_that_come_back_are_told_from_new_ones(node: Node, room: str) -> None:
    def connects(now: Counters, kind: str) -> float:
        return now[f'collab_connects_total{{endpoint="text",kind="{kind}"}}']

    async with wire_member(node.url) as first:
        await first.join(room)
        pid = first.pid
    async with (
        wire_member(node.url, auth={"pid": pid}),
        wire_member(node.url, auth={"pid": "x" * 20}),
    ):
        now = await get_metrics(node.url)
    assert [connects(now, kind) for kind in ("new", "restored", "unknown")] == [1, 1, 1]


async def test_a_client_that_is_let_go_is_counted_and_so_is_what_it_has_used(
    redis_server: Redis, room: str
) -> None:
    limits = {"COLLAB_MAX_BYTES_PER_SECOND": "10000", "COLLAB_MAX_OVER_BUDGET": "0.5"}
    async with one_node(redis_server, **limits) as node, wire_member(node.url) as greedy:
        await greedy.join(room)
        before = await get_metrics(node.url)
        over = False
        async with asyncio.timeout(WAIT_TIMEOUT):
            while not greedy.closed:
                with suppress(ConnectionError, aiohttp.ClientError):  # it may end meanwhile
                    await greedy.emit("change", {"room": room, "code": "x" * 9000})
                now = await get_metrics(node.url)
                over |= now["collab_over_budget_connections"] > 0
        now = await get_metrics(node.url)
    assert over
    assert now['collab_let_go_total{code="rate_limited"}'] == 1
    assert now["collab_budget_seconds_total"] > before["collab_budget_seconds_total"] + 0.5


# The process


async def test_a_node_says_what_it_is_and_how_late_its_loop_is(node: Node) -> None:
    assert node.process is not None
    now = await shown(node, lambda now: now["collab_loop_lag_seconds_count"] >= 4)
    [info] = [name for name in now if name.startswith("collab_build_info")]
    assert f'version="{__version__}"' in info and 'node="alone"' in info
    assert now["process_open_fds"] > 3 and now["process_start_time_seconds"] > 1.7e9
    before = now['collab_loop_lag_seconds_bucket{le="0.5"}']
    node.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(1)
    node.process.send_signal(signal.SIGCONT)
    stopped = await get_metrics(node.url)
    late = (
        stopped["collab_loop_lag_seconds_count"]
        - stopped['collab_loop_lag_seconds_bucket{le="0.5"}']
    )
    assert late >= 1 and before >= 4
    assert not [name for name in stopped if "_created" in name]


async def test_a_node_that_drains_says_so(redis_server: Redis) -> None:
    async with one_node(redis_server, COLLAB_DRAIN_TIME="30") as node:
        async with wire_member(node.url) as stubborn:
            assert (await get_metrics(node.url))["collab_draining"] == 0
            stubborn.stop_reading()
            assert node.process is not None
            node.process.send_signal(signal.SIGTERM)
            await shown(node, lambda now: now["collab_draining"] == 1)
        await node.kill()
