"""A room that is ended over HTTP ends for all members, even for those that were cut off."""

from __future__ import annotations

import asyncio

import redis.asyncio

from tests.cluster.caller import Caller, calling, played
from tests.support.clients import JsHost, eventually
from tests.support.processes import Node, Redis, running
from tests.support.proxy import proxy

Nodes = tuple[Node, Node]


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
        told = await callers[1].put(room, f"{i} again", base=f"text {i}")
        assert told["code"] == f"{i} again"
        assert (await callers[0].get(room))["code"] == f"{i} again"


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
    # A client that typed on after the end has begun the room with the text on its own screen, and
    # that is one text, not two.
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
