"""Nodes die, load cold, and begin rooms at the same moment; other services use the same Redis."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import redis.asyncio

from collab.rooms.absent import RETURN_TIMEOUT
from collab.rooms.handover import digest
from collab.sio.room_records import KEPT_SECONDS, RETRY_SECONDS
from collab.store.keys import client_key
from tests.cluster.wire import wire_member
from tests.faults.conftest import PRESENCE, TIMEOUT, Cluster
from tests.faults.typists import Typists
from tests.support.clients import JsHost, eventually
from tests.support.processes import Node, Process, get_metrics


async def test_everything_that_a_killed_node_acknowledged_is_there(
    cluster: Cluster, people: Typists, js: JsHost, store: redis.asyncio.Redis, room: str
) -> None:
    people.join(room, cluster.a, cluster.b, cluster.b)
    await people.typed(60)
    await cluster.b.kill()
    promised = [word for person in await people.tell() for word in person.acked]
    await cluster.b.start()
    await people.typed(40)
    people.stop()
    cold = await js.connect(cluster.c.url)
    await cold.join(room)
    words = {word for person in await people.tell() for word in person.acked} | set(promised)

    def everything() -> bool:
        return bool(cold.codes) and all(cold.codes[-1].count(word) == 1 for word in words)

    try:
        await eventually(everything)
    except AssertionError:
        counts = {word: cold.codes[-1].count(word) for word in words}
        wrong = {word: count for word, count in counts.items() if count != 1}
        raise AssertionError(f"missing, or there twice: {wrong}") from None
    await eventually_stored(store, room, cold.codes[-1])


async def test_what_was_on_its_way_to_a_page_of_a_killed_node_is_not_deleted_by_its_return(
    cluster: Cluster, js: JsHost, store: redis.asyncio.Redis, room: str
) -> None:
    """Two type at the same moment, and their node is killed before either shows what the other
    typed: each comes back with its own letter, and without the other's."""
    one, other = await js.connect(cluster.b.url), await js.connect(cluster.b.url)
    for client in (one, other):
        await client.join(room)
    await one.change(room, "one two")
    await other.shows("one two")
    await asyncio.gather(one.change(room, "1one two"), other.change(room, "one two2"))
    await cluster.b.kill()
    await eventually_stored(store, room, "1one two2")
    await cluster.b.start()
    for client in (one, other):
        await client.until_reconnected()
        await client.join(room)
    await asyncio.gather(one.change(room, "1one Xtwo"), other.change(room, "one Ytwo2"))
    text = (await store.get(f"code_{room}") or b"").decode()
    assert text in ("1one XYtwo2", "1one YXtwo2")
    for client in (one, other):
        await client.shows(text)


async def test_a_page_that_joins_only_once_is_in_its_rooms_again_when_its_node_was_killed(
    cluster: Cluster, js: JsHost, store: redis.asyncio.Redis, room: str
) -> None:
    """As the first user's pages do: they join when they are loaded, and then only read."""
    rooms = [f"{room}-{number}" for number in range(16)]  # as many as it may be in
    reader, writer = await js.connect(cluster.b.url), await js.connect(cluster.a.url)
    for name in rooms:
        await reader.join(name)
        await writer.change(name, f"one in {name}")
        await reader.shows(f"one in {name}")
        await writer.ask("leave", {"room": name})
    left = rooms.pop()
    await reader.ask("leave", {"room": left})
    await until_recorded(store, rooms)
    await cluster.b.kill()
    for name in rooms:
        await writer.change(name, f"two in {name}")
        await writer.ask("leave", {"room": name})
    await writer.change(left, "left")
    await cluster.b.start()
    assert (await reader.until_reconnected())["recovered"] is False
    later = [f"two in {name}" for name in rooms]
    await eventually(lambda: set(later) <= set(reader.codes))
    await writer.change(rooms[-1], "three")
    await reader.shows("three")
    assert "left" not in reader.codes


async def until_recorded(store: redis.asyncio.Redis, rooms: list[str]) -> None:
    """Wait until a client is recorded in Redis to be in these rooms and in no others."""
    wanted = json.dumps(rooms, separators=(",", ":")).encode()
    async with asyncio.timeout(5):
        while True:
            keys = [key async for key in store.scan_iter("collab:client:*")]
            if wanted in [await store.get(key) for key in keys]:
                return
            await asyncio.sleep(0.01)


async def test_a_page_of_a_killed_node_whose_next_connection_breaks_too_is_in_its_room_again(
    cluster: Cluster, js: JsHost, store: redis.asyncio.Redis, room: str
) -> None:
    async with wire_member(cluster.b.url) as page:
        await page.join(room)
        await (await page.type(room, "what it shows"))
        await until_recorded(store, [room])
        await cluster.b.kill()
    for _ in range(2):  # the answer to the first has not arrived: it shows its old pid again
        async with wire_member(cluster.c.url, auth={"pid": page.pid}) as back:
            await back.shows("what it shows")


async def pid_of_a_page_whose_node_is_killed(
    cluster: Cluster, store: redis.asyncio.Redis, room: str, text: str
) -> str:
    """Let a page of node ``c`` show ``text``, kill the node, and return the page's pid."""
    async with wire_member(cluster.c.url) as page:
        await page.join(room)
        await (await page.type(room, text))
        await until_recorded(store, [room])
        await cluster.c.kill()
        return page.pid


async def test_a_page_of_a_killed_node_is_in_its_room_again_when_redis_is_back(
    cluster: Cluster, store: redis.asyncio.Redis, room: str
) -> None:
    """Redis is away while the page connects again: the node can't read where the page was."""
    pid = await pid_of_a_page_whose_node_is_killed(cluster, store, room, "what it shows")
    cluster.wire.part()
    async with wire_member(cluster.b.url, auth={"pid": pid}) as back:
        await asyncio.sleep(1.5 * RETRY_SECONDS)
        assert back.codes == []
        cluster.wire.rejoin()
        await back.shows("what it shows")


async def test_a_page_of_a_killed_node_that_has_gone_again_is_not_waited_for(
    cluster: Cluster, store: redis.asyncio.Redis, room: str
) -> None:
    async with wire_member(cluster.c.url) as page:
        await page.join(room)
        await until_recorded(store, [room])
        await cluster.c.kill()
    cluster.wire.part()
    async with session_at(cluster.b) as ws:
        await ws.send_str("40" + json.dumps({"pid": page.pid}))
        await asyncio.sleep(0.3)  # the node still asks the others for the page
    await asyncio.sleep(2 * TIMEOUT)
    cluster.wire.rejoin()
    await cluster.ready()
    await asyncio.sleep(1.5 * RETRY_SECONDS)
    left = await store.ttl(client_key(digest(page.pid, "")))
    assert left > RETURN_TIMEOUT, "the node has read where the page was, which is gone"


@asynccontextmanager
async def session_at(node: Node) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Open a session of Engine.IO that no client connects yet."""
    url = f"{node.url}/socket.io/?EIO=4&transport=websocket"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as ws:
        yield ws


async def test_what_a_page_of_a_killed_node_types_while_redis_is_away_is_not_taken_from_it(
    cluster: Cluster, store: redis.asyncio.Redis, room: str
) -> None:
    """Its change is refused. So it must not get the room's text, which would replace its own."""
    pid = await pid_of_a_page_whose_node_is_killed(cluster, store, room, "one two")
    cluster.wire.part()
    async with wire_member(cluster.b.url, auth={"pid": pid}) as back:
        refused = await (await back.type(room, "one Xtwo"))
        assert refused["error"]["code"] == "store_unavailable"
        cluster.wire.rejoin()
        await cluster.ready()
        await asyncio.sleep(1.5 * RETRY_SECONDS)
        assert back.codes == []
        assert await (await back.type(room, "one XYtwo")) == {"ok": True}
    await eventually_stored(store, room, "one XYtwo")


async def test_a_change_that_is_sent_before_the_page_is_in_its_rooms_again_is_merged(
    cluster: Cluster, store: redis.asyncio.Redis, room: str
) -> None:
    """A program need not wait for the answer to CONNECT, during which the node joins the rooms."""
    pid = await pid_of_a_page_whose_node_is_killed(cluster, store, room, "one two")
    change = json.dumps(["change", {"room": room, "code": "one Xtwo"}])
    async with session_at(cluster.a) as ws:
        await ws.send_str("40" + json.dumps({"pid": pid}))
        for number in range(3):
            await ws.send_str(f"42{number}{change}")
        await eventually_stored(store, room, "one Xtwo")


async def test_all_pages_of_a_killed_node_are_in_their_rooms_again_at_once(
    cluster: Cluster, store: redis.asyncio.Redis, room: str
) -> None:
    rooms = [f"{room}-{number}" for number in range(10)]
    async with AsyncExitStack() as stack:
        pages = [await stack.enter_async_context(wire_member(cluster.c.url)) for _ in range(200)]
        for number, page in enumerate(pages):
            await page.join(rooms[number % 10])
        for page, name in zip(pages, rooms, strict=False):
            await (await page.type(name, f"the text of {name}"))
        recorded = store.scan_iter("collab:client:*", count=1000)
        assert len([key async for key in recorded]) >= len(pages)
        await cluster.c.kill()
    async with AsyncExitStack() as stack:
        back = await asyncio.gather(
            *(
                stack.enter_async_context(wire_member(cluster.a.url, auth={"pid": page.pid}))
                for page in pages
            )
        )
        for number, page in enumerate(back):
            await page.shows(f"the text of {rooms[number % 10]}")


async def test_a_node_forgets_the_rooms_of_a_client_that_has_left_them(
    cluster: Cluster, js: JsHost, store: redis.asyncio.Redis, room: str
) -> None:
    client = await js.connect(cluster.a.url)
    await client.join(room)
    await until_recorded(store, [room])
    keys = {key async for key in store.scan_iter("collab:client:*")}
    own = [key for key in keys if await store.get(key) == f'["{room}"]'.encode()]
    assert 0 < await store.ttl(own[0]) <= KEPT_SECONDS
    await client.ask("leave", {"room": room})
    async with asyncio.timeout(5):
        while await store.exists(own[0]):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)


async def eventually_stored(store: redis.asyncio.Redis, room: str, text: str) -> None:
    """Wait until the snapshot is ``text``."""
    async with asyncio.timeout(5):
        while await store.get(f"code_{room}") != text.encode():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)


async def test_a_killed_nodes_members_leave_presence(
    cluster: Cluster, js: JsHost, room: str
) -> None:
    stays = await js.connect(cluster.a.url, auth={"name": "Ada"})
    goes = await js.connect(cluster.b.url, auth={"name": "Bob"}, reconnection=False)
    await stays.join(room)
    await goes.join(room)

    def names() -> list[str]:
        return [member["name"] for member in stays.of("presence")[-1]["members"]]

    await eventually(lambda: stays.of("presence") and names() == ["Ada", "Bob"])
    await cluster.b.kill()
    began = time.monotonic()
    await eventually(lambda: names() == ["Ada"])
    assert time.monotonic() - began < 5 * PRESENCE


async def test_a_node_that_loads_cold_builds_the_same_document(
    cluster: Cluster, people: Typists, js: JsHost, store: redis.asyncio.Redis, room: str
) -> None:
    people.join(room, cluster.a, cluster.b)
    await people.typed(60)
    people.join(room, cluster.c)  # in the middle of it
    await people.typed(60)
    await people.rest(store, room)


async def test_two_nodes_that_begin_a_room_from_one_text_at_once_build_one_copy(
    cluster: Cluster, js: JsHost, store: redis.asyncio.Redis, room: str
) -> None:
    here, there = await js.connect(cluster.a.url), await js.connect(cluster.b.url)
    for number in range(15):  # a connection may be in sixteen rooms
        name = f"{room}-{number}"
        await store.set(f"code_{name}", "starter 🐍\n", ex=60)
        await asyncio.gather(here.join(name), there.join(name))
        assert await store.get(f"code_{name}") == "starter 🐍\n".encode()
        assert await here.change(name, "# a\nstarter 🐍\n") == {"ok": True}
        await there.shows("# a\nstarter 🐍\n")
        assert await there.change(name, "# a\nstarter 🐍\n# b\n") == {"ok": True}
        await here.shows("# a\nstarter 🐍\n# b\n")
        for client in (here, there):
            await client.ask("leave", {"room": name})


async def test_a_text_set_over_a_live_room_by_other_hands_is_mended(
    cluster: Cluster, js: JsHost, store: redis.asyncio.Redis, room: str
) -> None:
    client = await js.connect(cluster.a.url)
    await client.join(room)
    await client.change(room, "what they typed")
    await store.set(f"code_{room}", "not what they typed")
    await eventually_stored(store, room, "what they typed")
    assert await store.ttl(f"code_{room}") > 1700
    assert client.codes == []


EMITTER = """
import asyncio, sys, socketio
async def main(url, room):
    manager = socketio.AsyncRedisManager(url, write_only=True)
    await manager.emit("announcement", {"minutes": 5}, room=room)
    await manager.redis.aclose()
asyncio.run(main(*sys.argv[1:]))
"""


async def test_another_service_emits_to_a_rooms_members_on_all_nodes(
    cluster: Cluster, js: JsHost, room: str
) -> None:
    here, there = await js.connect(cluster.a.url), await js.connect(cluster.b.url)
    elsewhere = await js.connect(cluster.b.url)
    await here.join(room)
    await there.join(room)
    await elsewhere.join(room + "-other")
    emitter = Process(sys.executable, "-c", EMITTER, cluster.redis.url, room)
    await emitter.start()
    assert await emitter.wait() == 0, emitter.output()
    for client in (here, there):
        await eventually(lambda client=client: client.of("announcement") == [{"minutes": 5}])
    assert elsewhere.of("announcement") == []


async def test_an_edit_costs_nothing_on_a_node_that_does_not_hold_the_room(
    cluster: Cluster, people: Typists, store: redis.asyncio.Redis, room: str
) -> None:
    async def heard(node: Node) -> float:
        return (await get_metrics(node.url))["collab_announcements_total"]

    away, here = await heard(cluster.c), await heard(cluster.b)
    people.join(room, cluster.a, cluster.b)
    await people.typed(40)
    await people.rest(store, room)
    assert await heard(cluster.c) == away
    assert await heard(cluster.b) - here >= 10
