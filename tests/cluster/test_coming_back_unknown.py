"""Returning clients that no node knows: their text is searched in the room's history."""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
import sys
import time
from contextlib import AsyncExitStack

import pytest
import redis.asyncio

from collab.merge.window import HOLD_SECONDS
from collab.rooms.search import MAX_RECENT
from collab.sio.endpoint import JOIN_TIMEOUT
from collab.store.keys import room_keys
from tests.cluster.wire import WireMember, wire_member
from tests.support.clients import JsHost, eventually
from tests.support.processes import Node, Redis, running
from tests.support.proxy import proxy

Nodes = tuple[Node, Node]


async def member_of(stack: AsyncExitStack, node: Node, room: str) -> WireMember:
    member = await stack.enter_async_context(wire_member(node.url))
    await member.join(room)
    return member


async def until_stored(store: redis.asyncio.Redis, room: str, text: str) -> None:
    async with asyncio.timeout(10):
        while await store.get(f"code_{room}") != text.encode():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)


# Away for long


@pytest.mark.parametrize("to", ["the same node", "another node"])
async def test_a_page_that_was_away_for_long_and_never_joins_adds_its_key_and_deletes_nothing(
    redis_server: Redis, nodes: Nodes, js: JsHost, stack: AsyncExitStack, room: str,
    store: redis.asyncio.Redis, to: str,
) -> None:  # fmt: skip
    """The client's node has unloaded the room with its views, and many edits have been made."""
    home = Node(redis_server.url, "home", COLLAB_ROOM_GRACE="0.05")
    fast = Node(redis_server.url, "fast", COLLAB_MAX_CHANGES_PER_SECOND="5000")
    await stack.enter_async_context(running(home, fast))
    wire = await stack.enter_async_context(proxy(home.port))
    ada = await js.connect(f"http://127.0.0.1:{wire.port}")
    bob = await member_of(stack, fast, room)
    await ada.join(room)
    await ada.change(room, "# Ada\n")
    await bob.shows("# Ada\n")
    wire.refuse()
    await ada.until("disconnect")
    text = bob.text
    for number in range(8):
        text += f"line {number} of Bob's\n"
        await (await bob.type(room, text))
    for number in range(MAX_RECENT + 1):
        await (await bob.type(room, text + "." * (number % 2)))
    text = bob.text
    assert await store.xlen(room_keys(room)[1]) > MAX_RECENT + 8
    ada.emit("change", {"room": room, "code": "# Ada!\n"})
    wire.target = (home if to == "the same node" else nodes[1]).port
    wire.accept()
    assert (await ada.until_reconnected())["recovered"] is False
    merged = text.replace("# Ada\n", "# Ada!\n")
    await bob.shows(merged)
    await ada.shows(merged)
    await until_stored(store, room, merged)


# Joining again at once

OF_A_KILLED_NODE = {"pid": "given by a node that was killed"}


async def test_a_page_that_no_node_knows_can_send_what_it_shows_before_a_receive_overwrites_it(
    nodes: Nodes, stack: AsyncExitStack, room: str, store: redis.asyncio.Redis
) -> None:
    """Its link was dead, and it has kept nothing back: only its screen has what was typed."""
    bob = await member_of(stack, nodes[0], room)
    await (await bob.type(room, "# Ada\n"))
    ada = await stack.enter_async_context(wire_member(nodes[1].url, auth=OF_A_KILLED_NODE))
    await ada.join(room)
    await asyncio.sleep(HOLD_SECONDS / 2)
    assert ada.codes == []
    await (await bob.type(room, "# Bob\n# Ada\n"))
    await (await ada.type(room, "# Ada\nnever acknowledged\n"))
    merged = "# Bob\n# Ada\nnever acknowledged\n"
    await ada.shows(merged)
    await bob.shows(merged)
    await until_stored(store, room, merged)


async def test_a_page_that_no_node_knows_and_that_sends_nothing_gets_the_text_soon(
    nodes: Nodes, stack: AsyncExitStack, room: str
) -> None:
    bob = await member_of(stack, nodes[0], room)
    await (await bob.type(room, "# Ada\n"))
    ada = await stack.enter_async_context(wire_member(nodes[1].url, auth=OF_A_KILLED_NODE))
    began = time.monotonic()
    await ada.join(room)
    await ada.shows("# Ada\n")
    assert time.monotonic() - began < HOLD_SECONDS + 1
    await asyncio.sleep(max(0.0, began + JOIN_TIMEOUT - time.monotonic()))
    await (await bob.type(room + "-later", "at once"))
    began = time.monotonic()
    await ada.join(room + "-later")
    await ada.shows("at once")
    assert time.monotonic() - began < HOLD_SECONDS / 2


# Redis away


async def test_a_change_that_cannot_be_placed_without_redis_is_refused_and_comes_with_the_next(
    stack: AsyncExitStack, room: str
) -> None:
    """Edits made while the page was away must not be deleted, nor its own text overwritten."""
    server = Redis()
    await stack.enter_async_context(running(server))
    timing = {"COLLAB_REDIS_TIMEOUT": "0.4", "COLLAB_CHECK_INTERVAL": "0.2"}
    pair = [Node(server.url, name, **timing) for name in ("a", "b")]
    await stack.enter_async_context(running(*pair))
    store = await stack.enter_async_context(redis.asyncio.Redis.from_url(server.url))
    bob = await member_of(stack, pair[1], room)
    async with wire_member(pair[0].url) as ada:
        await ada.join(room)
        await (await ada.type(room, "def f():\n"))
        await bob.shows("def f():\n")
    assert server.process is not None
    server.process.send_signal(signal.SIGSTOP)
    try:
        away = "def f():\n    return 42  # typed while Redis was away\n"
        await bob.type(room, away)
        await pair[0].kill()
        back = await stack.enter_async_context(wire_member(pair[1].url))
        refused = await (await back.type(room, "def f(x):\n"))
        assert refused["error"]["code"] == "store_unavailable"
        assert [error["code"] for error in back.errors] == ["store_unavailable"]
        await bob.type(room, away + "#")
        assert bob.codes == ["def f():\n"]
    finally:
        server.process.send_signal(signal.SIGCONT)
    await until_stored(store, room, away + "#")
    assert back.text == "def f(x):\n", "what it shows was overwritten"

    assert (await (await back.type(room, "def f(x, y):\n")))["ok"]
    merged = away.replace("f()", "f(x, y)") + "#"
    await bob.shows(merged)
    await back.shows(merged)
    await until_stored(store, room, merged)


async def test_a_page_that_was_refused_without_redis_gets_the_text_when_it_joins(
    stack: AsyncExitStack, room: str
) -> None:
    server = Redis()
    await stack.enter_async_context(running(server))
    node = Node(server.url, "a", COLLAB_REDIS_TIMEOUT="0.4")
    await stack.enter_async_context(running(node))
    bob = await member_of(stack, node, room)
    await (await bob.type(room, "Bob's"))
    back = await stack.enter_async_context(wire_member(node.url))
    assert server.process is not None
    server.process.send_signal(signal.SIGSTOP)
    try:
        refused = await (await back.type(room, "Bob's!"))
        assert refused["error"]["code"] == "store_unavailable"
        await back.join(room)
        await back.shows("Bob's")
    finally:
        server.process.send_signal(signal.SIGCONT)


async def test_a_client_whose_change_the_node_is_placing_is_not_taken_for_silent(
    stack: AsyncExitStack, room: str
) -> None:
    """Its PONGs wait behind its change: the node handles one message at a time."""
    server = Redis()
    await stack.enter_async_context(running(server))
    node = Node(
        server.url, "a",
        COLLAB_REDIS_TIMEOUT="1.5", COLLAB_PING_INTERVAL="0.2", COLLAB_PING_TIMEOUT="0.2",
    )  # fmt: skip
    await stack.enter_async_context(running(node))
    bob = await member_of(stack, node, room)
    await (await bob.type(room, "Bob's"))
    back = await stack.enter_async_context(wire_member(node.url))
    assert server.process is not None
    server.process.send_signal(signal.SIGSTOP)
    try:
        async with asyncio.timeout(5):
            refused = await (await back.type(room, "Bob's!"))
    finally:
        server.process.send_signal(signal.SIGCONT)
    assert refused["error"]["code"] == "store_unavailable"
    assert (await (await back.type(room, "Bob's!")))["ok"]
    await bob.shows("Bob's!")
    back.sends_pongs = False
    await eventually(lambda: back.closed, "who is silent is not disconnected any more")


async def test_a_node_that_drains_while_redis_is_away_leaves_no_views_and_ends_in_time(
    stack: AsyncExitStack, js: JsHost, room: str
) -> None:
    server = Redis()
    await stack.enter_async_context(running(server))
    timing = {"COLLAB_REDIS_TIMEOUT": "0.4", "COLLAB_DRAIN_TIME": "1"}
    node = Node(server.url, "a", **timing)
    await stack.enter_async_context(running(node))
    ada = await js.connect(node.url, reconnection=False)
    await ada.join(room)
    await ada.change(room, "ada")
    assert server.process is not None
    server.process.send_signal(signal.SIGSTOP)
    try:
        ada.emit("change", {"room": room, "code": "ada!"})
        await asyncio.sleep(0.05)
        assert await node.stop() == 0
    finally:
        server.process.send_signal(signal.SIGCONT)
    assert "Traceback" not in node.output(), node.output()
    assert "never retrieved" not in node.output(), node.output()


# A hundred at once

CLIENTS, ARRIVAL_SECONDS = 100, 0.5
"""Clients, and the seconds in which they connect: socket.io-client waits 0.5 to 1.5 at random."""
ROUND_TRIP, MAX_ROUND_TRIP = 0.25, 2.0
"""Seconds that nine of ten changes of another client may take meanwhile, and the seconds that any
of them may take, on a busy machine. All searches together take longer."""


async def test_a_hundred_that_return_at_once_keep_nobody_waiting_and_end_with_one_text(
    redis_server: Redis, js: JsHost, stack: AsyncExitStack, room: str, store: redis.asyncio.Redis
) -> None:
    rng = random.Random(1)
    fast = Node(redis_server.url, "fast", COLLAB_MAX_BYTES_PER_SECOND="1000000000")
    await stack.enter_async_context(running(fast))
    text = "".join(f"line {number} of a long file\n" for number in range(9000))[:200_000]
    bob = await member_of(stack, fast, room)
    await (await bob.type(room, text))
    for number in range(400):  # faster than people type, and than a client may send
        at = rng.randrange(len(text))
        text = text[:at] + chr(0x4E00 + number) + text[at:]
        await (await bob.type(room, text))
    node = Node(redis_server.url, "crowded")
    await stack.enter_async_context(running(node))
    members = [await stack.enter_async_context(wire_member(node.url)) for _ in range(CLIENTS)]
    for member in members:
        member.sends_pongs = False  # so that each is not sent the letters of all others
    other = await js.connect(node.url)
    await other.change(f"{room}-other", "")

    async def types_on() -> None:
        for count in itertools.count():
            assert (await other.change(f"{room}-other", "." * count))["ok"]
            await asyncio.sleep(0.02)

    typing = asyncio.create_task(types_on())
    loop = asyncio.get_running_loop()
    began = loop.time()
    answers = []
    for number, member in enumerate(members):
        mine = text[:number] + chr(0x5E00 + number) + text[number:]
        answers.append(await member.type(room, mine))
        await asyncio.sleep(ARRIVAL_SECONDS / CLIENTS)
    async with asyncio.timeout(50):
        assert all([(await answer)["ok"] for answer in answers])
        took = loop.time() - began
    for member in members:
        member.sends_pongs = True
        await member.send_pongs()
    typing.cancel()
    await asyncio.wait([typing])
    trips = sorted(other.trips)
    sys.stdout.write(
        f"\n{CLIENTS} are back after {took:.1f} s; meanwhile {len(trips)} round trips of another, "
        f"{trips[len(trips) // 2] * 1000:.0f} ms at the median, {trips[-1] * 1000:.0f} at most\n"
    )
    assert not any(member.closed for member in members) and other.state("disconnect") is None
    await eventually(lambda: len({member.text for member in (bob, *members)}) == 1, within=20)
    assert len(bob.text) == len(text) + CLIENTS
    assert {chr(0x5E00 + number) for number in range(CLIENTS)} <= set(bob.text)
    await until_stored(store, room, bob.text)
    assert trips[len(trips) * 9 // 10] < ROUND_TRIP and trips[-1] < MAX_ROUND_TRIP
