"""The HTTP API: rooms for other services, on any node, and the history of one."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import redis.asyncio

from tests.cluster.caller import Caller, matches, played
from tests.support.clients import JsHost
from tests.support.processes import Node, get_metrics
from tests.support.typists import Typist, typists

Nodes = tuple[Node, Node]


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
    member = {"room": room, "endpoint": "text", "transports": ["websocket"]}
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
