"""Nodes that trace changes: what is in the spans, and that nobody waits for their receiver."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
import redis.asyncio

from tests.cluster.test_running import ended
from tests.support.clients import JsHost, eventually
from tests.support.ports import free_port
from tests.support.processes import Node, Redis, running
from tests.support.receiver import Receiver, receiver
from tests.support.yjs import YjsHost

CODE = "print('the text of the room')"
NAME = "Ada of the tests"


def tracing(redis_server: Redis, name: str, url: str, **env: str) -> Node:
    """Return a node that traces all changes, and sends spans soon."""
    settings = {
        "COLLAB_TRACES": "1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "COLLAB_DRAIN_TIME": "0.2",
    }
    return Node(redis_server.url, name, **{**settings, **env})


@pytest.fixture(scope="module")
async def received() -> AsyncIterator[Receiver]:
    async with receiver() as receiving:
        yield receiving


@pytest.fixture(scope="module")
async def traced(redis_server: Redis, received: Receiver) -> AsyncIterator[tuple[Node, Node]]:
    """Two nodes that trace all changes."""
    pair = tracing(redis_server, "a", received.url), tracing(redis_server, "b", received.url)
    async with running(*pair):
        yield pair
    for node in pair:
        assert "Traceback" not in node.output(), node.output()


async def test_a_change_its_commit_and_its_deliveries_on_all_nodes_are_one_trace(
    traced: tuple[Node, Node], received: Receiver, js: JsHost, room: str
) -> None:
    here, there = traced
    ada = await js.connect(here.url, auth={"name": NAME})
    bob = await js.connect(here.url)
    cleo = await js.connect(there.url)
    for client in (ada, bob, cleo):
        await client.join(room)
    for code in ("it begins the journal", "it brings Redis the script"):
        assert (await ada.change(room, code))["ok"]
        await cleo.shows(code)
    assert (await ada.change(room, CODE))["ok"]
    for client in (bob, cleo):
        await client.shows(CODE)
    await eventually(lambda: len(received.of("change", room)) == 3)
    *earlier, change = sorted(received.of("change", room), key=lambda span: span.began)
    assert change.trace not in {span.trace for span in earlier}
    await eventually(lambda: len(received.trace_of(change)) == 4)
    spans = received.trace_of(change)
    assert [span.name for span in spans] == ["change", "commit", "delivery", "delivery"]
    assert [span.node for span in spans] == ["a", "a", "a", "b"]
    _, commit, at_home, away = spans
    assert [span.parent for span in spans] == [b"", change.id, change.id, commit.id]
    assert change.attributes["collab.endpoint"] == "text"
    assert commit.attributes["collab.outcome"] == "ok" and commit.attributes["collab.changes"] == 1
    assert [at_home.attributes["collab.members"], away.attributes["collab.members"]] == [1, 1]
    assert at_home.attributes["collab.outcome"] == away.attributes["collab.outcome"] == "applied"
    assert change.took >= commit.took > 0 and not any(span.failed for span in spans)


async def test_changes_that_one_commit_carries_are_linked_with_it(
    traced: tuple[Node, Node],
    received: Receiver,
    js: JsHost,
    yjs: YjsHost,
    store: redis.asyncio.Redis,
    room: str,
) -> None:
    node, _ = traced
    ada = await js.connect(node.url)
    await ada.join(room)
    assert (await ada.change(room, "0"))["ok"]
    bob = await yjs.connect(node.url, room)
    await bob.until("synced")
    await store.client_pause(300, all=False)
    changes = [asyncio.create_task(ada.change(room, "0" + "1" * n)) for n in (1, 2)]
    bob.insert(0, "b")
    url, body = f"{node.url}/api/rooms/{room}", {"code": "2"}
    async with aiohttp.ClientSession() as http, http.put(url, json=body) as put:
        assert put.status == 200
    for change in await asyncio.gather(*changes):
        assert change["ok"]
    await eventually(lambda: len(received.of("change", room)) == 5)
    by_id = {span.id: span for span in received.of("change", room)}
    assert sorted(span.attributes["collab.endpoint"] for span in by_id.values()) == [
        "api", "text", "text", "text", "yjs",
    ]  # fmt: skip
    commits = received.of("commit", room)
    assert any(len(commit.links) > 0 for commit in commits)
    carried = [id for commit in commits for id in (commit.parent, *commit.links)]
    assert sorted(carried) == sorted(by_id), "each change has one commit"
    for commit in commits:
        assert commit.attributes["collab.changes"] == 1 + len(commit.links)


async def test_spans_have_no_text_and_no_name(
    traced: tuple[Node, Node], received: Receiver, js: JsHost, room: str
) -> None:
    ada = await js.connect(traced[0].url, auth={"name": NAME})
    assert (await ada.change(room, CODE))["ok"]
    await eventually(lambda: received.of("change", room))
    sent = b"".join(received.bodies)
    assert room.encode() in sent
    for secret in (CODE, NAME, "the text", "Ada", "secret"):
        assert secret.encode() not in sent, secret


async def test_a_node_that_traces_and_one_that_does_not_share_a_room(
    traced: tuple[Node, Node], redis_server: Redis, received: Receiver, js: JsHost, room: str
) -> None:
    plain = Node(redis_server.url, "plain", COLLAB_CHECK_INTERVAL="60")
    async with running(plain):
        ada, bob = await js.connect(traced[0].url), await js.connect(plain.url)
        for client in (ada, bob):
            await client.join(room)
        assert (await ada.change(room, "one"))["ok"]
        await bob.shows("one")
        assert (await bob.change(room, "one, two"))["ok"]
        await ada.shows("one, two")
        await eventually(lambda: received.of("change", room))
    assert {span.node for span in received.spans if span.attributes["collab.room"] == room} == {"a"}


async def test_opentelemetrys_own_sampler_comes_first(
    redis_server: Redis, js: JsHost, room: str
) -> None:
    async with receiver() as mine:
        node = tracing(redis_server, "never", mine.url, OTEL_TRACES_SAMPLER="always_off")
        async with running(node):
            client = await js.connect(node.url)
            assert (await client.change(room, CODE))["ok"]
        assert mine.bodies == []


async def test_the_last_spans_are_sent_when_a_node_stops(
    redis_server: Redis, js: JsHost, room: str
) -> None:
    async with receiver() as mine:
        node = tracing(redis_server, "last", mine.url, OTEL_BSP_SCHEDULE_DELAY="60000")
        async with running(node):
            client = await js.connect(node.url)
            assert (await client.change(room, CODE))["ok"]
            assert mine.spans == []
        assert {span.name for span in mine.spans} == {"change", "commit", "delivery"}


@pytest.mark.parametrize("how", ["hangs", "is away"])
async def test_a_receiver_that_does_not_answer_delays_nobody(
    redis_server: Redis, js: JsHost, room: str, how: str
) -> None:
    async with receiver() as mine:
        mine.hangs = True
        url = mine.url if how == "hangs" else f"http://127.0.0.1:{free_port()}"
        node = tracing(redis_server, "unheard", url, OTEL_BSP_MAX_QUEUE_SIZE="512")
        async with running(node):
            ada, bob = await js.connect(node.url), await js.connect(node.url)
            for client in (ada, bob):
                await client.join(room)
            for number in range(200):  # 600 spans: more than wait
                assert (await ada.change(room, f"{number}"))["ok"]
            await bob.shows("199")
            assert max(ada.trips) < 3
            assert how == "is away" or await eventually(lambda: mine.bodies)
            began = time.monotonic()
            assert await node.stop() == 0
            assert time.monotonic() - began < 8  # one attempt to send would take 10
        assert "Traceback" not in node.output(), node.output()


async def test_without_the_packages_a_node_says_which_to_install_and_does_not_start() -> None:
    hidden = "import sys; sys.modules['opentelemetry'] = None"
    program = f"{hidden}; from collab.cli import main; sys.exit(main([]))"
    code, said = await ended(sys.executable, "-c", program, COLLAB_TRACES="0.1")
    assert code == 1
    assert said.startswith("collab: COLLAB_TRACES needs packages that are not installed")
    assert "pip install 'collaboration-service[otel]'" in said and "Traceback" not in said


def test_a_node_that_does_not_trace_loads_nothing_of_it() -> None:
    """redis-py loads OpenTelemetry's interface if it is installed, but nothing that exports."""
    look = "import collab.cli, sys; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    loaded = shown.stdout.split()
    assert "collab.rooms.room" in loaded and "collab.tracing" not in loaded
    assert not [name for name in loaded if name.startswith("opentelemetry.exporter")]
