"""The Socket.IO contract, to the letter, with the official JavaScript client."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
import redis.asyncio

from tests.support.clients import JsClient, JsHost, eventually
from tests.support.processes import Node

Nodes = tuple[Node, Node]
TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]]


@pytest.mark.parametrize("transports", TRANSPORTS, ids="+".join)
async def test_a_change_reaches_the_others_on_any_node_and_not_its_sender(
    nodes: Nodes, js: JsHost, room: str, transports: list[str]
) -> None:
    here = await js.connect(nodes[0].url, transports=transports)
    beside = await js.connect(nodes[0].url, transports=transports)
    away = await js.connect(nodes[1].url, transports=transports)
    for client in (here, beside, away):
        assert (await client.join(room))["ok"]
    assert await here.change(room, "print('hello')") == {"ok": True}
    await beside.shows("print('hello')")
    await away.shows("print('hello')")
    assert away.of("receive") == [{"type": "receive", "code": "print('hello')", "room": room}]
    assert here.codes == []


async def test_a_client_in_sixteen_rooms_can_tell_which_room_a_text_is_of(
    nodes: Nodes, js: JsHost, room: str
) -> None:
    """The field comes last, so that for clients that do not know it nothing is different."""
    names = [f"{room}-{number}" for number in range(16)]
    writer, reader = await js.connect(nodes[0].url), await js.connect(nodes[1].url)
    for name in names:
        assert (await reader.join(name))["ok"]
        await writer.change(name, "the same text in each")
    await eventually(lambda: sorted(told["room"] for told in reader.of("receive")) == sorted(names))
    assert {tuple(told) for told in reader.of("receive")} == {("type", "code", "room")}


async def test_an_acknowledged_change_is_in_redis_for_thirty_minutes(
    nodes: Nodes, js: JsHost, room: str, store: redis.asyncio.Redis
) -> None:
    client = await js.connect(nodes[0].url)
    await client.join(room)
    await client.change(room, "naïve 🐍")
    assert await store.get(f"code_{room}") == "naïve 🐍".encode()
    assert 1795 <= await store.ttl(f"code_{room}") <= 1800


async def test_a_joiner_gets_the_code_and_nothing_if_there_is_none(
    nodes: Nodes, js: JsHost, room: str
) -> None:
    writer, reader = await js.connect(nodes[0].url), await js.connect(nodes[1].url)
    assert await writer.join(room) == {"ok": True, "room": room, "node": "a"}
    await writer.change(room, "x = 1")
    await reader.join(room)
    await reader.shows("x = 1")
    assert writer.codes == []


async def test_an_empty_text_is_a_text(
    nodes: Nodes, js: JsHost, room: str, store: redis.asyncio.Redis
) -> None:
    writer, reader = await js.connect(nodes[0].url), await js.connect(nodes[1].url)
    await writer.join(room)
    await writer.change(room, "")
    assert await store.get(f"code_{room}") == b""
    await reader.join(room)
    await reader.shows("")


async def test_a_starter_that_another_service_put_there_is_the_rooms_text(
    nodes: Nodes, js: JsHost, room: str, store: redis.asyncio.Redis
) -> None:
    await store.set(f"code_{room}", "def solve():\n    pass\n", ex=1800)
    first, second = await js.connect(nodes[0].url), await js.connect(nodes[1].url)
    await asyncio.gather(first.join(room), second.join(room))
    await first.shows("def solve():\n    pass\n")
    await second.shows("def solve():\n    pass\n")


async def test_a_client_that_leaves_gets_nothing_more_and_can_leave_once(
    nodes: Nodes, js: JsHost, room: str
) -> None:
    stays, goes = await js.connect(nodes[0].url), await js.connect(nodes[1].url)
    await stays.join(room)
    await goes.join(room)
    assert (await goes.ask("leave", {"room": room}))["ok"]
    refused = await goes.ask("leave", {"room": room})
    assert refused["ok"] is False and refused["error"]["code"] == "not_joined"
    await stays.change(room, "alone")
    again = await js.connect(nodes[1].url)
    await again.join(room)
    await again.shows("alone")
    assert goes.codes == []


async def test_a_change_without_a_join_joins(nodes: Nodes, js: JsHost, room: str) -> None:
    reader, forgetful = await js.connect(nodes[0].url), await js.connect(nodes[1].url)
    await reader.join(room)
    assert await forgetful.change(room, "still here") == {"ok": True}
    await reader.shows("still here")
    await reader.change(room, "still here, too")
    await forgetful.shows("still here, too")


async def test_a_change_that_changes_nothing_is_acknowledged_refreshes_and_is_not_sent_on(
    nodes: Nodes, js: JsHost, room: str, store: redis.asyncio.Redis
) -> None:
    writer, reader = await js.connect(nodes[0].url), await js.connect(nodes[1].url)
    await writer.join(room)
    await reader.join(room)
    await writer.change(room, "same")
    await reader.shows("same")
    for key in await store.keys(f"*{room}*"):
        await store.expire(key, 100)
    assert await reader.change(room, "same") == {"ok": True}
    assert await store.ttl(f"code_{room}") > 1700
    await writer.change(room, "other")
    await reader.shows("other")
    assert reader.codes == ["same", "other"] and writer.codes == []


async def test_presence_lists_all_members_on_all_nodes(nodes: Nodes, js: JsHost, room: str) -> None:
    ada = await js.connect(nodes[0].url, auth={"name": "Ada"})
    await ada.join(room)
    bob = await js.connect(nodes[1].url, auth={"name": "Bob\n\x00 B. "})
    await bob.join(room)

    def names(client: JsClient) -> list[str]:
        told = client.of("presence")
        return [member["name"] for member in told[-1]["members"]] if told else []

    for client in (ada, bob):
        await eventually(lambda client=client: names(client) == ["Ada", "Bob B."])
    assert ada.of("presence")[-1]["room"] == room
    ids = {member["id"] for member in ada.of("presence")[-1]["members"]}
    assert ids == {ada.state("connect")["sid"], bob.state("connect")["sid"]}
    bob.close()
    await eventually(lambda: names(ada) == ["Ada"])


async def test_five_hundred_clients_join_at_once(nodes: Nodes, js: JsHost, room: str) -> None:
    clients = await asyncio.gather(*(js.connect(nodes[i % 2].url) for i in range(500)))
    replies = await asyncio.gather(
        *(client.join(f"{room}-{i // 2}") for i, client in enumerate(clients))
    )
    assert all(reply["ok"] for reply in replies)


@pytest.mark.parametrize("transports", TRANSPORTS, ids="+".join)
async def test_a_burst_of_a_hundred_changes_ends_in_the_last_text(
    nodes: Nodes, js: JsHost, room: str, store: redis.asyncio.Redis, transports: list[str]
) -> None:
    writer = await js.connect(nodes[0].url, transports=transports)
    reader = await js.connect(nodes[1].url, transports=transports)
    await writer.join(room)
    await reader.join(room)
    for i in range(99):
        writer.emit("change", {"room": room, "code": "x" * (i + 1)})
    assert await writer.change(room, "x" * 100) == {"ok": True}
    await reader.shows("x" * 100)
    assert await store.get(f"code_{room}") == b"x" * 100
    assert all(len(a) < len(b) for a, b in zip(reader.codes, reader.codes[1:], strict=False))


async def test_one_clients_events_are_handled_in_the_order_it_sent_them(
    nodes: Nodes, js: JsHost, room: str
) -> None:
    client = await js.connect(nodes[0].url)
    replies = await asyncio.gather(
        client.join(room),
        client.change(room, "1"),
        client.ask("leave", {"room": room}),
        client.ask("leave", {"room": room}),
        client.join(room),
    )
    assert [reply["ok"] for reply in replies] == [True, True, True, False, True]
    await client.shows("1")


BAD_ROOMS: list[Any] = [
    None, "", 7, ["x"], {}, "a b", "é", "line\nbreak", "nul\0", "x" * 129, "../etc",
]  # fmt: skip
MALFORMED: list[Any] = [None, "text", 42, [], [1], True, {}, {"code": "x"}]


@pytest.mark.parametrize("event", ["join", "change", "leave"])
async def test_malformed_events_get_an_error_and_the_connection_goes_on(
    nodes: Nodes, js: JsHost, room: str, event: str
) -> None:
    client = await js.connect(nodes[0].url)
    for payload in MALFORMED:
        reply = await client.ask(event, payload)
        assert reply["ok"] is False and reply["error"]["code"] in {"bad_event", "bad_room"}
    for bad in BAD_ROOMS:
        reply = await client.ask(event, {"room": bad, "code": "x"})
        assert reply["error"]["code"] == "bad_room" and reply["error"]["message"]
    assert len(client.of("error")) == len(MALFORMED) + len(BAD_ROOMS)
    assert all(error["message"] and error["code"] for error in client.of("error"))
    assert (await client.join(room))["ok"] and client.state("disconnect") is None


async def test_malformed_code_gets_an_error_and_changes_nothing(
    nodes: Nodes, js: JsHost, room: str
) -> None:
    client = await js.connect(nodes[0].url)
    await client.change(room, "kept")
    for code, word in [
        (None, "bad_code"), (5, "bad_code"), (["x"], "bad_code"), ({"a": 1}, "bad_code"),
        ("\ud83d", "bad_code"), ("x\udc00y", "bad_code"),
        ("x" * (256 * 1024 + 1), "code_too_large"), ("é" * (128 * 1024 + 1), "code_too_large"),
    ]:  # fmt: skip
        reply = await client.change(room, code)  # type: ignore[arg-type]
        assert reply["error"]["code"] == word
    assert (await client.change(room, "x" * 256 * 1024))["ok"]
    reader = await js.connect(nodes[1].url)
    await reader.join(room)
    await reader.shows("x" * 256 * 1024)


@pytest.mark.parametrize(
    "packet",
    ["", "2", "2[]", "2{}", "2[1]", '2[{"a":1}]', '2["nothing"]', '2["disconnect"]', "2[", "9",
     '2["connect",1]', '51-["change",{"_placeholder":true,"num":0}]', "x", "4{}", '2["join"',
     "2" + "[" * 5000],
)  # fmt: skip
async def test_malformed_packets_get_an_error_and_the_connection_goes_on(
    nodes: Nodes, js: JsHost, room: str, packet: str
) -> None:
    client = await js.connect(nodes[0].url)
    client.raw(packet)
    error = await eventually(lambda: client.of("error"))
    assert error[0]["code"] == "bad_event"
    assert (await client.join(room))["ok"] and client.state("disconnect") is None


@pytest.mark.parametrize("transports", [["websocket"], ["polling"]], ids="+".join)
async def test_a_message_over_the_frame_limit_gets_an_error_and_the_connection_goes_on(
    nodes: Nodes, js: JsHost, room: str, transports: list[str]
) -> None:
    client = await js.connect(nodes[0].url, transports=transports)
    client.emit("change", {"room": room, "code": "x" * (3 << 20)})
    error = await eventually(lambda: client.of("error"))
    assert error[0]["code"] == "frame_too_large"
    assert (await client.join(room))["ok"] and client.state("disconnect") is None


async def test_a_message_eight_times_over_the_frame_limit_ends_the_connection(
    nodes: Nodes, js: JsHost, room: str
) -> None:
    client = await js.connect(nodes[0].url)
    client.emit("change", {"room": room, "code": "x" * (17 << 20)})
    await client.until("disconnect")


async def test_no_connection_is_compressed_unless_configured(nodes: Nodes) -> None:
    address = f"{nodes[0].url}/socket.io/?EIO=4&transport=websocket"
    async with aiohttp.ClientSession() as session, session.ws_connect(address, compress=15) as ws:
        assert ws.compress == 0
        assert (await ws.receive_str()).startswith("0{")


async def test_a_client_of_another_protocol_version_gets_an_error(nodes: Nodes) -> None:
    address = f"{nodes[0].url}/socket.io/?EIO=3&transport=polling"
    async with aiohttp.ClientSession() as session, session.get(address) as answer:
        assert answer.status == 400 and "unsupported version" in await answer.text()


async def test_pages_of_any_origin_may_connect_by_default(nodes: Nodes) -> None:
    address = f"{nodes[0].url}/socket.io/?EIO=4&transport=polling"
    headers = {"Origin": "https://peerprep.example"}
    async with aiohttp.ClientSession() as session, session.get(address, headers=headers) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == "https://peerprep.example"


async def test_a_closed_connection_frees_everything(nodes: Nodes, js: JsHost, room: str) -> None:
    from tests.support.processes import get_metrics

    before = await get_metrics(nodes[0].url)
    client = await js.connect(nodes[0].url)
    await client.join(room)
    during = await get_metrics(nodes[0].url)
    connections = 'collab_connections{endpoint="text"}'
    assert during[connections] == before[connections] + 1
    client.close()
    for name in (connections, "collab_members"):
        for _ in range(100):
            after = await get_metrics(nodes[0].url)
            if after[name] == before[name]:
                break
        assert after[name] == before[name]
