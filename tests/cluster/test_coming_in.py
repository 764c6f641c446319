"""Pages that join a room, or mount in it again: they may show nothing while others see a text.

All rooms are old here: the older part of their history is compacted, so the history has no empty
text any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import redis.asyncio

from collab.store.keys import room_keys
from tests.cluster.wire import WireMember, wire_member
from tests.support.clients import JsHost, eventually
from tests.support.processes import Node, Redis, running
from tests.support.proxy import proxy

Nodes = tuple[Node, Node]
CODE = "def solve(values):\n    return sum(values)\n"
FAR = 0.05
"""Seconds on the wire, each way, so that a page can send something before a receive is there."""


@pytest.fixture(scope="module")
async def nodes(redis_server: Redis) -> AsyncIterator[Nodes]:
    """Two nodes that keep the last few entries of a history."""
    few = {"COLLAB_MAX_JOURNAL_ENTRIES": "4"}
    pair = Node(redis_server.url, "a", **few), Node(redis_server.url, "b", **few)
    async with running(*pair):
        yield pair
    for node in pair:
        assert "Traceback" not in node.output(), node.output()


@pytest.fixture
async def ada(
    nodes: Nodes, room: str, store: redis.asyncio.Redis, stack: AsyncExitStack
) -> WireMember:
    """A member that was in the room all the time; the room has `CODE`, and no other text known."""
    ada = await stack.enter_async_context(wire_member(nodes[0].url))
    await ada.join(room)
    head = room_keys(room)[2]
    for number in range(40):
        await (await ada.type(room, CODE + "#" * (number % 8)))
        if number >= 8 and number % 8 == 0 and await store.hget(head, "base"):
            return ada
    raise AssertionError("the history was not compacted")


async def far_member(stack: AsyncExitStack, node: Node) -> WireMember:
    wire = await stack.enter_async_context(proxy(node.port, FAR))
    return await stack.enter_async_context(wire_member(f"http://127.0.0.1:{wire.port}"))


async def stored(store: redis.asyncio.Redis, room: str) -> str:
    return (await store.get(f"code_{room}") or b"").decode()


# Before the connection is there


async def until_stored(store: redis.asyncio.Redis, room: str, text: str) -> None:
    """Wait until Redis has a text: members of the same node show it before the commit."""
    async with asyncio.timeout(5):
        while await stored(store, room) != text:  # noqa: ASYNC110 - Redis tells nobody
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("to", [0, 1])
async def test_a_key_before_the_connection_is_there_is_inserted_into_an_old_room(
    nodes: Nodes, js: JsHost, room: str, ada: WireMember, store: redis.asyncio.Redis, to: int
) -> None:
    """socket.io-client sends kept events before the page's handler of connect can join."""
    fresh = await js.connect(nodes[to].url, wait=False)
    fresh.emit("change", {"room": room, "code": "x"})
    await fresh.until("connect")
    assert (await fresh.join(room))["ok"]
    await eventually(lambda: "x" in ada.text)
    assert ada.text.replace("x", "") == CODE
    await fresh.shows(ada.text)
    await until_stored(store, room, ada.text)


@pytest.mark.parametrize("to", [0, 1])
async def test_an_editor_that_sends_an_empty_text_at_its_start_deletes_nothing(
    nodes: Nodes, js: JsHost, room: str, ada: WireMember, store: redis.asyncio.Redis, to: int
) -> None:
    fresh = await js.connect(nodes[to].url, wait=False)
    fresh.emit("change", {"room": room, "code": ""})
    await fresh.until("connect")
    assert (await fresh.join(room))["ok"]
    await fresh.shows(CODE)
    assert (await fresh.change(room, CODE + "!"))["ok"]
    await ada.shows(CODE + "!")
    assert await stored(store, room) == CODE + "!"


async def test_an_empty_editor_that_never_joins_is_shown_the_room(
    nodes: Nodes, js: JsHost, room: str, ada: WireMember
) -> None:
    fresh = await js.connect(nodes[1].url, wait=False)
    assert (await fresh.change(room, ""))["ok"]
    await fresh.shows(CODE)
    assert ada.text == CODE


async def test_keys_before_the_connection_is_there_are_all_inserted_once(
    nodes: Nodes, js: JsHost, room: str, ada: WireMember, store: redis.asyncio.Redis
) -> None:
    fresh = await js.connect(nodes[1].url, wait=False)
    for text in ("w", "wx", "wxy", "wxz"):
        fresh.emit("change", {"room": room, "code": text})
    await fresh.until("connect")
    assert (await fresh.join(room))["ok"]
    await eventually(lambda: "wxz" in ada.text)
    assert ada.text.replace("wxz", "") == CODE
    await fresh.shows(ada.text)
    await until_stored(store, room, ada.text)


# Mounting again on one connection


MOUNTS = {"leave, then join": ["leave", "join"], "join again": ["join"]}


@pytest.mark.parametrize("how", MOUNTS)
async def test_a_key_on_a_page_that_mounts_again_deletes_nothing(
    nodes: Nodes, stack: AsyncExitStack, room: str, ada: WireMember, store: redis.asyncio.Redis,
    how: str,
) -> None:  # fmt: skip
    """The editor is empty until the receive for its join arrives."""
    bob = await far_member(stack, nodes[0])
    await bob.join(room)
    await bob.shows(CODE)
    await (await bob.type(room, CODE + "!"))
    await ada.shows(CODE + "!")
    answers = [await bob.send(event, {"room": room}) for event in MOUNTS[how]]
    changed = await bob.type(room, "x")
    assert all([(await answer)["ok"] for answer in (*answers, changed)])
    await eventually(lambda: "x" in ada.text)
    assert ada.text.replace("x", "") == CODE + "!"
    await bob.shows(ada.text)
    await until_stored(store, room, ada.text)


@pytest.mark.parametrize("how", MOUNTS)
async def test_a_page_that_joins_again_and_kept_its_text_goes_on_from_it(
    nodes: Nodes, stack: AsyncExitStack, room: str, ada: WireMember, store: redis.asyncio.Redis,
    how: str,
) -> None:  # fmt: skip
    bob = await far_member(stack, nodes[0])
    await bob.join(room)
    await bob.shows(CODE)
    await (await bob.type(room, CODE + "!"))
    answers = [await bob.send(event, {"room": room}) for event in MOUNTS[how]]
    changed = await bob.type(room, CODE + "!?")
    assert all([(await answer)["ok"] for answer in (*answers, changed)])
    await bob.shows(CODE + "!?")
    await ada.shows(CODE + "!?")
    assert await stored(store, room) == CODE + "!?"


async def test_a_page_that_mounts_again_and_again_loses_nothing_that_anybody_types(
    nodes: Nodes, stack: AsyncExitStack, room: str, ada: WireMember, store: redis.asyncio.Redis
) -> None:
    bob = await far_member(stack, nodes[1])
    letters = [chr(0x4E00 + number) for number in range(12)]
    for number, letter in enumerate(letters):
        answers = [await bob.send(event, {"room": room}) for event in ("join", "leave", "join")]
        answers.append(await bob.type(room, letter))
        if number % 2:
            await ada.type(room, ada.text + ".")
        assert all([(await answer)["ok"] for answer in answers if answer is not answers[1]])
        await eventually(lambda letter=letter: letter in ada.text)
    await eventually(lambda: bob.text == ada.text)
    assert sorted(ada.text) == sorted(CODE + "." * 6 + "".join(letters))
    await until_stored(store, room, ada.text)


# After a leave


async def test_changes_after_a_leave_are_those_of_the_one_member_that_the_connection_is(
    nodes: Nodes, stack: AsyncExitStack, room: str, store: redis.asyncio.Redis
) -> None:
    """A page that debounces sends its last text after it has left, and so joins the room again."""
    bob = await far_member(stack, nodes[0])
    await bob.join(room)
    await (await bob.type(room, "one "))
    await bob.ask("leave", {"room": room})
    await (await bob.type(room, "one two "))
    await (await bob.type(room, "one two three "))
    await bob.ask("leave", {"room": room})
    joined = await bob.send("join", {"room": room})
    assert (await (await bob.type(room, "one two three four ")))["ok"]
    assert (await joined)["ok"]
    await bob.shows("one two three four ")
    assert await stored(store, room) == "one two three four "


async def test_a_client_that_left_and_sent_a_late_change_is_one_person_until_it_disconnects(
    nodes: Nodes, js: JsHost, room: str, ada: WireMember, store: redis.asyncio.Redis
) -> None:
    bob = await js.connect(nodes[0].url, auth={"name": "bob"})
    carl = await js.connect(nodes[1].url, auth={"name": "carl"})
    await carl.join(room)

    def names() -> list[str]:
        return [person["name"] for person in carl.of("presence")[-1]["members"]]

    for number in range(3):
        await bob.join(room)
        await bob.shows(CODE + "!" * number)
        await bob.ask("leave", {"room": room})
        assert (await bob.change(room, CODE + "!" * (number + 1)))["ok"]
        await eventually(lambda: names().count("bob") == 1)
        bob.events.clear()
    bob.close()
    await eventually(lambda: "bob" not in names())
    back = await js.connect(nodes[0].url, auth={"name": "bob"})
    assert (await back.change(room, CODE + "!!!?"))["ok"]
    await carl.shows(CODE + "!!!?")
    assert await stored(store, room) == CODE + "!!!?"
    await asyncio.gather(ada.shows(CODE + "!!!?"), eventually(lambda: names().count("bob") == 1))
