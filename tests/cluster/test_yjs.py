"""Door two with y-websocket's own provider: documents, limits, and what is not the protocol."""

from __future__ import annotations

import asyncio
import random
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import redis.asyncio
from pycrdt import Doc, Map, Text

from collab.yjs import protocol
from tests.support.clients import JsClient, JsHost, eventually
from tests.support.processes import Node, Redis, get_metrics, running
from tests.support.yjs import YjsClient, YjsHost

Nodes = tuple[Node, Node]
HANDSHAKE = (
    "GET /yjs/{room} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)
OPEN = 'collab_connections{door="yjs"}'


@asynccontextmanager
async def raw(
    node: Node, room: str, query: str = ""
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Connect without a protocol; closed connections are what the test looks at."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{node.url}/yjs/{room}{query}", max_msg_size=0) as wire,
    ):
        yield wire


async def closing(socket: aiohttp.ClientWebSocketResponse) -> tuple[int | None, str]:
    """Return the code and the reason with which the node ends a connection."""
    async with asyncio.timeout(10):
        while True:
            message = await socket.receive()
            if message.type is aiohttp.WSMsgType.CLOSE:
                return message.data, message.extra or ""
            if message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR):
                return socket.close_code, ""


async def next_of(socket: aiohttp.ClientWebSocketResponse, *head: int) -> bytes:
    """Return the next frame that begins with ``head``."""
    async with asyncio.timeout(10):
        while True:
            frame: bytes = await socket.receive_bytes()
            if frame.startswith(bytes(head)):
                return frame


def document(text: str) -> Doc[Any]:
    doc: Doc[Any] = Doc()
    shared = doc.get("code", type=Text)
    shared += text
    return doc


# Documents


async def test_what_one_types_all_others_see_at_both_doors_and_on_both_nodes(
    nodes: Nodes, yjs: YjsHost, js: JsHost, room: str, store: redis.asyncio.Redis
) -> None:
    ada, bob = await yjs.connect(nodes[0].url, room), await yjs.connect(nodes[1].url, room)
    texts = [await js.connect(node.url) for node in nodes]
    for client in texts:
        await client.join(room)
    ada.insert(0, "naïve 🐍")
    everybody: list[YjsClient | JsClient] = [ada, bob, *texts]
    for other in everybody[1:]:
        await other.shows("naïve 🐍")
    await texts[1].change(room, "naïve 🐍s")
    for other in everybody[:3]:
        await other.shows("naïve 🐍s")
    bob.edit(["delete", 0, 6], ["insert", 2, "!"])
    for other in [ada, *everybody[2:]]:
        await other.shows("🐍!s")
    await bob.stored()
    assert await store.get(f"code_{room}") == "🐍!s".encode()


async def test_a_provider_that_comes_to_a_room_gets_its_text(
    nodes: Nodes, yjs: YjsHost, js: JsHost, room: str, store: redis.asyncio.Redis
) -> None:
    await store.set(f"code_{room}", "def solve():\n    pass\n", ex=1800)
    for node in nodes:
        client = await yjs.connect(node.url, room)
        await client.shows("def solve():\n    pass\n")


async def test_edits_made_offline_merge_on_return(
    nodes: Nodes, yjs: YjsHost, js: JsHost, room: str
) -> None:
    ada, bob = await yjs.connect(nodes[0].url, room), await yjs.connect(nodes[1].url, room)
    text = await js.connect(nodes[1].url)
    await text.join(room)
    ada.insert(0, "one two")
    await bob.shows("one two")
    ada.do("offline")
    await ada.until("disconnected")
    ada.edit(["insert", 0, "zero "], ["set", "language", "python"])
    ada.edit(["delete", 8, 4])
    bob.insert(7, " three")
    await text.shows("one two three")
    ada.forget()
    ada.do("online")
    await ada.until("synced")
    for client in (ada, bob, text):
        await client.shows("zero one three")
    assert bob.map == {"language": "python"}
    assert await ada.stored()


async def test_a_cut_connection_comes_back_by_itself_and_resyncs(
    redis_server: Redis, yjs: YjsHost, room: str
) -> None:
    from tests.support.proxy import proxy

    node = Node(redis_server.url, "one")
    async with running(node), proxy(node.port) as wire:
        ada = await yjs.connect(f"http://127.0.0.1:{wire.port}", room)
        bob = await yjs.connect(node.url, room)
        ada.insert(0, "a")
        await bob.shows("a")
        wire.refuse()
        await ada.until("disconnected")
        ada.insert(1, "b")
        bob.insert(1, "c")
        wire.accept()
        await eventually(lambda: ada.text == bob.text and sorted(ada.text) == ["a", "b", "c"])


async def test_other_shared_types_are_kept_and_journalled_like_the_text(
    redis_server: Redis, nodes: Nodes, yjs: YjsHost, room: str
) -> None:
    ada, bob = await yjs.connect(nodes[0].url, room), await yjs.connect(nodes[1].url, room)
    ada.edit(["set", "language", "python"])
    await eventually(lambda: bob.map == {"language": "python"})
    ada.insert(0, "text")
    bob.edit(["set", "tab", 4])
    await ada.stored(1)
    await bob.stored(1)
    later = Node(redis_server.url, "later")
    async with running(later):
        cleo = await yjs.connect(later.url, room)
        await cleo.shows("text")
        assert cleo.map == {"language": "python", "tab": 4}


async def test_a_return_with_nothing_new_adds_nothing_to_the_journal(
    nodes: Nodes, yjs: YjsHost, room: str, store: redis.asyncio.Redis
) -> None:
    ada = await yjs.connect(nodes[0].url, room)
    ada.insert(0, "some text")
    ada.edit(["delete", 0, 5])
    await ada.stored(1)
    journal = f"journal:{{code_{room}}}"
    before = await store.xlen(journal)
    for number in (2, 3):
        ada.do("offline")
        ada.forget()
        ada.do("online")
        await ada.until("synced")
        await ada.stored(number)
    assert await store.xlen(journal) == before


async def test_what_is_told_as_stored_is_in_redis_and_the_answer_names_the_node(
    nodes: Nodes, yjs: YjsHost, room: str, store: redis.asyncio.Redis
) -> None:
    ada = await yjs.connect(nodes[1].url, room)
    assert await ada.stored(0) == "b"
    ada.insert(0, "kept")
    assert await ada.stored(1) == "b"
    assert await store.get(f"code_{room}") == b"kept"


async def test_nothing_is_told_as_stored_while_redis_is_away_and_edits_flow_on(
    yjs: YjsHost, room: str
) -> None:
    server = Redis()
    async with running(server):
        node = Node(server.url, "one", COLLAB_REDIS_TIMEOUT="0.3")
        async with running(node):
            ada, bob = await yjs.connect(node.url, room), await yjs.connect(node.url, room)
            ada.insert(0, "before ")
            await ada.stored(1)
            assert server.process
            server.process.send_signal(signal.SIGSTOP)
            ada.edit(["append", "meanwhile"])
            ada.do("mark", number=2)
            await bob.shows("before meanwhile")
            await eventually(lambda: "waiting for Redis" in node.output())
            assert not [event for event in ada.of("stored") if event["number"] == 2]
            server.process.send_signal(signal.SIGCONT)
            await eventually(lambda: [e for e in ada.of("stored") if e["number"] == 2])
            async with redis.asyncio.Redis.from_url(server.url) as store:
                assert await store.get(f"code_{room}") == b"before meanwhile"


async def test_a_redis_that_comes_back_empty_gets_the_document_from_its_members(
    nodes: Nodes, yjs: YjsHost, room: str, store: redis.asyncio.Redis
) -> None:
    ada, bob = await yjs.connect(nodes[0].url, room), await yjs.connect(nodes[1].url, room)
    ada.edit(["insert", 0, "kept"], ["set", "language", "python"])
    await ada.stored(1)
    await bob.shows("kept")
    await store.delete(*await store.keys(f"*{room}*"))
    bob.edit(["append", " on"])
    await bob.stored(1)
    await ada.shows("kept on")
    cleo = await yjs.connect(nodes[0].url, room)
    await cleo.shows("kept on")
    assert cleo.map == {"language": "python"}
    assert await store.get(f"code_{room}") == b"kept on"


async def test_an_embed_is_taken_out_for_everybody(
    nodes: Nodes, yjs: YjsHost, js: JsHost, room: str
) -> None:
    ada, bob = await yjs.connect(nodes[0].url, room), await yjs.connect(nodes[1].url, room)
    text = await js.connect(nodes[1].url)
    await text.join(room)
    ada.edit(["insert", 0, "ab"], ["embed", 1, {"image": "x"}])
    for client in (ada, bob):
        await eventually(lambda client=client: (client.last("doc") or {}).get("length") == 2)
        assert client.text == "ab"
    await text.change(room, "acb")
    for client in (ada, bob):
        await client.shows("acb")


@pytest.mark.parametrize(
    "edits", [[["insert", 1, "x"]], [["delete", 0, 1]], [["delete", 1, 1]]], ids=str
)
async def test_a_broken_surrogate_pair_is_the_same_replacement_for_everybody(
    nodes: Nodes, yjs: YjsHost, js: JsHost, room: str, edits: list[list[Any]]
) -> None:
    ada, bob = await yjs.connect(nodes[0].url, room), await yjs.connect(nodes[1].url, room)
    text = await js.connect(nodes[1].url)
    await text.join(room)
    ada.insert(0, "🐍")
    await bob.shows("🐍")
    ada.edit(*edits)
    expected = "\ufffdx\ufffd" if edits[0][0] == "insert" else "\ufffd"
    for client in (ada, bob, text):
        await client.shows(expected)
    bob.edit(["append", "."])
    for client in (ada, bob, text):
        await client.shows(expected + ".")


async def test_an_update_that_builds_on_what_is_not_here_is_asked_for_again(
    nodes: Nodes, yjs: YjsHost, room: str
) -> None:
    witness = await yjs.connect(nodes[1].url, room)
    doc = document("first ")
    before = doc.get_state()
    doc.get("code", type=Text).insert(6, "second")
    async with raw(nodes[0], room) as wire:
        step1 = await next_of(wire, 0, 0)
        await wire.send_bytes(protocol.step2_message(b"\0\0"))
        await wire.send_bytes(protocol.update_message(doc.get_update(before)))
        await wire.send_bytes(protocol.stored_message(1, "")[:2])
        assert await next_of(wire, 0, 0) == step1
        await wire.send_bytes(protocol.step2_message(doc.get_update()))
        await witness.shows("first second")
        assert (await next_of(wire, 100))[1] == 1


async def test_an_answer_that_never_has_what_is_missing_ends_the_connection(
    nodes: Nodes, room: str
) -> None:
    doc = document("first ")
    before = doc.get_state()
    doc.get("code", type=Text).insert(6, "second")
    async with raw(nodes[0], room) as wire:
        for _ in range(3):
            await wire.send_bytes(protocol.step2_message(doc.get_update(before)))
        code, reason = await closing(wire)
        assert code == 1008 and reason


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


async def test_a_node_that_is_full_counts_both_doors(
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
                # Written over and over: the document stays small, what is to be sent does not.
                ada.edit(["delete", 0, 200_000 if i else 0], ["insert", 0, str(i % 10) * 200_000])
                await bob.shows(str(i % 10) * 200_000)
                if (await get_metrics(node.url))[OPEN] == 2:
                    break
            else:
                raise AssertionError("it was not dropped")
        assert not ada.of("disconnected") and not bob.of("disconnected")
    assert "client reads too slowly" in node.output() and "Traceback" not in node.output()


async def test_told_to_stop_a_node_moves_its_yjs_clients_off(
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


# What is not the protocol


@pytest.mark.parametrize("name", ["a b", "x" * 129, "é", "a/b", ""], ids=repr)
async def test_a_name_that_no_room_has_ends_for_good(nodes: Nodes, name: str) -> None:
    async with raw(nodes[0], name) as wire:
        code, reason = await closing(wire)
        assert code == 4400 and reason


async def test_a_plain_request_is_told_that_this_is_a_websocket(nodes: Nodes, room: str) -> None:
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
async def test_what_is_not_the_protocol_is_closed_with_a_reason_and_nobody_else_notices(
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
        counted = await get_metrics(node.url)
        assert counted[OPEN] == 2
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


# Those who may only read


async def test_a_viewer_sees_everything_and_changes_nothing_at_either_door(
    redis_server: Redis, yjs: YjsHost, js: JsHost, room: str
) -> None:
    node = Node(redis_server.url, "one")
    node.command = (node.command[0], "-m", "tests.support.viewers")
    async with running(node):
        ada = await yjs.connect(node.url, room, params={"name": "Ada"})
        seen = await yjs.connect(node.url, room, params={"name": "viewer"})
        text = await js.connect(node.url, auth={"name": "viewer too"})
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
        late = await js.connect(node.url, auth={"name": "viewer three"})
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
