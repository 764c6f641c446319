"""Presence at both endpoints: one list, on all nodes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from collab.rooms.roster import MAX_MISSED_REPORTS
from collab.yjs import protocol
from tests.support.clients import JsClient, JsHost, eventually
from tests.support.processes import Node, Redis, get_metrics, running
from tests.support.yjs import YjsHost

INTERVAL = 0.5
Nodes = tuple[Node, Node]


@pytest.fixture(scope="module")
async def brisk(redis_server: Redis) -> AsyncIterator[Nodes]:
    """Two nodes that report often."""
    pair = tuple(
        Node(redis_server.url, name, COLLAB_PRESENCE_INTERVAL=str(INTERVAL)) for name in ("c", "d")
    )
    async with running(*pair):
        yield pair  # type: ignore[misc]
    for node in pair:
        assert "Traceback" not in node.output(), node.output()


def people(client: JsClient) -> list[tuple[str, str]]:
    told = client.of("presence")
    return [(member["name"], member["node"]) for member in told[-1]["members"]] if told else []


def state(name: str) -> dict[str, Any]:
    return {"user": {"name": name, "color": "#123456"}}


async def test_both_endpoints_and_both_nodes_show_the_same_people(
    brisk: Nodes, yjs: YjsHost, js: JsHost, room: str
) -> None:
    ada = await yjs.connect(brisk[0].url, room, params={"name": "Ada"})
    bob = await yjs.connect(brisk[1].url, room)
    tim = await js.connect(brisk[0].url, auth={"name": "Tim"})
    tom = await js.connect(brisk[1].url, auth={"name": "Tom"})
    for text in (tim, tom):
        await text.join(room)
    bob.do("local", field="user", value={"name": "Bob", "color": "#123456"})
    for text in (tim, tom):
        await eventually(
            lambda text=text: people(text) == [
                ("Ada", "c"), ("Bob", "d"), ("Tim", "c"), ("Tom", "d")
            ],
            f"{people(text)}",
        )  # fmt: skip
    colors = {member["name"]: member["color"] for member in tim.of("presence")[-1]["members"]}
    assert colors["Bob"] == "#123456"
    await eventually(lambda: ada.names == ["Bob", "Tim", "Tom"])
    assert {s["user"]["name"]: s["user"]["color"] for s in ada.states.values()} == {
        name: colors[name] for name in ("Bob", "Tim", "Tom")
    }
    await eventually(lambda: bob.names == ["None", "Tim", "Tom"])


async def test_a_member_is_called_the_same_in_presence_and_in_the_journal(
    nodes: Nodes, yjs: YjsHost, js: JsHost, room: str
) -> None:
    """The name in its state counts; without one, the name with which it connected."""
    ada = await yjs.connect(nodes[0].url, room, params={"name": "Ada"})
    tim = await js.connect(nodes[1].url, auth={"name": "Tim"})
    await tim.join(room)
    for name, user in (("Ada", {}), ("Ada L.", {"name": "Ada L."}), ("Ada", {"color": "#123456"})):
        ada.do("local", field="user", value=user)
        await eventually(lambda name=name: [known for known, _ in people(tim)] == [name, "Tim"])
        ada.insert(0, "x")
        await ada.stored()
        ada.forget()
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{nodes[0].url}/api/rooms/{room}/history") as answer,
    ):
        lines = [json.loads(line) for line in (await answer.text()).splitlines()]
    assert [line["author"]["name"] for line in lines[1:]] == ["Ada", "Ada L.", "Ada"]


async def test_a_closed_tab_is_gone_at_once(
    nodes: Nodes, yjs: YjsHost, js: JsHost, room: str
) -> None:
    ada, bob = await yjs.connect(nodes[0].url, room), await yjs.connect(nodes[1].url, room)
    tim = await js.connect(nodes[0].url, auth={"name": "Tim"})
    await tim.join(room)
    bob.do("local", field="user", value={"name": "Bob"})
    await eventually(lambda: len(people(tim)) == 3 and ada.names == ["Bob", "Tim"])
    before = asyncio.get_running_loop().time()
    bob.do("destroy")
    await eventually(lambda: len(people(tim)) == 2 and ada.names == ["Tim"])
    tim.close()
    await eventually(lambda: ada.names == [])
    assert asyncio.get_running_loop().time() - before < 2


async def test_a_killed_nodes_members_vanish_from_both_lists(
    redis_server: Redis, brisk: Nodes, yjs: YjsHost, js: JsHost, room: str
) -> None:
    doomed = Node(redis_server.url, "doomed", COLLAB_PRESENCE_INTERVAL=str(INTERVAL))
    async with running(doomed):
        ada = await yjs.connect(brisk[0].url, room, params={"name": "Ada"})
        tim = await js.connect(brisk[0].url, auth={"name": "Tim"})
        await tim.join(room)
        gone = await yjs.connect(doomed.url, room, params={"name": "Gone"})
        gone.do("local", field="user", value={"name": "Gone"})
        too = await js.connect(doomed.url, auth={"name": "Too"}, reconnection=False)
        await too.join(room)
        await eventually(lambda: len(people(tim)) == 4 and ada.names == ["Gone", "Tim", "Too"])
        gone.do("offline")  # it would reconnect to a port that another process may have by then
        await eventually(lambda: len(people(tim)) == 3)
        await doomed.kill()
    before = asyncio.get_running_loop().time()
    await eventually(lambda: [name for name, _ in people(tim)] == ["Ada", "Tim"])
    await eventually(lambda: ada.names == ["Tim"])
    assert asyncio.get_running_loop().time() - before < (MAX_MISSED_REPORTS + 2) * INTERVAL + 1


async def test_a_returning_client_sees_the_others_and_is_seen_at_once(
    nodes: Nodes, yjs: YjsHost, js: JsHost, room: str
) -> None:
    ada, bob = await yjs.connect(nodes[0].url, room), await yjs.connect(nodes[1].url, room)
    tim = await js.connect(nodes[1].url, auth={"name": "Tim"})
    await tim.join(room)
    for client, name in ((ada, "Ada"), (bob, "Bob")):
        client.do("local", field="user", value={"name": name})
    await eventually(lambda: ada.names == ["Bob", "Tim"] and bob.names == ["Ada", "Tim"])
    for _ in range(2):
        ada.do("offline")
        await eventually(lambda: bob.names == ["Tim"] and ada.names == [])
        ada.do("online")
        await eventually(lambda: bob.names == ["Ada", "Tim"], within=3)
        await eventually(lambda: ada.names == ["Bob", "Tim"], within=3)


async def test_a_client_cannot_change_or_remove_the_state_of_another(
    nodes: Nodes, yjs: YjsHost, room: str
) -> None:
    ada, bob = await yjs.connect(nodes[0].url, room), await yjs.connect(nodes[1].url, room)
    ada.do("local", field="user", value={"name": "Ada"})
    bob.do("local", field="user", value={"name": "Bob"})
    await eventually(lambda: ada.names == ["Bob"] and bob.names == ["Ada"])
    forged = [_states((bob.client, 99, '{"user":{"name":"Mallory"}}')),
              _states((bob.client, 100, "null"))]  # fmt: skip
    for frame in forged:
        ada.do("raw", hex=frame.hex())
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{nodes[1].url}/yjs/{room}") as mallory,
    ):
        for frame in forged:
            await mallory.send_bytes(frame)
        # A later message has been handled, so this one has been too.
        ada.do("local", field="cursor", value=1)
        await eventually(lambda: any(state.get("cursor") for state in bob.states.values()))
        assert bob.names == ["Ada"] and ada.names[0] == "Bob"
        late = await yjs.connect(nodes[0].url, room)
        await eventually(lambda: "Ada" in late.names and "Bob" in late.names)
        assert "Mallory" not in late.names


async def test_two_tabs_of_one_browser_are_two_people_and_each_goes_at_once(
    nodes: Nodes, yjs: YjsHost, js: JsHost, room: str
) -> None:
    # They send each other their states without the server, and each sends the server both states.
    first = await yjs.connect(nodes[0].url, room, disableBc=False)
    second = await yjs.connect(nodes[0].url, room, disableBc=False)
    tim = await js.connect(nodes[1].url, auth={"name": "Tim"})
    await tim.join(room)
    for tab, name in ((first, "First"), (second, "Second")):
        tab.do("local", field="user", value={"name": name})
    await eventually(lambda: [name for name, _ in people(tim)] == ["First", "Second", "Tim"])
    for place in range(5):
        first.do("local", field="cursor", value=place)
        second.do("local", field="cursor", value=place)
    witness = await yjs.connect(nodes[0].url, room)
    await eventually(lambda: witness.names == ["First", "Second", "Tim"])
    await eventually(
        lambda: [state.get("cursor") for state in witness.states.values()].count(4) == 2
    )
    second.do("destroy")
    await eventually(lambda: witness.names == ["First", "Tim"])
    await eventually(lambda: [name for name, _ in people(tim)] != ["First", "Second", "Tim"])
    assert "Second" not in [name for name, _ in people(tim)]


async def test_a_lone_client_is_not_left_in_silence(brisk: Nodes, room: str) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{brisk[0].url}/yjs/{room}") as socket,
    ):
        await socket.send_bytes(protocol.step2_message(b"\0\0"))
        heard = 0
        async with asyncio.timeout(5):
            while heard < 3:
                heard += (await socket.receive_bytes()) == protocol.awareness_message(b"\0")


async def test_a_fast_cursor_is_sent_a_few_times_a_second(
    nodes: Nodes, yjs: YjsHost, room: str
) -> None:
    ada, bob = await yjs.connect(nodes[0].url, room), await yjs.connect(nodes[1].url, room)
    bob.forget()
    before = await get_metrics(nodes[1].url)
    for place in range(100):
        ada.do("local", field="cursor", value=place)
    await eventually(lambda: [state.get("cursor") for state in bob.states.values()] == [99])
    after = await get_metrics(nodes[1].url)
    heard = "collab_announcements_total"
    assert len(bob.of("states")) < 20 and after[heard] - before[heard] < 30


async def test_presence_is_not_journalled(
    nodes: Nodes, yjs: YjsHost, room: str, store: Any
) -> None:
    ada = await yjs.connect(nodes[0].url, room)
    bob = await yjs.connect(nodes[1].url, room)
    ada.do("local", field="user", value={"name": "Ada"})
    await eventually(lambda: bob.names == ["Ada"])
    await ada.stored()
    assert await store.keys(f"*{room}*") == []


def _states(*states: tuple[int, int, str]) -> bytes:
    from pycrdt import Encoder

    encoder = Encoder()
    encoder.write_var_uint(len(states))
    for client, clock, text in states:
        encoder.write_var_uint(client)
        encoder.write_var_uint(clock)
        encoder.write_var_string(text)
    return protocol.awareness_message(encoder.to_bytes())
