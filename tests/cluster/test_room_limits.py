"""What one person, or one address, may use of Redis a minute: new rooms, and bytes of edits."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack

import aiohttp
import redis.asyncio

from collab.errors import RoomFull
from collab.merge.lateness import Habit
from collab.rooms.history import MIN_LIMIT, TEXTS_KEPT
from collab.rooms.text_members import TextMember
from collab.store.keys import room_keys
from collab.store.store import USAGE_INTERVAL
from tests.cluster.people import member_of
from tests.cluster.registries import Silent, rooms, somebody
from tests.support.clients import JsHost
from tests.support.processes import Node, Redis, get_metrics, running
from tests.support.tokens import SECRET, token

KIB = 1024
KEY = "the-key-of-another-service"
Client = redis.asyncio.Redis


def noise(size: int, seed: int) -> str:
    """Return a text that shares little with another one."""
    return "".join(random.Random(seed).choices("abcdefghijklmnop", k=size))


async def journal_bytes(store: Client, room: str) -> int:
    return int(await store.hget(room_keys(room)[2], "bytes") or 0)


async def test_an_address_that_has_entered_too_many_new_rooms_enters_only_rooms_with_a_text(
    redis_server: Redis, store: Client, js: JsHost, room: str
) -> None:
    node = Node(redis_server.url, "few", COLLAB_MAX_NEW_ROOMS="5")
    await store.set(f"code_{room}-starter", "there", ex=60)
    async with running(node):
        client, other = await js.connect(node.url), await js.connect(node.url)
        for number in range(4):
            await client.join(f"{room}-{number}")
        await client.change(f"{room}-4", "written")
        for each in (client, other):
            answer = await each.ask("join", {"room": f"{room}-new"})
            assert answer["error"]["code"] == "rate_limited", answer
        await other.join(f"{room}-starter")
        await other.shows("there")
        assert (await other.join(f"{room}-3"))["ok"], "the room is loaded"
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(f"{node.url}/yjs/{room}-new") as refused,
        ):
            ended = await refused.receive()
            assert ended.data == 1013 and "new rooms" in str(ended.extra)
        assert not await store.exists(*room_keys(f"{room}-new"), *room_keys(f"{room}-3"))


async def test_who_writes_too_much_a_minute_waits_is_told_why_and_disturbs_nobody(
    redis_server: Redis, stack: AsyncExitStack, room: str
) -> None:
    node = Node(redis_server.url, "frugal", COLLAB_MAX_WRITTEN_BYTES=str(256 * KIB))
    async with running(node):
        heavy = await member_of(stack, node.url, room)
        answers = [
            await heavy.ask("change", {"room": room, "code": noise(100 * KIB, seed)})
            for seed in range(6)
        ]
        refused = [answer["error"]["code"] for answer in answers if not answer["ok"]]
        assert answers[0]["ok"] and answers[1]["ok"] and set(refused) == {"rate_limited"}
        assert heavy.errors[-1]["code"] == "rate_limited"
        counted = await get_metrics(node.url)
        assert 256 * KIB <= counted["collab_written_bytes_total"] < 400 * KIB


async def test_the_journal_of_a_large_text_that_is_replaced_again_and_again_stays_small(
    redis_server: Redis, store: Client, room: str
) -> None:
    async with rooms(redis_server.port) as held:
        there = await held.acquire(room)
        member = there.enter("m", somebody("m"), Silent(), Habit())
        size, most = 100 * KIB, 0
        for seed in range(30):
            there.texts.change(member, noise(size, seed))
            await there.stored()
            await there.flush()
            most = max(most, await journal_bytes(store, room))
        assert size < most <= TEXTS_KEPT * size
        there.texts.change(member, "short")
        await there.stored()
        there.texts.change(member, "shorter")
        await there.stored()
        await there.flush()
        assert await journal_bytes(store, room) <= MIN_LIMIT
        held.release(room)


async def test_a_redis_with_little_memory_keeps_short_histories_and_begins_no_room(
    stack: AsyncExitStack, js: JsHost, room: str
) -> None:
    server = Redis()
    await stack.enter_async_context(running(server))
    client = Client.from_url(server.url)
    stack.push_async_callback(client.aclose)
    node = Node(server.url, "scarce")
    async with running(node), aiohttp.ClientSession() as http:
        ada = await js.connect(node.url, auth={"name": "Ada"})
        await ada.join(room)
        for seed in range(3):
            assert (await ada.change(room, noise(60 * KIB, seed)))["ok"]
        assert await journal_bytes(client, room) > 120 * KIB
        await client.setrange("filler", 20_000_000, b"x")  # the buffers of clients are little then
        used = (await client.info("memory"))["used_memory"]
        await client.config_set("maxmemory", round(used / 0.93))

        async def limit() -> int | None:
            async with http.get(f"{node.url}/readyz") as ready:
                found: int | None = (await ready.json())["redis"]["max_bytes"]
                return found

        async with asyncio.timeout(4 * USAGE_INTERVAL):
            while await limit() is None:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.1)
        refused = await ada.join(f"{room}-new")
        assert refused["error"]["code"] == "store_unavailable"
        text = noise(60 * KIB, 2)
        for number in range(3):
            assert (await ada.change(room, text + "!" * number))["ok"], "old rooms go on"
        assert await journal_bytes(client, room) < 64 * KIB
        counted = await get_metrics(node.url)
        assert 0 < counted["collab_redis_used_bytes"] < counted["collab_redis_max_bytes"]


async def test_a_person_can_not_get_around_the_quotas_by_http(
    redis_server: Redis, store: Client, room: str
) -> None:
    node = Node(
        redis_server.url, "frugal", COLLAB_AUTH_SECRET=SECRET, COLLAB_API_KEY=KEY,
        COLLAB_MAX_NEW_ROOMS="4", COLLAB_MAX_WRITTEN_BYTES=str(256 * KIB),
    )  # fmt: skip
    async with running(node), aiohttp.ClientSession() as http:

        async def put(shown: str, name: str, size: int, *, new: bool = False) -> int:
            headers = {"Authorization": f"Bearer {shown}"} | ({"If-None-Match": "*"} if new else {})
            url = f"{node.url}/api/rooms/{room}-{name}"
            body = {"code": noise(size, random.randrange(1 << 30))}
            async with http.put(url, json=body, headers=headers) as answer:
                return answer.status

        ann = token("ann")
        for new in (True, False):
            assert [await put(ann, f"{new}-{k}", 1, new=new) for k in range(2)] == [201, 201]
        for new in (True, False):
            assert await put(ann, f"{new}-more", 1, new=new) == 429
            assert await put(KEY, f"{new}-more", 1, new=new) == 201
        assert await put(ann, "True-more", 1) == 200, "a room with a text is not a new one"

        ben = [await put(token("ben"), "True-0", 100 * KIB) for _ in range(6)]
        assert ben[:2] == [200, 200] and ben[-1] == 429
        assert await put(token("cleo"), "new", 100 * KIB, new=True) == 201
        assert {await put(KEY, "True-0", 100 * KIB) for _ in range(4)} == {200}


async def test_of_two_members_that_come_from_another_node_at_once_only_as_many_enter_as_may(
    redis_server: Redis, room: str
) -> None:
    async with (
        rooms(redis_server.port, node="old") as old,
        rooms(redis_server.port, node="new", max_members_per_room=1) as new,
    ):
        there, here = await old.acquire(room), await new.acquire(room)
        left = []
        for name in ("ann", "ben"):
            member = there.enter(name, somebody(name), Silent(), Habit())
            there.texts.change(member, f"by {name}")
            await there.stored()
            there.texts.leave(member, may_return=True)
            departed = await there.texts.hand_over(name, room)
            assert departed is not None
            left.append((name, departed))
        results = await asyncio.gather(
            *(here.restore(each, name, somebody(name), Silent(), Habit()) for name, each in left),
            return_exceptions=True,
        )
        assert [type(each) for each in results] == [TextMember, RoomFull]
        old.release(room)
        new.release(room)
