"""What the Yjs endpoint refuses: full rooms, invalid frames, and edits of viewers."""

from __future__ import annotations

import asyncio
import random
import signal
import socket
from typing import Any

import aiohttp
import pytest
from pycrdt import Doc, Map, Text

from collab.yjs import protocol
from tests.cluster.raw_yjs import HANDSHAKE, closing, next_of, raw
from tests.support.clients import JsHost, eventually
from tests.support.processes import Node, Redis, get_metrics, running
from tests.support.yjs import YjsClient, YjsHost

Nodes = tuple[Node, Node]
OPEN = 'collab_connections{endpoint="yjs"}'


# Limits


async def test_a_text_over_the_limit_is_refused_for_good_and_the_room_goes_on(
    nodes: Nodes, yjs: YjsHost, js: JsHost, room: str
) -> None:
    ada, bob = await yjs.connect(nodes[0].url, room), await yjs.connect(nodes[0].url, room)
    ada.insert(0, "x" * 200_000)
    await bob.shows("x" * 200_000)
    ada.insert(0, "y" * 100_000)
    final = await ada.until("final")
    assert final["code"] == 4413 and "262144" in final["reason"]
    bob.insert(0, "z")
    text = await js.connect(nodes[1].url)
    await text.join(room)
    await text.shows("z" + "x" * 200_000)


async def test_a_room_that_is_full_turns_the_next_one_away(
    redis_server: Redis, yjs: YjsHost, js: JsHost, room: str
) -> None:
    node = Node(redis_server.url, "small", COLLAB_MAX_MEMBERS_PER_ROOM="2")
    async with running(node):
        await yjs.connect(node.url, room)
        text = await js.connect(node.url)
        await text.join(room)
        async with raw(node, room) as wire:
            assert (await closing(wire))[0] == 1013


async def test_a_node_that_is_full_counts_both_endpoints(
    redis_server: Redis, yjs: YjsHost, js: JsHost, room: str
) -> None:
    node = Node(redis_server.url, "small", COLLAB_MAX_CONNECTIONS="2")
    async with running(node):
        await yjs.connect(node.url, room)
        await js.connect(node.url)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with raw(node, room):
                pass
        assert refused.value.status == 503
        late = await js.connect(node.url, wait=False)
        assert (await late.until("connect_error"))["message"]


async def test_a_client_that_reads_nothing_is_dropped_and_the_others_are_not_kept_waiting(
    redis_server: Redis, yjs: YjsHost, room: str
) -> None:
    node = Node(redis_server.url, "one", COLLAB_MAX_UNSENT_BYTES="500000")
    async with running(node):
        ada, bob = await yjs.connect(node.url, room), await yjs.connect(node.url, room)
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with deaf:
            deaf.connect(("127.0.0.1", node.port))
            deaf.sendall(HANDSHAKE.format(room=room).encode())
            assert await asyncio.to_thread(deaf.recv, 12) == b"HTTP/1.1 101"
            for i in range(100):
                # The text is overwritten again and again: the document stays small, the outbox not.
                ada.edit(["delete", 0, 200_000 if i else 0], ["insert", 0, str(i % 10) * 200_000])
                await bob.shows(str(i % 10) * 200_000)
                if (await get_metrics(node.url))[OPEN] == 2:
                    break
            else:
                raise AssertionError("it was not dropped")
        assert not ada.of("disconnected") and not bob.of("disconnected")
    assert "client reads too slowly" in node.output() and "Traceback" not in node.output()


async def test_a_stopping_node_moves_its_yjs_clients_off(
    redis_server: Redis, yjs: YjsHost, room: str
) -> None:
    leaving, staying = Node(redis_server.url, "leaving"), Node(redis_server.url, "staying")
    async with running(leaving, staying):
        clients = [await yjs.connect(leaving.url, room) for _ in range(10)]
        witness = await yjs.connect(staying.url, room)
        clients[0].insert(0, "the last word")
        await clients[1].shows("the last word")
        assert await leaving.stop(signal.SIGTERM) == 0
        await witness.shows("the last word")
        for client in clients:
            assert client.of("close")[0]["code"] == 1012
        assert "Traceback" not in leaving.output()


# Invalid frames


@pytest.mark.parametrize("name", ["a b", "x" * 129, "é", "a/b", ""], ids=repr)
async def test_a_name_that_no_room_has_ends_for_good(nodes: Nodes, name: str) -> None:
    async with raw(nodes[0], name) as wire:
        code, reason = await closing(wire)
        assert code == 4400 and reason


async def test_a_plain_request_is_answered_that_this_is_a_websocket(
    nodes: Nodes, room: str
) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{nodes[0].url}/yjs/{room}") as answer,
    ):
        assert answer.status == 426
        assert (await answer.json())["error"]["code"] == "upgrade_required"


async def test_a_page_of_an_origin_that_may_not_connect_is_refused(redis_server: Redis) -> None:
    node = Node(redis_server.url, "one", COLLAB_CORS_ORIGINS="https://good.example")
    async with running(node), aiohttp.ClientSession() as session:
        url = f"{node.url}/yjs/origins"
        async with session.ws_connect(url, origin="https://good.example"):
            pass
        async with session.ws_connect(url, origin=node.url):
            pass
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with session.ws_connect(url, origin="https://evil.example"):
                pass
        assert refused.value.status == 403


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("text", 1003), (b"", 1002), (b"\x07", 1002), (b"\x00\x02\x05\x00", 1002),
        (protocol.update_message(b"no update"), 1007), (protocol.step2_message(b""), 1007),
        (protocol.step1_message(b"\xff"), 1007), (b"\x00" * ((2 << 20) + 1), 1009),
        (protocol.awareness_message(b"\x01\x07\x01\x01{"), 1002),
        (protocol.awareness_message(b"\x01\x07\x01\x88\x27" + b'"' + b"x" * 4998 + b'"'), 4413),
    ],
    ids=["text", "empty", "unknown", "truncated", "update", "step 2", "vector", "large", "state",
         "large state"],
)  # fmt: skip
async def test_an_invalid_frame_closes_the_connection_with_a_reason_and_disturbs_nobody_else(
    nodes: Nodes, yjs: YjsHost, room: str, frame: str | bytes, code: int
) -> None:
    ada, bob = await yjs.connect(nodes[0].url, room), await yjs.connect(nodes[1].url, room)
    ada.insert(0, "fine")
    await bob.shows("fine")
    async with raw(nodes[0], room) as wire:
        await (wire.send_str(frame) if isinstance(frame, str) else wire.send_bytes(frame))
        given, reason = await closing(wire)
        assert given == code and reason
    ada.insert(4, ".")
    await bob.shows("fine.")
    assert not ada.of("disconnected") and not bob.of("disconnected")


async def test_mutated_traffic_disturbs_nobody(
    redis_server: Redis, yjs: YjsHost, js: JsHost, room: str
) -> None:
    rng = random.Random(7)
    node = Node(redis_server.url, "fuzzed", COLLAB_MAX_CHANGES_PER_SECOND="100000")
    async with running(node):
        ada, bob = await yjs.connect(node.url, room), await yjs.connect(node.url, room)
        text = await js.connect(node.url)
        await text.join(room)
        for word in ("naïve ", "🐍 ", "text "):
            ada.edit(["append", word])
        ada.edit(["set", "k", {"deep": [1, "two", None]}], ["embed", 0, {"x": 1}])
        await eventually(lambda: bob.map)
        for _ in range(250):
            async with raw(node, room) as wire:
                theirs: Doc[Any] = Doc()
                vector = theirs.get_state()
                await wire.send_bytes(protocol.step1_message(vector))
                known = await next_of(wire, 0, 1)
                theirs.apply_update(_content(known))
                before = theirs.get_state()
                theirs.get("code", type=Text).insert(0, rng.choice(["a", "é", "🐍", "long" * 20]))
                theirs.get("settings", type=Map)["mine"] = rng.random()
                update = theirs.get_update(before)
                frames = [
                    protocol.update_message(update), protocol.step2_message(theirs.get_update()),
                    protocol.step1_message(theirs.get_state()), known,
                    protocol.awareness_message(b"\x01\x07\x01\x02{}"),
                ]  # fmt: skip
                for _ in range(rng.randint(1, 4)):
                    await wire.send_bytes(_mutated(rng, rng.choice(frames)))
        ada.forget()
        ada.edit(["append", "the end"])
        for client in (bob, text):
            await eventually(
                lambda client=client: (
                    client.text if isinstance(client, YjsClient) else client.codes[-1]
                ).endswith("the end")
            )
        await eventually(lambda: ada.text == bob.text == text.codes[-1])
        assert not ada.of("disconnected") and not bob.of("disconnected")
        assert text.state("disconnect") is None
        for _ in range(200):  # the last ones may still be closing
            if (await get_metrics(node.url))[OPEN] == 2:
                break
            await asyncio.sleep(0.05)
        else:
            raise AssertionError("connections stay open")
    assert "Traceback" not in node.output() and "ERROR" not in node.output(), node.output()[-3000:]


def _content(frame: bytes) -> bytes:
    message = protocol.parse(frame)
    assert isinstance(message, protocol.Update)
    return message.update


def _mutated(rng: random.Random, frame: bytes) -> bytes:
    out = bytearray(frame)
    for _ in range(rng.randint(0, 3)):
        at = rng.randrange(len(out) + 1)
        out[at : at + rng.randint(0, 2)] = rng.randbytes(rng.randint(0, 2))
    return bytes(out)


# Viewers


async def test_a_viewer_sees_everything_and_changes_nothing_at_either_endpoint(
    redis_server: Redis, yjs: YjsHost, js: JsHost, room: str
) -> None:
    node = Node(redis_server.url, "one")
    node.command = (node.command[0], "-m", "tests.support.viewers")
    async with running(node):
        ada = await yjs.connect(node.url, room, params={"token": "Ada"})
        seen = await yjs.connect(node.url, room, params={"token": "viewer"})
        text = await js.connect(node.url, auth={"token": "viewer too"})
        await text.join(room)
        ada.insert(0, "read this")
        for client in (seen, text):
            await client.shows("read this")
        refused = await text.change(room, "overwritten")
        assert refused["error"]["code"] == "not_allowed"
        await eventually(lambda: text.codes == ["read this", "read this"])
        seen.insert(0, "overwritten ")
        await eventually(lambda: yjs.complaints)
        assert "read, not write" in yjs.complaints.pop() and not yjs.complaints
        ada.edit(["append", "!"])
        await text.shows("read this!")
        late = await js.connect(node.url, auth={"token": "viewer three"})
        assert (await late.change(room, "x"))["error"]["code"] == "not_allowed"
        await late.shows("read this!")
        assert ada.text == "read this!"


async def test_logs_hold_neither_documents_nor_names(redis_server: Redis, yjs: YjsHost) -> None:
    node = Node(redis_server.url, "one", COLLAB_LOG_LEVEL="debug")
    async with running(node):
        ada = await yjs.connect(node.url, "quiet", params={"name": "Zebedee", "token": "t0ken"})
        ada.insert(0, "sup3r s3cret")
        ada.do("local", field="user", value={"name": "Yolanda"})
        await ada.stored()
        async with raw(node, "quiet") as wire:
            await wire.send_bytes(protocol.update_message(b"sup3r"))
            await closing(wire)
        ada.do("destroy")
        await eventually(lambda: node.output().count("disconnected") == 2)
    for word in ("sup3r", "Zebedee", "Yolanda", "t0ken"):
        assert word not in node.output()
