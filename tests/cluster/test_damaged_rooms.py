"""A room whose keys in Redis are damaged harms no other, and opens again when it is mended."""

from __future__ import annotations

import asyncio
import json
import re
import time
from random import Random

import aiohttp
import pytest
import redis.asyncio

from collab.config import Config
from collab.doctor import Doctor
from collab.errors import RoomUnreadable
from collab.metrics import Metrics
from collab.store.damage import RETRY_SECONDS
from collab.store.keys import kept_keys, room_keys, script_keys
from collab.store.store import Store
from tests.cluster.caller import Caller
from tests.cluster.damage import READABLE, UNREADABLE, Damage, spoil
from tests.cluster.peers import assert_one_truth, cluster, converge, peers
from tests.cluster.raw_yjs import closing, raw
from tests.support.clients import JsClient, JsHost
from tests.support.processes import Node, Redis, get_metrics

Client = redis.asyncio.Redis
Nodes = tuple[Node, Node]
TEXT = "first secret word 🐍 last"
MAX_WAIT = 0.5
"""Seconds that nobody in a healthy room may wait, on a busy machine."""
DAMAGES = {**UNREADABLE, **READABLE}


async def filled(url: str, room: str, text: str = TEXT) -> None:
    """Let a room have a text and a history, and no node that holds it."""
    async with peers(url, room, "writer") as (writer,):
        for word in re.findall(r"\S+\s*", text):
            await writer.insert(word, author=word)


async def dumps(store: Client, room: str) -> list[bytes | None]:
    return [await store.dump(key) for key in script_keys(room)]


async def visit(server: Redis, room: str, *, mend: bool = False) -> list[str]:
    """Let the doctor look at a room; return the words of what it found, or has left."""
    store = Store(server.url, "doctor", 2.0, Metrics())
    try:
        report = await Doctor(Config(), store).visit(room, mend=mend)
    finally:
        await store.close()
    assert "secret" not in "".join(report.lines()) + json.dumps(report.as_json())
    return [finding.word for finding in report.left]


async def type_on(client: JsClient, room: str, over: asyncio.Event) -> None:
    """Type in a healthy room until it is ``over``."""
    number = 0
    while not over.is_set():
        assert (await client.change(room, f"line {number}"))["ok"]
        number += 1
        await asyncio.sleep(0.01)


async def refused(
    node: Node, client: JsClient, http: aiohttp.ClientSession, room: str, what: str
) -> None:
    """Whoever wants to enter the room, or to change it, is told that it can't be read."""
    for event in ("join", "change"):
        reply = await client.ask(event, {"room": room, "code": "mine"})
        assert not reply["ok"] and reply["error"]["code"] == "room_unreadable", (what, event)
        assert reply["error"]["room"] == room
    async with raw(node, room) as socket:
        code, reason = await closing(socket)
        assert (code, room in reason) == (1013, True), what
    async with http.put(f"{node.url}/api/rooms/{room}", json={"code": "mine"}) as answer:
        told = await answer.json()
        assert (answer.status, told["error"]["code"]) == (503, "room_unreadable"), what
        assert answer.headers["Retry-After"]


@pytest.mark.timeout(90)
async def test_damaged_rooms_say_so_at_every_endpoint_and_others_go_on_at_their_speed(
    nodes: Nodes, redis_server: Redis, store: Client, js: JsHost, room: str
) -> None:
    node = nodes[0]
    rooms = {kind: f"{room[:40]}-{number}" for number, kind in enumerate(UNREADABLE)}
    healthy, over = f"{room[:40]}-healthy", asyncio.Event()
    await asyncio.gather(*(filled(redis_server.url, name) for name in rooms.values()))
    for kind, name in rooms.items():
        await UNREADABLE[kind](store, name)
    before = {name: await dumps(store, name) for name in rooms.values()}
    neighbour, client = await js.connect(node.url), await js.connect(node.url)
    await neighbour.join(healthy)
    round_trips = (await get_metrics(node.url))["collab_redis_commands_total"]
    started = time.monotonic()
    typing = asyncio.create_task(type_on(neighbour, healthy, over))
    async with aiohttp.ClientSession() as http:
        for _ in range(2):  # the second time from memory
            for kind, name in rooms.items():
                await refused(node, client, http, name, kind)
        seconds = time.monotonic() - started
        # The list has the healthy ones, whatever the others are.
        async with http.get(f"{node.url}/api/rooms?limit=1000") as answer:
            assert answer.status == 200
        async with http.get(f"{node.url}/api/rooms/{healthy}") as answer:
            assert (await answer.json())["code"].startswith("line")
    assert {name: await dumps(store, name) for name in rooms.values()} == before
    figures = await get_metrics(node.url)
    assert figures["collab_unreadable_rooms"] >= len(rooms)
    assert figures["collab_redis_failures_total"] == 0, "no connection was given up for a bad room"
    commands = figures["collab_redis_commands_total"] - round_trips
    assert commands < 400 * seconds + 40 * len(rooms), "it must not read again and again"
    over.set()
    await typing
    assert max(neighbour.trips) < MAX_WAIT
    for name in rooms.values():
        lines = [line for line in node.output().splitlines() if f'"{name}"' in line]
        told = [line for line in lines if "the room can't be read" in line]
        assert len(told) == 1, "once in a while, not each time"
        assert "secret" not in "".join(lines)

    for kind, name in rooms.items():
        assert not await visit(redis_server, name, mend=True), kind
    await asyncio.sleep(RETRY_SECONDS)
    for kind, name in rooms.items():
        assert (await client.join(name))["ok"], kind
        await client.shows(TEXT)
        assert (await client.change(name, TEXT + "!"))["ok"], kind
        assert any([await store.exists(key) for key in kept_keys(name)]), "nothing is thrown away"
    left = (await get_metrics(node.url))["collab_unreadable_rooms"]
    assert left <= figures["collab_unreadable_rooms"] - len(rooms)


async def test_a_damaged_room_that_is_deleted_begins_anew(
    nodes: Nodes, redis_server: Redis, store: Client, js: JsHost, room: str, callers: list[Caller]
) -> None:
    await filled(redis_server.url, room)
    await UNREADABLE["the head as a set"](store, room)
    client = await js.connect(nodes[0].url)
    assert (await client.join(room))["error"]["code"] == "room_unreadable"
    status, _ = await callers[1].ask("DELETE", f"/rooms/{room}")
    assert status == 204
    await asyncio.sleep(RETRY_SECONDS)
    assert (await client.change(room, "anew"))["ok"]
    assert await store.get(room_keys(room)[0]) == b"anew"


@pytest.mark.parametrize("kind", READABLE)
async def test_what_a_node_can_read_in_spite_of_the_damage_it_opens_and_mends(
    redis_server: Redis, store: Client, room: str, kind: str
) -> None:
    await filled(redis_server.url, room)
    await READABLE[kind](store, room)
    async with peers(redis_server.url, room, "a") as (node,):
        assert node.text == TEXT
        await converge(node)
        await node.insert("!")
        await converge(node)
        assert await assert_one_truth(store, room, node) == TEXT + "!"


async def test_a_starter_that_is_no_text_is_not_written_over(
    redis_server: Redis, store: Client, room: str
) -> None:
    await store.set(room_keys(room)[0], b"caf\xe9")
    async with cluster(redis_server.url, room) as nodes:
        with pytest.raises(RoomUnreadable):
            await nodes.add("a")
    assert await store.get(room_keys(room)[0]) == b"caf\xe9"


@pytest.mark.parametrize("kind", DAMAGES)
async def test_holders_write_a_room_that_is_damaged_anew_and_lose_nothing(
    redis_server: Redis, store: Client, room: str, kind: str
) -> None:
    """Whoever types meanwhile goes on typing, and is acknowledged when Redis has it."""
    damage: Damage = DAMAGES[kind]
    async with peers(redis_server.url, room, "a", "b") as (node, other):
        await node.insert("one ")
        await converge(node, other)
        other.deaf = True
        for turn in range(2):
            await node.insert(f"before{turn} ")
            await damage(store, room)
            stored = node.insert(f"during{turn} ")
            other.insert(f"there{turn} ")
            async with asyncio.timeout(10):
                await stored
            text = (await store.get(room_keys(room)[0]) or b"").decode()
            assert f"during{turn} " in text, "acknowledged, and not in Redis"
            await converge(node, other)
        node.journal.handle_damage()  # a node that could not read the room says so
        await converge(node, other)
        text = await assert_one_truth(store, room, node, other)
        words = ["one", *(f"{word}{turn}" for turn in (0, 1) for word in ("before", "during"))]
        assert sorted(text.split()) == sorted([*words, "there0", "there1"])
        async with peers(redis_server.url, room, "cold") as (cold,):
            assert cold.text == text
    assert not await visit(redis_server, room)


@pytest.mark.parametrize("kind", ["a base of garbage", "the ends as a hash", "no journal"])
async def test_a_node_that_cannot_read_a_room_tells_the_one_that_holds_it(
    nodes: Nodes, redis_server: Redis, store: Client, js: JsHost, room: str, kind: str
) -> None:
    """The holder reads only the end of its journal, and would notice nothing."""
    holder, other = await js.connect(nodes[0].url), await js.connect(nodes[1].url)
    assert (await holder.change(room, TEXT))["ok"]
    await UNREADABLE[kind](store, room)
    async with asyncio.timeout(10):
        while not (await other.join(room))["ok"]:  # noqa: ASYNC110 - as a page asks again
            await asyncio.sleep(0.2)
    await other.shows(TEXT)
    assert (await other.change(room, TEXT + "!"))["ok"]
    await holder.shows(TEXT + "!")


async def test_a_node_without_the_document_waits_and_acknowledges_nothing(
    redis_server: Redis, store: Client, room: str
) -> None:
    async with peers(redis_server.url, room, "a") as (node,):
        head = room_keys(room)[2]
        await store.sadd(head, "not ours")
        stored = node.insert("typed")
        await asyncio.sleep(0.5)
        assert not stored.done()
        assert await store.smembers(head) == {b"not ours"}, "it is not for this node to delete"
        await store.delete(head)
        async with asyncio.timeout(10):
            await stored
        assert await assert_one_truth(store, room, node) == "typed"


@pytest.mark.parametrize("seed", range(40))
async def test_random_damage_makes_nobody_crash_and_the_room_opens_after_a_mend(
    redis_server: Redis, store: Client, room: str, seed: int
) -> None:
    random = Random(seed)
    await filled(redis_server.url, room)
    await store.lpush(script_keys(room)[3], "an end")
    done = [await spoil(store, room, random) for _ in range(random.randint(1, 3))]
    async with (
        peers(redis_server.url, f"{room}-other", "n") as (node,),
        cluster(redis_server.url, room) as nodes,
    ):
        try:
            await nodes.add("cold")
        except RoomUnreadable:
            assert await visit(redis_server, room), done
        async with asyncio.timeout(1):
            await node.insert("goes on")
    assert not await visit(redis_server, room, mend=True), done
    async with peers(redis_server.url, room, "again") as (again,):
        await again.insert("!")
        await converge(again)
        await assert_one_truth(store, room, again)
