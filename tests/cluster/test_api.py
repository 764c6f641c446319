"""The HTTP API: rooms for other services, on any node, and the history of one."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import random
import sys
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import redis.asyncio
from jsonschema_rs import Draft202012Validator
from multidict import CIMultiDict
from pycrdt import Doc, Text

from collab.app import create_app
from collab.config import Config
from tests.support.clients import PATIENCE, JsHost, eventually
from tests.support.processes import ROOT, Node, Redis, get_metrics, running
from tests.support.proxy import proxy
from tests.support.typists import Typist, typists

Nodes = tuple[Node, Node]
CONTRACT = json.loads((ROOT / "collab" / "http" / "openapi.json").read_text())
KEY = "open sesame"


class Caller:
    """Another service, that talks to one node."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url + "/api"

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        async with self._session.request(method, self._url + path, **options) as answer:
            body = await answer.read()
            return answer.status, json.loads(body) if body else None

    async def get(self, room: str) -> Any:
        status, told = await self.ask("GET", f"/rooms/{room}")
        assert status == 200, told
        matches("Room", told)
        return told

    async def put(self, room: str, code: str, **fields: Any) -> Any:
        status, told = await self.ask("PUT", f"/rooms/{room}", json={"code": code, **fields})
        assert status in (200, 201), told
        return told

    async def history(self, room: str, form: str = "deltas") -> list[Any]:
        path = f"{self._url}/rooms/{room}/history?format={form}"
        async with self._session.get(path) as answer:
            assert answer.status == 200
            lines = [json.loads(line) async for line in answer.content]
        kind = form.removesuffix("s").capitalize()
        matches(f"{kind}sHead", lines[0])
        assert lines[0]["entries"] == len(lines) - 1
        for line in lines[1:]:
            matches(f"{kind}Entry", line)
        return lines


def matches(schema: str, value: Any) -> None:
    """Assert that ``value`` is what the contract says."""
    whole = {**CONTRACT, "$ref": f"#/components/schemas/{schema}"}
    Draft202012Validator(whole).validate(value)


def played(lines: list[Any]) -> str:
    """Play a history forward as a client in JavaScript would: a text is its UTF-16 units."""
    text: bytes = lines[0]["base"].encode("utf-16-le")
    for line in lines[1:]:
        out, position = b"", 0
        for step in line["delta"]:
            if "insert" in step:
                out += step["insert"].encode("utf-16-le")
            elif "retain" in step:
                out += text[position : position + 2 * step["retain"]]
                position += 2 * step["retain"]
            else:
                position += 2 * step["delete"]
        text = out + text[position:]
    return text.decode("utf-16-le")


@asynccontextmanager
async def calling(*nodes: Node) -> AsyncIterator[list[Caller]]:
    async with aiohttp.ClientSession() as session:
        yield [Caller(session, node.url) for node in nodes]


@pytest.fixture
async def callers(nodes: Nodes) -> AsyncIterator[list[Caller]]:
    async with calling(*nodes) as both:
        yield both


# Looking


async def test_any_node_tells_the_text_the_members_of_all_nodes_and_the_time_left(
    nodes: Nodes, js: JsHost, room: str, callers: list[Caller]
) -> None:
    ada = await js.connect(nodes[0].url, auth={"name": "Ada"})
    bob = await js.connect(nodes[1].url, auth={"name": "Bob"})
    await ada.change(room, "print('héllo 🐍')")
    await bob.join(room)
    for node, caller in zip(nodes, callers, strict=True):
        told = await caller.get(room)
        assert told["code"] == "print('héllo 🐍')" and told["node"] == node.name
        assert [(each["name"], each["node"]) for each in told["members"]] == [
            ("Ada", "a"), ("Bob", "b"),
        ]  # fmt: skip
        assert told["members"][0]["id"] == ada.state("connect")["sid"]
        assert 1790 <= told["expires_in"] <= 1800


async def test_a_node_that_does_not_hold_the_room_answers_and_does_not_begin_to_hold_it(
    nodes: Nodes, js: JsHost, room: str, callers: list[Caller]
) -> None:
    ada = await js.connect(nodes[0].url, auth={"name": "Ada"})
    await ada.change(room, "x = 1")
    held = (await get_metrics(nodes[1].url))["collab_rooms"]
    for _ in range(3):
        told = await callers[1].get(room)
        assert told["code"] == "x = 1" and [each["name"] for each in told["members"]] == ["Ada"]
    assert (await get_metrics(nodes[1].url))["collab_rooms"] == held


async def test_the_time_of_the_last_change_is_that_of_the_last_edit_not_of_a_refresh(
    nodes: Nodes, js: JsHost, room: str, callers: list[Caller]
) -> None:
    await callers[0].put(room, "one")
    first = (await callers[1].get(room))["changed_at"]
    await callers[0].put(room, "one")
    assert (await callers[1].get(room))["changed_at"] == first
    await callers[1].put(room, "two")
    assert (await callers[0].get(room))["changed_at"] > first


async def test_a_room_with_members_and_no_text_is_there_and_one_with_neither_is_not(
    nodes: Nodes, js: JsHost, room: str, callers: list[Caller]
) -> None:
    for caller in callers:
        status, told = await caller.ask("GET", f"/rooms/{room}")
        assert status == 404 and told["error"]["code"] == "no_such_room"
    ada = await js.connect(nodes[0].url, auth={"name": "Ada"})
    await ada.join(room)
    for caller in callers:
        told = await caller.get(room)
        assert told["code"] is None and told["changed_at"] is None and told["expires_in"] is None
        assert [each["name"] for each in told["members"]] == ["Ada"]


async def test_a_starter_that_another_service_put_there_is_told_as_it_is(
    room: str, store: redis.asyncio.Redis, callers: list[Caller]
) -> None:
    await store.set(f"code_{room}", "def solve(): ...", ex=600)
    told = await callers[0].get(room)
    assert told["code"] == "def solve(): ..." and told["changed_at"] is None
    assert told["expires_in"] <= 600
    lines = await callers[0].history(room)
    assert lines[0]["base"] == "def solve(): ..." and len(lines) == 1


async def test_the_journal_tells_the_text_where_the_snapshot_is_owed(
    room: str, store: redis.asyncio.Redis, callers: list[Caller]
) -> None:
    await callers[0].put(room, "one")
    await callers[0].put(room, "one two")
    await store.hset(f"journal-head:{{code_{room}}}", "snap", "1-0")
    await store.set(f"code_{room}", "one", keepttl=True)
    assert (await callers[1].get(room))["code"] == "one two"


async def test_the_list_has_every_live_room_of_the_cluster_on_some_page(
    room: str, store: redis.asyncio.Redis, callers: list[Caller]
) -> None:
    names = {f"{room}-{i}" for i in range(120)}
    await asyncio.gather(*(callers[i % 2].put(name, "x") for i, name in enumerate(names)))
    for i in range(300):
        await store.set(f"other-{room}-{i}", "not a room")
    await store.set("code_not/a/room", "x")
    listed: dict[str, Any] = {}
    cursor, pages = "0", 0
    while cursor is not None:
        path = f"/rooms?limit=25&cursor={cursor}"
        status, page = await callers[pages % 2].ask("GET", path)
        assert status == 200
        matches("Page", page)
        assert len(page["rooms"]) < 50
        listed.update((line["room"], line) for line in page["rooms"])
        cursor, pages = page["cursor"], pages + 1
    assert names <= listed.keys() and pages > 3
    assert "not/a/room" not in listed and not any(name.startswith("other") for name in listed)
    assert all("code" not in line and line["expires_in"] <= 1800 for line in listed.values())


# Setting


async def test_a_put_is_in_redis_when_it_is_answered_and_on_every_screen(
    nodes: Nodes, js: JsHost, room: str, store: redis.asyncio.Redis, callers: list[Caller]
) -> None:
    ada, bob = await js.connect(nodes[0].url), await js.connect(nodes[1].url)
    await ada.join(room)
    await bob.join(room)
    path = f"/rooms/{room}"
    status, told = await callers[1].ask("PUT", path, json={"code": "from elsewhere"})
    assert status == 201 and told == {"room": room, "code": "from elsewhere", "node": "b"}
    assert await store.get(f"code_{room}") == b"from elsewhere"
    await ada.shows("from elsewhere")
    await bob.shows("from elsewhere")
    status, _ = await callers[0].ask("PUT", path, json={"code": ""})
    assert status == 200 and await store.get(f"code_{room}") == b""


async def test_a_put_while_two_people_type_loses_nothing(
    nodes: Nodes, room: str, callers: list[Caller]
) -> None:
    await callers[0].put(room, "")
    typing = asyncio.create_task(typed_by_two(nodes, room, seconds=4))
    put: set[str] = set()
    while not typing.done() and len(put) < 150:
        i = len(put)
        base = (await callers[i % 2].get(room))["code"]  # '' until somebody types
        await asyncio.sleep(random.uniform(0, 0.05))  # others go on typing
        mark, at = chr(0xE000 + i), random.randint(0, len(base))
        await callers[(i + 1) % 2].put(room, base[:at] + mark + base[at:], base=base)
        put.add(mark)
    members = await typing
    text = (await callers[0].get(room))["code"]
    inserted = put.union(*(member.inserted for member in members))
    deleted = set().union(*(member.deleted for member in members))
    assert len(put) > 20 and len(inserted) > 100
    assert Counter(text) == dict.fromkeys(inserted - deleted, 1)
    assert [member.text for member in members] == [text, text]
    lines = await callers[1].history(room)
    assert played(lines) == text
    assert {line["author"]["name"][:5] for line in lines[1:] if line["delta"]} == {"API", "guest"}


async def typed_by_two(nodes: Nodes, room: str, seconds: float) -> list[Typist]:
    """Let the storm's people type, one on each node; return what they did and what they show."""
    member = {"room": room, "door": "text", "transports": ["websocket"]}
    members = [{**member, "url": node.url} for node in nodes]
    async with typists() as people:
        await people.begin({"seed": 1, "members": members})
        await asyncio.sleep(seconds)
        return await people.rest()


async def test_a_base_that_the_room_had_is_found_in_its_history(
    room: str, callers: list[Caller]
) -> None:
    base = "aaaa"
    await callers[0].put(room, base)
    await callers[0].put(room, "aaaa aaaa")
    await callers[1].put(room, "aaaa aaaa aaaa")
    told = await callers[0].put(room, "aaaa!", base=base)
    assert told["code"] == "aaaa! aaaa aaaa"


async def test_a_base_of_a_room_that_is_gone_does_not_matter(
    room: str, callers: list[Caller]
) -> None:
    told = await callers[0].put(room, "one two", base="one")
    assert told["code"] == "one two"


async def test_of_several_that_create_a_room_at_once_one_succeeds(
    nodes: Nodes, js: JsHost, room: str, callers: list[Caller]
) -> None:
    waiting = await js.connect(nodes[0].url)
    await waiting.join(room)
    answers = await asyncio.gather(
        *(
            callers[i % 2].ask(
                "PUT", f"/rooms/{room}", json={"code": f"by {i}"}, headers={"If-None-Match": "*"}
            )
            for i in range(8)
        )
    )
    won = [told["code"] for status, told in answers if status == 201]
    assert len(won) == 1
    assert [told["error"]["code"] for status, told in answers if status == 412] == [
        "room_exists"
    ] * 7
    await waiting.shows(won[0])
    assert (await callers[1].get(room))["code"] == won[0]


# Ending


async def test_a_delete_on_one_node_ends_the_room_for_everybody_and_nobody_writes_it_back(
    nodes: Nodes, js: JsHost, room: str, store: redis.asyncio.Redis, callers: list[Caller]
) -> None:
    ada, bob = await js.connect(nodes[0].url), await js.connect(nodes[1].url)
    await ada.change(room, "the old text")
    await bob.join(room)
    await bob.join(f"{room}-2")
    await bob.shows("the old text")
    assert await callers[0].ask("DELETE", f"/rooms/{room}") == (204, None)
    for client in (ada, bob):
        await eventually(lambda client=client: client.of("error"))
        told = client.of("error")[-1]
        assert told["code"] == "room_closed" and told["room"] == room and told["message"]
        assert (await client.ask("leave", {"room": room}))["error"]["code"] == "not_joined"
    await asyncio.sleep(5)  # twice the time in which holders look, and write back what was lost
    assert not await store.exists(
        f"code_{room}", f"journal:{{code_{room}}}", f"journal-head:{{code_{room}}}"
    )
    for caller in callers:
        assert (await caller.ask("GET", f"/rooms/{room}"))[0] == 404
        assert (await caller.ask("DELETE", f"/rooms/{room}"))[0] == 404
        assert (await caller.ask("GET", f"/rooms/{room}/history"))[0] == 404
    assert (await bob.ask("leave", {"room": f"{room}-2"}))["ok"], "another room is no concern"


async def test_a_change_after_a_delete_begins_the_room_afresh(
    nodes: Nodes, js: JsHost, room: str, callers: list[Caller]
) -> None:
    ada, bob = await js.connect(nodes[0].url), await js.connect(nodes[1].url)
    await ada.change(room, "the old text")
    await bob.join(room)
    await callers[1].ask("DELETE", f"/rooms/{room}")
    await eventually(lambda: ada.of("error") and bob.of("error"))
    assert await ada.change(room, "another") == {"ok": True}
    await bob.join(room)
    await bob.shows("another")
    assert played(await callers[0].history(room)) == "another"
    assert [each["node"] for each in (await callers[0].get(room))["members"]] in (
        ["a", "b"], ["b", "a"],
    )  # fmt: skip


async def test_a_put_right_behind_a_delete_begins_the_room_afresh(
    nodes: Nodes, js: JsHost, room: str, callers: list[Caller]
) -> None:
    ada = await js.connect(nodes[1].url)
    for i in range(10):
        await ada.change(room, f"text {i}")
        assert (await callers[0].ask("DELETE", f"/rooms/{room}"))[0] == 204
        told = await callers[1].put(room, f"{i} anew", base=f"text {i}")
        assert told["code"] == f"{i} anew"
        assert (await callers[0].get(room))["code"] == f"{i} anew"


async def test_a_delete_while_people_type_never_brings_the_old_text_back(
    nodes: Nodes, js: JsHost, room: str, callers: list[Caller]
) -> None:
    ada, bob = await js.connect(nodes[0].url), await js.connect(nodes[1].url)
    await ada.change(room, "OLD")
    await bob.join(room)
    await bob.shows("OLD")
    replies = [
        asyncio.create_task(client.change(room, "OLD" + "x" * i))
        for i in range(1, 20)
        for client in (ada, bob)
    ]
    assert (await callers[0].ask("DELETE", f"/rooms/{room}"))[0] == 204
    for reply in await asyncio.gather(*replies):
        assert reply["ok"] or reply["error"]["code"] == "room_closed"
    # Whoever typed on after the end has begun the room with the text on the own screen, and that
    # is one text, not two.
    status, told = await callers[1].ask("GET", f"/rooms/{room}")
    assert status == 404 or told["code"].count("OLD") <= 2


async def test_a_room_that_members_are_in_and_nobody_has_written_in_can_be_ended(
    nodes: Nodes, js: JsHost, room: str, callers: list[Caller]
) -> None:
    ada = await js.connect(nodes[0].url)
    await ada.join(room)
    assert (await callers[1].ask("DELETE", f"/rooms/{room}"))[0] == 204
    await eventually(lambda: ada.of("error"))
    assert (await callers[1].ask("DELETE", f"/rooms/{room}"))[0] == 404


async def test_members_of_a_room_that_has_expired_are_told_of_its_end_too(
    redis_server: Redis, js: JsHost, room: str, store: redis.asyncio.Redis
) -> None:
    node = Node(redis_server.url, "brief", COLLAB_ROOM_TTL="1")
    async with running(node), calling(node) as (caller,):
        ada = await js.connect(node.url)
        await ada.change(room, "short of life")
        await asyncio.sleep(1.2)
        assert not await store.exists(f"code_{room}")
        assert (await caller.get(room))["code"] is None
        assert (await caller.ask("DELETE", f"/rooms/{room}"))[0] == 204
        await eventually(lambda: ada.of("error"))
        assert ada.of("error")[-1]["code"] == "room_closed"


async def test_a_holder_that_was_cut_off_from_redis_learns_of_the_end_and_writes_nothing_back(
    redis_server: Redis, js: JsHost, room: str, store: redis.asyncio.Redis
) -> None:
    async with proxy(redis_server.port) as wire:
        near = Node(redis_server.url, "near")
        far = Node(f"redis://127.0.0.1:{wire.port}/0", "far", COLLAB_CHECK_INTERVAL="0.5")
        async with running(near, far), calling(near) as (caller,):
            ada = await js.connect(far.url)
            await ada.change(room, "the old text")
            wire.refuse()
            waiting = asyncio.create_task(ada.change(room, "the old text, and more"))
            await asyncio.sleep(0.2)
            assert (await caller.ask("DELETE", f"/rooms/{room}"))[0] == 204
            wire.accept()
            reply = await waiting
            assert reply["error"]["code"] == "room_closed"
            await eventually(lambda: ada.of("error"))
            await asyncio.sleep(1)
            assert not await store.exists(f"code_{room}", f"journal:{{code_{room}}}")


# History


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
        text = "x" * 200_000
        await caller.put(room, text)
        for i in range(40):
            await caller.put(room, str(i % 10) * 200_000)
        idle = []
        for _ in range(16):
            _, writer = await asyncio.open_connection("127.0.0.1", node.port, limit=1024)
            writer.write(f"GET /api/rooms/{room}/history HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            idle.append(writer)
        assert await until_history_is(503, node, room) == "1"
        for writer in idle:
            writer.transport.abort()
        await until_history_is(200, node, room)


async def until_history_is(status: int, node: Node, room: str) -> str | None:
    """Ask for a history until the answer is ``status``; return its Retry-After."""
    async with asyncio.timeout(PATIENCE), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{node.url}/api/rooms/{room}/history") as answer:
                if answer.status == status:
                    return answer.headers.get("Retry-After")


# Who may, and what goes wrong


async def test_with_a_key_callers_need_it_and_players_of_a_history_do_not(
    redis_server: Redis, room: str
) -> None:
    node = Node(
        redis_server.url, "locked", COLLAB_API_KEY=KEY, COLLAB_CORS_ORIGINS="https://a.example"
    )
    right = {"Authorization": f"Bearer {KEY}"}
    async with running(node), calling(node) as (caller,):
        for shown in ({}, {"Authorization": "Bearer no"}, {"Authorization": f"Basic {KEY}"}):
            for method, path in (
                ("GET", "/rooms"), ("GET", f"/rooms/{room}"), ("PUT", f"/rooms/{room}"),
                ("DELETE", f"/rooms/{room}"),
            ):  # fmt: skip
                status, told = await caller.ask(method, path, headers=shown)
                assert status == 401 and told["error"]["code"] == "not_allowed"
        status, _ = await caller.ask("PUT", f"/rooms/{room}", json={"code": "x"}, headers=right)
        assert status == 201
        assert (await caller.ask("GET", "/rooms", headers=right))[0] == 200
        assert (await caller.ask("GET", "/openapi.json"))[0] == 200
        assert played(await caller.history(room)) == "x"
        async with aiohttp.ClientSession() as session:
            for origin, allowed in (("https://a.example", True), ("https://b.example", False)):
                async with session.get(
                    f"{node.url}/api/rooms/{room}/history", headers={"Origin": origin}
                ) as answer:
                    assert (answer.headers.get("Access-Control-Allow-Origin") == origin) is allowed
    assert KEY not in node.output()


JSON = {"Content-Type": "application/json"}
WRONG: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("GET", "/rooms/a%20b", {}, 400, "bad_room"),
    ("GET", "/rooms/a%2Fb", {}, 400, "bad_room"),
    ("PUT", "/rooms/" + "x" * 129, {"json": {"code": ""}}, 400, "bad_room"),
    ("GET", "/rooms/x/history?format=xml", {}, 400, "bad_request"),
    ("GET", "/rooms?limit=0", {}, 400, "bad_request"),
    ("GET", "/rooms?limit=many", {}, 400, "bad_request"),
    ("GET", "/rooms?cursor=-1", {}, 400, "bad_request"),
    ("GET", f"/rooms?cursor={2**64}", {}, 400, "bad_request"),
    ("GET", "/rooms?curser=0", {}, 400, "bad_request"),
    ("PUT", "/rooms/x", {"data": b"{", "headers": JSON}, 400, "bad_request"),
    ("PUT", "/rooms/x", {"data": b"\xff\xfe", "headers": JSON}, 400, "bad_request"),
    ("PUT", "/rooms/x", {"data": b"[" * 100_000, "headers": JSON}, 400, "bad_request"),
    ("PUT", "/rooms/x", {"json": ["code"]}, 400, "bad_request"),
    ("PUT", "/rooms/x", {"json": {"code": "x", "bass": "y"}}, 400, "bad_request"),
    ("PUT", "/rooms/x", {"json": {}}, 400, "bad_code"),
    ("PUT", "/rooms/x", {"json": {"code": 7}}, 400, "bad_code"),
    ("PUT", "/rooms/x", {"json": {"code": "x", "base": 7}}, 400, "bad_code"),
    ("PUT", "/rooms/x", {"data": b'{"code":"\\ud800"}', "headers": JSON}, 400, "bad_code"),
    ("PUT", "/rooms/x", {"json": {"code": "x"}, "headers": {"If-None-Match": '"1"'}}, 400,
     "bad_request"),
    ("PUT", "/rooms/x", {"data": b'{"code":""}'}, 415, "bad_media_type"),
    ("PUT", "/rooms/x", {"json": {"code": "é" * 140_000}}, 413, "code_too_large"),
    ("PUT", "/rooms/x", {"json": {"code": "", "base": "x" * 270_000}}, 413, "code_too_large"),
    ("PUT", "/rooms/x", {"data": "[" + " " * (2 << 20), "headers": JSON}, 413,
     "frame_too_large"),
    ("GET", "/room", {}, 404, "not_found"),
    ("GET", "", {}, 404, "not_found"),
    ("POST", "/rooms", {"json": {}}, 405, "method_not_allowed"),
    ("PATCH", "/rooms/x", {"json": {}}, 405, "method_not_allowed"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "word"),
    WRONG,
    ids=[f"{i}-{case[4]}" for i, case in enumerate(WRONG)],
)
async def test_what_is_wrong_is_told_in_json_with_the_fitting_status(
    callers: list[Caller], method: str, path: str, options: dict[str, Any], status: int, word: str
) -> None:
    if isinstance(data := options.get("data"), str):
        options = {**options, "data": io.BytesIO(data.encode())}
    found, told = await callers[0].ask(method, path, **options)
    assert (found, told["error"]["code"]) == (status, word) and told["error"]["message"]


PRECONDITIONS = [
    ("PUT", {"If-Match": '"1"'}), ("PUT", {"If-Match": "*"}), ("PUT", {"If-None-Match": '"1"'}),
    ("PUT", {"If-Unmodified-Since": "Thu, 01 Jan 2026 00:00:00 GMT"}),
    ("PUT", {"If-Modified-Since": "Thu, 01 Jan 2026 00:00:00 GMT"}),
    ("DELETE", {"If-Match": '"1"'}), ("DELETE", {"If-None-Match": "*"}),
    ("DELETE", {"If-Unmodified-Since": "Thu, 01 Jan 2026 00:00:00 GMT"}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "headers"), PRECONDITIONS, ids=str)
async def test_a_precondition_that_is_not_kept_is_refused_and_nothing_is_done(
    callers: list[Caller], room: str, method: str, headers: dict[str, str]
) -> None:
    await callers[0].put(room, "as it was")
    status, told = await callers[0].ask(
        method, f"/rooms/{room}", json={"code": "overwritten"}, headers=headers
    )
    assert (status, told["error"]["code"]) == (400, "bad_request")
    [header] = headers
    assert header in told["error"]["message"]
    assert ("base" in told["error"]["message"]) is (method == "PUT")
    assert (await callers[0].get(room))["code"] == "as it was"


async def test_two_conditions_of_which_one_is_kept_are_refused(
    callers: list[Caller], room: str
) -> None:
    headers = CIMultiDict([("If-None-Match", "*"), ("If-None-Match", '"1"')])
    status, _ = await callers[0].ask("PUT", f"/rooms/{room}", json={"code": "x"}, headers=headers)
    assert status == 400 and (await callers[0].ask("GET", f"/rooms/{room}"))[0] == 404


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_page_can_read_what_is_wrong_with_a_history(
    redis_server: Redis, room: str, method: str
) -> None:
    page, other = "https://a.example", "https://b.example"
    node = Node(redis_server.url, "pages", COLLAB_CORS_ORIGINS=page)
    async with running(node), calling(node) as (caller,), aiohttp.ClientSession() as session:
        await caller.put(room, "x")
        for path, status in ((room, 200), (f"{room}-2", 404), (f"{room}?format=xml", 400)):
            path = path.replace("?", "/history?") if "?" in path else f"{path}/history"
            for origin in (page, other, node.url):
                async with session.request(
                    method, f"{node.url}/api/rooms/{path}", headers={"Origin": origin}
                ) as answer:
                    assert answer.status == status
                    allowed = answer.headers.get("Access-Control-Allow-Origin")
                    assert allowed == (None if origin == other else origin)
                    assert answer.headers["Vary"] == "Origin"
                    assert answer.headers["Access-Control-Expose-Headers"] == "Retry-After"
        async with session.get(f"{node.url}/api/rooms", headers={"Origin": page}) as answer:
            assert "Access-Control-Allow-Origin" not in answer.headers


PLAIN = [
    ("GET", "/nowhere", 404, "not_found"),
    ("POST", "/", 405, "method_not_allowed"),
    ("GET", "/assets/nothing.js", 404, "not_found"),
    ("GET", "/yjs/r", 426, "upgrade_required"),
    ("POST", "/yjs/r", 405, "method_not_allowed"),
    ("PUT", "/socket.io/", 405, "method_not_allowed"),
]


@pytest.mark.parametrize(("method", "path", "status", "word"), PLAIN)
async def test_errors_have_one_form_below_every_path(
    nodes: Nodes, method: str, path: str, status: int, word: str
) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, nodes[0].url + path) as answer,
    ):
        told = await answer.json()
        assert answer.status == status
        assert answer.headers.get("Upgrade") == ("websocket" if status == 426 else None)
        assert ("Allow" in answer.headers) is (status == 405)
    matches("Error", told)
    assert told["error"]["code"] == word


async def test_who_set_or_ended_a_room_is_in_the_log(redis_server: Redis, room: str) -> None:
    node = Node(redis_server.url, "seen", COLLAB_API_KEY=KEY)
    proxied = {"X-Forwarded-For": "192.0.2.7, 10.0.0.1", "X-Request-Id": "0a1b"}
    right = {"Authorization": f"Bearer {KEY}", **proxied}
    async with running(node), calling(node) as (caller,):
        path = f"/rooms/{room}"
        for method, given, headers in (
            ("PUT", {"json": {"code": "sup3r größer"}}, right),
            ("PUT", {"json": {"code": "sup3r"}}, {"Authorization": f"Bearer {KEY}"}),
            ("PUT", {"json": {"code": "sup3r"}}, {**right, "If-None-Match": "*"}),
            ("DELETE", {}, {**proxied, "X-Request-Id": "not\tsane"}),
            ("DELETE", {}, right), ("DELETE", {}, right), ("GET", {}, right),
        ):  # fmt: skip
            await caller.ask(method, path, headers=headers, **given)
        await caller.ask("DELETE", "/rooms/a%0Ab", headers=right)
    lines = [json.loads(line) for line in node.output().splitlines()]
    told = [line for line in lines if line["event"] == "api request"]
    assert [(line["method"], line["outcome"]) for line in told] == [
        ("PUT", "created"), ("PUT", "merged"), ("PUT", "room_exists"), ("DELETE", "not_allowed"),
        ("DELETE", "ended"), ("DELETE", "no_such_room"), ("DELETE", "bad_room"),
    ]  # fmt: skip
    assert [line.get("bytes") for line in told[:4]] == [14, 5, 5, None]
    assert all(line["room"] == room for line in told[:-1]) and told[-1]["room"] == "a\nb"
    assert [line.get("client") for line in told[:2]] == ["192.0.2.7, 10.0.0.1", None]
    assert [line.get("request") for line in told[:4]] == ["0a1b", None, "0a1b", None]
    assert all(line["peer"] == "127.0.0.1" and line["node"] == "seen" for line in told)
    assert KEY not in node.output() and "sup3r" not in node.output()


async def test_a_compressed_body_counts_as_what_it_unpacks_to(callers: list[Caller]) -> None:
    bomb = zlib.compress(b" " * (64 << 20))
    headers = {**JSON, "Content-Encoding": "deflate"}
    status, told = await callers[0].ask("PUT", "/rooms/x", data=bomb, headers=headers)
    assert status in (400, 413), told


async def test_without_redis_it_says_503_and_nothing_was_done(
    redis_server: Redis, js: JsHost, room: str
) -> None:
    async with proxy(redis_server.port) as wire:
        node = Node(f"redis://127.0.0.1:{wire.port}/0", "cut", COLLAB_REDIS_TIMEOUT="0.3")
        async with running(node), calling(node) as (caller,):
            ada = await js.connect(node.url)
            await ada.change(room, "as it was")
            wire.refuse()
            for method, path, options in (
                ("GET", "/rooms", {}), ("GET", f"/rooms/{room}", {}),
                ("GET", f"/rooms/{room}/history", {}), ("DELETE", f"/rooms/{room}", {}),
                ("PUT", f"/rooms/{room}", {"json": {"code": "lost"}}),
            ):  # fmt: skip
                status, told = await caller.ask(method, path, **options)
                assert (status, told["error"]["code"]) == (503, "store_unavailable"), path
            wire.accept()
            await eventually(lambda: "pub/sub is back" in node.output())
            assert (await caller.get(room))["code"] == "as it was"


# The contract


def test_every_answer_is_a_named_schema_that_forbids_what_it_does_not_name() -> None:
    schemas = CONTRACT["components"]["schemas"]
    for name, schema in schemas.items():
        assert schema["title"] == name, name
        if schema.get("type") == "object":
            assert schema["additionalProperties"] is False, name
        inner = [*schema.get("properties", {}).values(), schema.get("items", {})]
        inner = [part for part in inner if part is not True]
        for part in [*inner, *(each.get("items", {}) for each in inner), *schema.get("oneOf", ())]:
            assert part.get("type") != "object", f"{name} has an object without a name"
    for answer in _answers(CONTRACT):
        for kind, content in answer.get("content", {}).items():
            assert "$ref" in content["schema"] or kind == "application/x-ndjson", answer


def _answers(contract: Any) -> Iterator[Any]:
    yield from contract["components"]["responses"].values()
    for item in contract["paths"].values():
        for method, operation in item.items():
            if method != "parameters":
                yield from operation["responses"].values()


def test_every_route_below_api_is_in_the_contract_and_nothing_else() -> None:
    app = create_app(Config.from_env({}))
    served = {
        (route.resource.canonical, route.method.lower())
        for route in app.router.routes()
        if route.resource is not None and route.resource.canonical.startswith("/api")
    }
    told = {
        ("/api" + path, method)
        for path, item in CONTRACT["paths"].items()
        for method in item
        if method != "parameters"
    }
    assert {route for route in served if route[1] != "head"} == told


async def test_the_service_keeps_its_contract(redis_server: Redis, tmp_path: Path) -> None:
    node = Node(redis_server.url, "contract", COLLAB_API_KEY=KEY)
    async with running(node):
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("schemathesis")),
            "--config-file", str(ROOT / "tests" / "cluster" / "schemathesis.toml"),
            "run", f"{node.url}/api/openapi.json", "--url", f"{node.url}/api",
            "--header", f"Authorization: Bearer {KEY}", "--max-examples", "20", "--seed", "1",
            "--generation-database", "none", "--max-failures", "5",
            cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate()
        assert process.returncode == 0, said.decode()
    assert '"level":"error"' not in node.output()
