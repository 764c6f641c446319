"""The Yjs endpoint with y-websocket's own provider: documents, limits, and invalid frames."""

from __future__ import annotations

import signal
from typing import Any

import pytest
import redis.asyncio
from pycrdt import Doc, Text

from collab.yjs import protocol
from tests.cluster.raw_yjs import closing, next_of, raw
from tests.support.clients import JsClient, JsHost, eventually
from tests.support.processes import Node, Redis, running
from tests.support.yjs import YjsClient, YjsHost

Nodes = tuple[Node, Node]


def document(text: str) -> Doc[Any]:
    doc: Doc[Any] = Doc()
    shared = doc.get("code", type=Text)
    shared += text
    return doc


# Documents


async def test_edits_reach_all_others_at_both_endpoints_and_on_both_nodes(
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


async def test_an_update_reported_as_stored_is_in_redis_and_the_answer_names_the_node(
    nodes: Nodes, yjs: YjsHost, room: str, store: redis.asyncio.Redis
) -> None:
    ada = await yjs.connect(nodes[1].url, room)
    assert await ada.stored(0) == "b"
    ada.insert(0, "kept")
    assert await ada.stored(1) == "b"
    assert await store.get(f"code_{room}") == b"kept"


async def test_nothing_is_reported_as_stored_while_redis_is_away_and_edits_flow_on(
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


async def test_an_update_that_builds_on_missing_updates_is_requested_again(
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


async def test_answers_that_never_have_the_missing_updates_end_the_connection(
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
