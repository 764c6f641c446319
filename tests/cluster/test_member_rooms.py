"""Members that return, and that join and leave while texts are in flight."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
import redis.asyncio

from tests.cluster.people import (
    far_url,
    member_of,
    stored,
    until,
    until_equal,
    until_stored,
)
from tests.cluster.wire import wire_member
from tests.support.clients import JsHost, eventually
from tests.support.processes import Node
from tests.support.proxy import proxy

Nodes = tuple[Node, Node]


# Coming back


@pytest.mark.parametrize("to", ["the same node", "another node", "a node that loads the room cold"])
async def test_a_client_that_returns_with_a_change_and_no_join_loses_no_edit_of_anybody(
    nodes: Nodes, js: JsHost, room: str, to: str, store: redis.asyncio.Redis
) -> None:
    base = "def solve(values):\n    total = 0\n    return total\n"
    stays = await js.connect(nodes[0].url)
    goes = await js.connect(nodes[0].url)
    await stays.join(room)
    await goes.join(room)
    if to == "another node":
        await (await js.connect(nodes[1].url)).join(room)
    await stays.change(room, base)
    await goes.shows(base)
    goes.close()
    await goes.until("disconnect")
    meanwhile = base.replace("total = 0\n", "total = 0\n    for value in values:\n        pass\n")
    await stays.change(room, meanwhile)

    back = await js.connect(nodes["same" not in to].url)
    mine = base.replace("return total", "return total  # the sum")
    reply = await back.change(room, mine)
    assert reply == {"ok": True}
    merged = meanwhile.replace("return total", "return total  # the sum")
    await back.shows(merged)
    await stays.shows(merged)
    await until_stored(store, room, merged)
    assert back.codes == [merged], "it is sent the merged text alone"


async def test_a_client_that_returns_with_the_rooms_own_text_is_sent_nothing(
    nodes: Nodes, js: JsHost, room: str
) -> None:
    stays, back = await js.connect(nodes[0].url), await js.connect(nodes[1].url)
    await stays.change(room, "as it was")
    assert (await back.change(room, "as it was"))["ok"]
    await stays.change(room, "as it was, and on")
    await back.shows("as it was, and on")
    assert back.codes == ["as it was, and on"] and stays.codes == []


async def test_a_client_that_was_cut_off_and_typed_on_sends_it_all_when_it_is_back(
    nodes: Nodes, stack: AsyncExitStack, js: JsHost, room: str
) -> None:
    wire = await stack.enter_async_context(proxy(nodes[0].port, 0.01))
    far = await js.connect(f"http://127.0.0.1:{wire.port}")
    near = await js.connect(nodes[1].url)
    await far.join(room)
    await near.join(room)
    await near.change(room, "one\ntwo\nthree\n")
    await far.shows("one\ntwo\nthree\n")
    wire.refuse()
    await far.until("disconnect")
    await near.change(room, "zero\none\ntwo\nthree\n")
    for i in range(1, 6):  # the official client sends these when it has reconnected
        far.emit("change", {"room": room, "code": "one\ntwo\nthree\nfour!"[: 13 + i]})
    wire.accept()
    await near.shows("zero\none\ntwo\nthree\nfour!"[:23])
    await far.shows(near.codes[-1])
    assert near.codes[-1] == "zero\none\ntwo\nthree\nfour"[:23]


# Rooms, joining, leaving


async def test_marks_of_one_room_do_not_disturb_another_on_the_same_connection(
    nodes: Nodes, stack: AsyncExitStack, room: str, store: redis.asyncio.Redis
) -> None:
    rooms = [f"{room}-{i}" for i in range(3)]
    both = await stack.enter_async_context(wire_member(await far_url(stack, nodes[0])))
    others = [await member_of(stack, nodes[i % 2].url, name) for i, name in enumerate(rooms)]
    for i, name in enumerate(rooms):
        await both.join(name)
        await (await others[i].type(name, f"{i}:"))

    def shown(i: int) -> str:
        """Return what the connection last received or typed in a room."""
        return next((code for code in reversed(both.codes) if code.startswith(f"{i}:")), "")

    await eventually(lambda: all(shown(i) for i in range(3)))
    for step in range(25):
        for i, name in enumerate(rooms):
            await others[i].type(name, others[i].text + chr(0x4E00 + step))
            mine = shown(i) + chr(0x5E00 + step)
            both.codes.append(mine)  # the page shows it in that room's editor
            await both.type(name, mine)
        await asyncio.sleep(0.03)
    for i, name in enumerate(rooms):

        async def complete(name: str = name) -> bool:
            return len(await stored(store, name)) >= 52

        await until(complete)
        code = await stored(store, name)
        typed = {chr(first + step) for first in (0x4E00, 0x5E00) for step in range(25)}
        assert len(code) == 52 and typed <= set(code)
        await eventually(lambda i=i, code=code: shown(i) == others[i].text == code)


async def test_joining_twice_sends_the_text_twice_and_loses_nothing_typed_around_it(
    nodes: Nodes, stack: AsyncExitStack, room: str, store: redis.asyncio.Redis
) -> None:
    here = await member_of(stack, await far_url(stack, nodes[0]), room)
    there = await member_of(stack, nodes[1].url, room)
    await (await here.type(room, "base"))
    await there.shows("base")
    await there.type(room, "base there")
    await here.type(room, "here base")
    joined = await here.send("join", {"room": room})
    await here.type(room, "here, base")
    assert (await joined)["ok"]
    await until_equal([here, there], room, store)
    assert here.text == "here, base there"


async def test_leaving_with_receives_in_flight_and_joining_again_loses_nothing(
    nodes: Nodes, stack: AsyncExitStack, room: str, store: redis.asyncio.Redis
) -> None:
    here = await member_of(stack, await far_url(stack, nodes[0]), room)
    there = await member_of(stack, nodes[0].url, room)
    await (await here.type(room, "base\n"))
    await there.shows("base\n")
    for i in range(5):
        await there.type(room, there.text + f"there {i}\n")
    await here.type(room, "here\n" + here.text)
    left = await here.send("leave", {"room": room})
    await there.type(room, there.text + "while it was away\n")
    joined = await here.send("join", {"room": room})
    await here.type(room, "again\n" + here.text)
    assert (await left)["ok"] and (await joined)["ok"]
    await here.type(room, here.text + "and on\n")
    await until_equal([here, there], room, store)
    lines = here.text.splitlines()
    assert sorted(lines) == sorted(
        ["again", "here", "base", *(f"there {i}" for i in range(5)), "while it was away", "and on"]
    )


async def test_a_client_that_types_between_join_and_its_answer_after_a_reconnect_loses_nothing(
    nodes: Nodes, stack: AsyncExitStack, room: str, store: redis.asyncio.Redis
) -> None:
    there = await member_of(stack, nodes[0].url, room)
    url = await far_url(stack, nodes[0])
    async with wire_member(url) as before:
        await before.join(room)
        await (await there.type(room, "base\nof both\n"))
        await before.shows("base\nof both\n")
    await (await there.type(room, "base\nof both\nthere\n"))
    again = await stack.enter_async_context(wire_member(url))
    again.text = "base\nof both\n"
    joined = await again.send("join", {"room": room})
    await again.type(room, "here\n" + again.text)
    assert (await joined)["ok"]
    await until_equal([again, there], room, store)
    assert again.text == "here\nbase\nof both\nthere\n"


async def test_leaving_before_a_receive_is_written_and_joining_again_gets_the_text(
    nodes: Nodes, stack: AsyncExitStack, room: str
) -> None:
    # Guards against a dropped slot of the outbox that prevented the next one from being queued.
    writer = await member_of(stack, nodes[0].url, room)
    await (await writer.type(room, "here"))
    member = await stack.enter_async_context(wire_member(nodes[0].url))
    for _ in range(20):
        answers = [
            await member.send(event, {"room": room}) for event in ("join", "leave", "join", "leave")
        ]
        for answer in answers:
            await answer
        member.text = ""
        await member.join(room)
        await member.shows("here")
        assert (await member.ask("leave", {"room": room}))["ok"]


async def test_a_client_whose_connection_broke_unnoticed_may_be_its_former_member(
    nodes: Nodes, stack: AsyncExitStack, room: str, store: redis.asyncio.Redis
) -> None:
    wire = await stack.enter_async_context(proxy(nodes[0].port, 0.01))
    far = await member_of(stack, f"http://127.0.0.1:{wire.port}", room)
    near = await member_of(stack, nodes[0].url, room)
    await (await near.type(room, "alpha beta gamma"))
    await far.shows("alpha beta gamma")
    wire.to_client = lambda piece: []  # everything from the node is lost, unnoticed
    await near.type(room, "alpha, beta, gamma")
    await far.type(room, "alpha beta gamma delta")
    await near.shows("alpha, beta, gamma delta")
    again = await stack.enter_async_context(wire_member(nodes[0].url))
    assert (await (await again.type(room, "alpha beta gamma delta epsilon")))["ok"]
    await until_equal([again, near], room, store)
    assert again.text == "alpha, beta, gamma delta epsilon"


# Polling and the upgrade


async def test_a_websocket_that_fails_during_the_upgrade_costs_a_polling_client_nothing(
    nodes: Nodes, stack: AsyncExitStack, js: JsHost, room: str
) -> None:
    wire = await stack.enter_async_context(proxy(nodes[0].port, 0.01))
    probed: list[bytes] = []

    def fail_the_probe(piece: bytes) -> list[bytes]:
        if piece.endswith(b"2probe") or b"\x81\x86" in piece[:4]:  # a masked frame of six bytes
            probed.append(piece)
            return []
        return [piece]

    wire.to_server = fail_the_probe
    polling = await js.connect(f"http://127.0.0.1:{wire.port}", transports=["polling", "websocket"])
    other = await js.connect(nodes[1].url)
    await polling.join(room)
    await other.join(room)
    await eventually(lambda: probed)
    for i in range(10):
        await polling.change(room, "x" * (2 * i + 1))
        await other.shows("x" * (2 * i + 1))
        await other.change(room, "x" * (2 * i + 2))
        await polling.shows("x" * (2 * i + 2))
    assert polling.state("upgrade") is None
    wire.refuse()  # a cut alone could fall between two polls
    await polling.until("disconnect")
    wire.accept()
