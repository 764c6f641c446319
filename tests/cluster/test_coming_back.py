"""Clients that lose their connection and reconnect, to the same node or another, known or not.

They are official clients from npm, whose link a proxy breaks. Their pages join once.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import redis.asyncio

from collab.merge.lateness import LATE_WINDOW
from tests.cluster.wire import WireMember, wire_member
from tests.support.clients import JsClient, JsHost, eventually
from tests.support.processes import Node, Redis, running
from tests.support.proxy import Proxy, proxy

Nodes = tuple[Node, Node]

SAME, OTHER, OPEN, DRAINED, KILLED = "same", "other", "open", "drained", "killed"
KNOWN = [SAME, OTHER, OPEN, DRAINED]
"""Ways to reconnect to the same node or to another: at once, while the old connection seems open,
after the old node has drained, or after it was killed."""


@pytest.fixture(scope="module")
async def homes() -> AsyncIterator[list[Node]]:
    """The homes so far. The last one may still run."""
    homes: list[Node] = []
    yield homes
    for node in homes:
        if node.running:
            await node.stop()
        assert "Traceback" not in node.output(), node.output()
        assert "never retrieved" not in node.output(), node.output()


@pytest.fixture
async def home(redis_server: Redis, homes: list[Node]) -> Node:
    """The node to which a client is connected until its connection breaks.

    It is that of the last test, unless that has ended it.
    """
    if not homes or not homes[-1].running:
        homes.append(Node(redis_server.url, "home", COLLAB_DRAIN_TIME="2"))
        await homes[-1].start()
    return homes[-1]


@pytest.fixture
async def wire(home: Node) -> AsyncIterator[Proxy]:
    """The link of a client to its home node."""
    async with proxy(home.port) as wire:
        yield wire


async def breaks(way: str, wire: Proxy, home: Node, client: JsClient) -> None:
    """Break a client's connection; it reconnects by ``way`` when the wire accepts connections."""
    wire.shut()
    if way == OPEN:
        wire.cut_unnoticed()
    elif way == DRAINED:
        await home.stop()
    elif way == KILLED:
        await home.kill()
    else:
        wire.cut()
    await client.until("disconnect")


def let_in(way: str, wire: Proxy, nodes: Nodes) -> None:
    if way != SAME:
        wire.target = nodes[1].port
    wire.accept()


def url_of(wire: Proxy) -> str:
    return f"http://127.0.0.1:{wire.port}"


async def at_rest(store: redis.asyncio.Redis, room: str, text: str, *clients: JsClient) -> None:
    """Wait until ``text`` is the last text that all clients received, and that Redis has."""
    for client in clients:
        await client.shows(text)
    await until_stored(store, room, text)


async def until_stored(store: redis.asyncio.Redis, room: str, text: str) -> None:
    async with asyncio.timeout(10):
        while await store.get(f"code_{room}") != text.encode():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)


# Known by its pid


@pytest.mark.parametrize("typing", [False, True], ids=["reads", "types"])
@pytest.mark.parametrize("way", [*KNOWN, KILLED])
async def test_a_returning_client_is_its_former_member_if_any_node_knows_it(
    nodes: Nodes, home: Node, wire: Proxy, js: JsHost, store: redis.asyncio.Redis, room: str,
    way: str, typing: bool,
) -> None:  # fmt: skip
    """The client deletes a line while it is away, so it sends a text that the room had before.

    For a node that knows the text on the client's screen that is a deletion. For another node the
    client looks like a page that was away for longer.
    """
    ada, bob = await js.connect(url_of(wire)), await js.connect(nodes[1].url)
    await ada.join(room)
    await bob.join(room)
    await bob.change(room, "one\ntwo\n")
    await ada.shows("one\ntwo\n")
    await asyncio.sleep(1.5 * LATE_WINDOW)  # after that the node knows that the page shows it
    if typing:
        await ada.change(room, "one\ntwo\nthree\n")
        await bob.shows("one\ntwo\nthree\n")
    else:
        await bob.change(room, "one\ntwo\nthree\n")
        await ada.shows("one\ntwo\nthree\n")
        await ada.ask("leave", {"room": f"{room}-another"})  # the answer comes after her PONG
    await breaks(way, wire, home, ada)
    await bob.change(room, "one\ntwo\nthree\nfour\n")
    ada.emit("change", {"room": room, "code": "one\ntwo\n"})
    let_in(way, wire, nodes)
    known = way != KILLED
    assert (await ada.until_reconnected())["recovered"] is known
    merged = "one\ntwo\nfour\n" if known else "one\ntwo\nthree\nfour\n"
    await at_rest(store, room, merged, ada)
    if known:
        await bob.shows(merged)
    assert (await ada.change(room, merged + "five\n"))["ok"]
    await at_rest(store, room, merged + "five\n", bob)


@pytest.mark.parametrize("way", KNOWN)
async def test_a_page_that_reads_in_two_rooms_is_back_in_both_though_it_says_nothing(
    nodes: Nodes, home: Node, wire: Proxy, js: JsHost, room: str, way: str
) -> None:
    rooms = [f"{room}-1", f"{room}-2"]
    ada = await js.connect(url_of(wire), auth={"name": "ada"})
    bob = await js.connect(nodes[1].url, auth={"name": "bob"})

    def people(name: str, client: JsClient) -> list[str]:
        told = [each["members"] for each in client.of("presence") if each["room"] == name]
        return sorted(member["name"] for member in told[-1])

    for name in rooms:
        await ada.join(name)
        await bob.join(name)
        await bob.change(name, f"{name} before")
        await ada.shows(f"{name} before")
    await breaks(way, wire, home, ada)
    ada.events.clear()
    for name in rooms:
        await bob.change(name, f"{name} meanwhile")
    let_in(way, wire, nodes)
    assert (await ada.until_reconnected())["recovered"] is True
    await eventually(lambda: {f"{name} meanwhile" for name in rooms} <= set(ada.codes))
    assert not {f"{name} before" for name in rooms} & set(ada.codes)
    for name in rooms:
        await bob.change(name, f"{name} after")
        await ada.shows(f"{name} after")
        for client in (ada, bob):
            await eventually(lambda name=name, c=client: people(name, c) == ["ada", "bob"])


@pytest.mark.parametrize("way", KNOWN)
async def test_edits_of_both_sides_meanwhile_are_all_there_in_both_rooms(
    nodes: Nodes, home: Node, wire: Proxy, js: JsHost, store: redis.asyncio.Redis, room: str,
    way: str,
) -> None:  # fmt: skip
    rooms = [f"{room}-1", f"{room}-2"]
    ada, bob = await js.connect(url_of(wire)), await js.connect(nodes[1].url)
    for name in rooms:
        await ada.join(name)
        await bob.join(name)
        await ada.change(name, f"{name}\n")
        await bob.shows(f"{name}\n")
    await breaks(way, wire, home, ada)
    for name in rooms:
        await bob.change(name, f"bob\n{name}\n")
    for name in rooms:
        for count in range(1, 4):
            ada.emit("change", {"room": name, "code": f"{name}\n" + "ada"[:count]})
    let_in(way, wire, nodes)
    assert (await ada.until_reconnected())["recovered"] is True
    for name in rooms:
        await until_stored(store, name, f"bob\n{name}\nada")
    for client in (ada, bob):
        await eventually(lambda c=client: {f"bob\n{n}\nada" for n in rooms} <= set(c.codes))
    assert not {f"{name}\n" for name in rooms} & set(ada.codes), "its own letters were overwritten"


@pytest.mark.parametrize("transports", [["polling"], ["polling", "websocket"]])
@pytest.mark.parametrize("way", [SAME, OTHER, DRAINED])
async def test_clients_that_poll_are_known_too(
    nodes: Nodes, home: Node, wire: Proxy, js: JsHost, store: redis.asyncio.Redis, room: str,
    way: str, transports: list[str],
) -> None:  # fmt: skip
    ada = await js.connect(url_of(wire), transports=transports)
    bob = await js.connect(nodes[1].url)
    await ada.join(room)
    await bob.join(room)
    await bob.change(room, "one\n")
    await ada.shows("one\n")
    await breaks(way, wire, home, ada)
    await bob.change(room, "zero\none\n")
    ada.emit("change", {"room": room, "code": "one!\n"})
    let_in(way, wire, nodes)
    assert (await ada.until_reconnected())["recovered"] is True
    await at_rest(store, room, "zero\none!\n", ada, bob)


async def test_a_client_that_returns_to_alternating_nodes_is_known_each_time(
    nodes: Nodes, home: Node, wire: Proxy, js: JsHost, store: redis.asyncio.Redis, room: str
) -> None:
    ada, bob = await js.connect(url_of(wire)), await js.connect(nodes[1].url)
    await ada.join(room)
    await bob.join(room)
    text = "".join(f"line {number}\n" for number in range(6))
    await ada.change(room, text)
    await bob.shows(text)
    for times in range(1, 7):
        wire.shut()
        if times % 3:
            wire.cut()
        else:
            wire.cut_unnoticed()
        await eventually(
            lambda n=times: sum(state["what"] == "disconnect" for state in ada.states) == n
        )
        shown = text
        text = f"bob {times}\n{text}"
        await bob.change(room, text)
        gone = f"line {6 - times}\n"
        ada.emit("change", {"room": room, "code": shown.removesuffix(gone)})
        wire.target = (home, *nodes)[times % 3].port
        wire.accept()
        assert (await ada.until_reconnected(times))["recovered"] is True
        text = text.removesuffix(gone)
        await at_rest(store, room, text, ada, bob)
    assert text == "".join(f"bob {times}\n" for times in range(6, 0, -1))


async def test_changes_that_a_killed_node_acknowledged_are_kept_when_its_client_returns(
    nodes: Nodes, home: Node, wire: Proxy, js: JsHost, store: redis.asyncio.Redis, room: str
) -> None:
    ada, bob = await js.connect(url_of(wire)), await js.connect(nodes[1].url)
    await ada.join(room)
    await bob.join(room)
    for count in range(1, 11):
        assert (await ada.change(room, "acknowledged"[:count]))["ok"]
    await bob.shows("acknowledg")
    await breaks(KILLED, wire, home, ada)
    await bob.change(room, "# bob\nacknowledg")
    ada.emit("change", {"room": room, "code": "acknowledged"})
    let_in(KILLED, wire, nodes)
    assert (await ada.until_reconnected())["recovered"] is False
    await at_rest(store, room, "# bob\nacknowledged", ada, bob)


# A pid is a secret


@asynccontextmanager
async def commands(store: redis.asyncio.Redis) -> AsyncIterator[list[str]]:
    """Yield the commands that Redis receives, as they come."""
    seen: list[str] = []

    async def look() -> None:
        async for command in monitor.listen():
            seen.append(command["command"])

    async with store.monitor() as monitor:
        looking = asyncio.create_task(look())
        try:
            yield seen
        finally:
            looking.cancel()
            await asyncio.wait([looking])


async def test_a_pid_is_in_no_log_no_url_no_presence_and_not_in_redis(
    redis_server: Redis, js: JsHost, store: redis.asyncio.Redis, room: str, stack: AsyncExitStack
) -> None:
    """A client that sends a pid counts as the client that got it."""
    pair = [Node(redis_server.url, name, COLLAB_LOG_LEVEL="debug") for name in ("p", "q")]
    await stack.enter_async_context(running(*pair))
    wire = await stack.enter_async_context(proxy(pair[0].port))
    seen = await stack.enter_async_context(commands(store))
    sent = bytearray()

    def keep(piece: bytes) -> list[bytes]:
        sent.extend(piece)
        return [piece]

    wire.to_server = keep
    ada = await js.connect(url_of(wire), transports=["polling", "websocket"])
    bob = await js.connect(pair[0].url)
    pid = (await ada.until("connect"))["pid"]
    assert len(pid) > 20
    await ada.join(room)
    await bob.join(room)
    await ada.change(room, "ada")
    for times, way in enumerate([OTHER, SAME, DRAINED], 1):
        if way != SAME:
            wire.target = pair[times == 1].port
        if way == DRAINED:
            await pair[1].stop()
        else:
            wire.cut()
        back = await ada.until_reconnected(times)
        assert (back["recovered"], back["pid"]) == (True, pid)
        await ada.change(room, "ada" + "!" * times)
        await bob.shows("ada" + "!" * times)
    await eventually(lambda: any("collab:departed:" in each for each in seen))
    assert any("collab:claims" in each for each in seen)
    assert not [each for each in seen if pid in each]
    for node in pair:
        assert '"event":"connected"' in node.output()
        assert pid not in node.output()
    lines = re.findall(rb"(?:GET|POST) (\S+) HTTP", bytes(sent))
    assert len(lines) > 4 and not [line for line in lines if pid.encode() in line]
    assert pid not in repr(ada.events) + repr(bob.events)


STRANGE: dict[str, Any] = {
    "invented": "invented-by-somebody-else",
    "empty": "",
    "10 kB": "x" * 10_000,
    "lines": "a\nb c\r\n",
    "a lone surrogate": "\ud800",
    "emoji": "🐍" * 30,
    "a number": 7,
    "true": True,
    "null": None,
    "a list": ["x"],
    "an object": {"pid": "x"},
}


@pytest.mark.parametrize("kind", STRANGE)
async def test_a_pid_that_nobody_was_given_makes_a_new_client(
    nodes: Nodes, room: str, store: redis.asyncio.Redis, kind: str
) -> None:
    shown = {"pid": STRANGE[kind], "offset": "x"}
    async with wire_member(nodes[0].url, auth=shown) as ada, wire_member(nodes[1].url) as bob:
        assert ada.pid not in ("", STRANGE[kind])
        await ada.join(room)
        await bob.join(room)
        await (await ada.type(room, "typed"))
        await bob.shows("typed")
        assert ada.errors == bob.errors == []


async def test_of_two_connections_with_one_pid_the_later_one_has_it(
    nodes: Nodes, room: str, store: redis.asyncio.Redis, stack: AsyncExitStack
) -> None:
    """A client can't do that, but somebody who has stolen a pid can."""

    async def member(node: Node, pid: str = "") -> WireMember:
        auth = {"pid": pid} if pid else None
        return await stack.enter_async_context(wire_member(node.url, auth=auth))

    first = await member(nodes[0])
    await first.join(room)
    await (await first.type(room, "one"))
    for node in (*nodes, *nodes):
        second = await member(node, first.pid)
        assert second.pid == first.pid
        await eventually(lambda earlier=first: earlier.closed)
        second.text = first.text
        assert (await (await second.type(room, first.text + "!")))["ok"]
        await until_stored(store, room, second.text)
        first = second


async def test_many_connections_at_once_with_one_pid_leave_one_member_and_one_text(
    nodes: Nodes, room: str, store: redis.asyncio.Redis, stack: AsyncExitStack
) -> None:
    watcher = await stack.enter_async_context(wire_member(nodes[0].url))
    await watcher.join(room)
    async with wire_member(nodes[0].url) as first:
        await first.join(room)
        await (await first.type(room, "typed "))
        pid = first.pid
    await watcher.shows("typed ")
    members = await asyncio.gather(
        *(
            stack.enter_async_context(wire_member(nodes[i % 2].url, auth={"pid": pid}))
            for i in range(10)
        )
    )
    here = [member for member in members if not member.closed]
    assert len({member.pid for member in here}) == len(here), "two have one pid"
    for member in here:
        await member.join(room)
        await member.shows(watcher.text)
        await (await member.type(room, member.text + "."))
        await watcher.shows(member.text)
    await until_stored(store, room, "typed " + "." * len(here))
    assert not watcher.errors


async def test_invalid_messages_on_the_channel_for_claims_are_ignored(
    nodes: Nodes, store: redis.asyncio.Redis
) -> None:
    before = [node.output().count("unknown words") for node in nodes]
    for words in (b"", b"C ", b"C \n", b"garbage", b"C a b c\nd", b"C a b\n\xff\xfe"):
        await store.publish("collab:claims", words)
    for node, count in zip(nodes, before, strict=True):
        await eventually(lambda n=node, c=count: n.output().count("unknown words") >= c + 5)
        assert "Traceback" not in node.output(), node.output()
