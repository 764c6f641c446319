"""A room's history over HTTP: played forward it is the room."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
from typing import Any

import aiohttp
import redis.asyncio
from pycrdt import Doc, Text

from tests.cluster.caller import Caller, calling, played
from tests.support.clients import WAIT_TIMEOUT, JsHost
from tests.support.processes import Node, Redis, running

Nodes = tuple[Node, Node]


async def test_a_history_played_forward_ends_in_the_text_and_names_its_authors(
    nodes: Nodes, js: JsHost, room: str, callers: list[Caller]
) -> None:
    ada = await js.connect(nodes[0].url, auth={"name": "Ada L."})
    bob = await js.connect(nodes[1].url, auth={"name": "Bób"})
    await ada.change(room, "🐍 one\n")
    await bob.join(room)
    await bob.shows("🐍 one\n")
    await bob.change(room, "🐍 one\n🦀 two\n")
    await ada.shows("🐍 one\n🦀 two\n")
    await ada.change(room, "🐍 one\n🦀🦀 two\n")
    await callers[0].put(room, "🐍 1\n🦀🦀 two\n")
    for caller in callers:
        lines = await caller.history(room)
        assert played(lines) == "🐍 1\n🦀🦀 two\n"
        assert [line["author"]["name"] for line in lines[1:]] == ["Ada L.", "Bób", "Ada L.", "API"]
        assert lines[1]["author"]["id"] == ada.state("connect")["sid"]
        assert lines[2]["delta"] == [{"retain": 7}, {"insert": "🦀 two\n"}]
        assert [line["at"] for line in lines[1:]] == sorted(line["at"] for line in lines[1:])


async def test_the_updates_of_a_history_make_the_same_text(
    nodes: Nodes, js: JsHost, room: str, callers: list[Caller]
) -> None:
    for text in ("a", "ab 🐍", "b 🐍!"):
        await callers[0].put(room, text)
    doc: Doc[Any] = Doc()
    lines = await callers[1].history(room, "updates")
    for update in (lines[0]["base"], *(line["update"] for line in lines[1:])):
        if update:
            doc.apply_update(base64.b64decode(update))
    assert str(doc.get("code", type=Text)) == "b 🐍!"


async def test_a_history_can_be_followed_from_an_entry_on(room: str, callers: list[Caller]) -> None:
    texts = ["one", "one 🐍 two", "two 🐍!", "two"]
    for text in texts:
        await callers[0].put(room, text)
    whole = await callers[0].history(room)
    updates = await callers[0].history(room, "updates")
    for count, text in enumerate(texts, 1):
        after = whole[count]["id"]
        later = await callers[1].history(room, after=after)
        assert later[0]["after"] == after and later[1:] == whole[count + 1 :]
        assert played(later, text) == texts[-1]
        assert (await callers[1].history(room, "updates", after))[1:] == updates[count + 1 :]
    last = whole[-1]["id"]
    await callers[0].put(room, "two and more")
    assert played(await callers[1].history(room, after=last), "two") == "two and more"


async def test_an_entry_that_the_journal_does_not_have_brings_the_whole_history(
    redis_server: Redis, room: str
) -> None:
    node = Node(redis_server.url, "forgets", COLLAB_MAX_JOURNAL_ENTRIES="20")
    async with running(node), calling(node) as (caller,):
        await caller.put(room, "first")
        first = (await caller.history(room))[1]["id"]
        for number in range(40):
            await caller.put(room, f"text {number}")
        for form in ("deltas", "updates"):
            lines = await caller.history(room, form, first)
            assert "base" in lines[0] and lines == await caller.history(room, form)
        # The room ends, and another begins: what followed the old one is not told half of it.
        last = (await caller.history(room))[-1]["id"]
        assert (await caller.ask("DELETE", f"/rooms/{room}"))[0] == 204
        assert (await caller.ask("GET", f"/rooms/{room}/history?after={last}"))[0] == 404
        await caller.put(room, "anew")
        assert played(await caller.history(room, after=last)) == "anew"


async def test_what_is_no_entrys_id_is_refused(room: str, callers: list[Caller]) -> None:
    await callers[0].put(room, "text")
    for wrong in ("", "-", "1", "1-", "a-1", "+", "1-0-0", "1" * 21 + "-0", f"{2**64}-0", "٣-0"):
        status, told = await callers[0].ask("GET", f"/rooms/{room}/history?after={wrong}")
        assert (status, told["error"]["code"]) == (400, "bad_request"), wrong
    lines = await callers[0].history(room, after=f"{2**64 - 1}-{2**64 - 1}")
    assert lines[0]["base"] == "" and len(lines) == 2


async def test_a_history_says_how_its_authors_looked_and_what_they_wrote_with(
    nodes: Nodes, js: JsHost, room: str, callers: list[Caller]
) -> None:
    ada = await js.connect(nodes[0].url, auth={"name": "Ada"})
    await ada.change(room, "typed")
    (present,) = (await callers[1].get(room))["members"]
    await callers[1].put(room, "typed, set")
    _, typed, put = await callers[0].history(room)
    assert typed["author"]["client"] == "text" and typed["author"]["color"] == present["color"]
    assert (put["author"]["client"], put["author"]["color"]) == ("api", None)


async def test_a_compacted_history_begins_with_the_text_it_was_compacted_into(
    redis_server: Redis, room: str
) -> None:
    node = Node(redis_server.url, "compacts", COLLAB_MAX_JOURNAL_ENTRIES="20")
    async with running(node), calling(node) as (caller,):
        text = ""
        for i in range(60):
            text += f"line {i}\n"
            await caller.put(room, text)
        lines = await caller.history(room)
        assert lines[0]["base"].startswith("line 0\n") and len(lines) < 40
        assert played(lines) == text


async def test_the_history_of_a_big_room_streams(
    redis_server: Redis, room: str, store: redis.asyncio.Redis
) -> None:
    node = Node(redis_server.url, "big")
    async with running(node), calling(node) as (caller,):
        text = "".join(f"{i:06d} größer\n" for i in range(15_000))
        await caller.put(room, text)
        for i in range(200):
            text += f"# {i} 🐍\n"
            await caller.put(room, text)
        lines = await caller.history(room)
        assert len(lines) > 200 and played(lines) == text

        # A reader that takes nothing keeps neither the node nor the room from working.
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port, limit=1024)
        writer.write(f"GET /api/rooms/{room}/history HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await reader.readexactly(100)
        before = asyncio.get_running_loop().time()
        for i in range(20):
            await caller.put(room, text + f"after {i}")
        assert asyncio.get_running_loop().time() - before < 5
        writer.close()


async def test_more_histories_than_a_node_sends_at_once_are_told_to_come_later(
    redis_server: Redis, room: str
) -> None:
    node = Node(redis_server.url, "busy")
    async with running(node), calling(node) as (caller,):
        for i in range(40):
            await caller.put(room, str(i % 10) * 250_000)
        with contextlib.ExitStack() as idle:
            for _ in range(16):
                sock = idle.enter_context(socket.socket())
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                sock.connect(("127.0.0.1", node.port))
                path = f"/api/rooms/{room}/history?format=updates"
                sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert await until_history_is(503, node, room) == "1"
        await until_history_is(200, node, room)


async def until_history_is(status: int, node: Node, room: str) -> str | None:
    """Ask for a history until the answer is ``status``; return its Retry-After."""
    async with asyncio.timeout(WAIT_TIMEOUT), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{node.url}/api/rooms/{room}/history") as answer:
                if answer.status == status:
                    return answer.headers.get("Retry-After")
