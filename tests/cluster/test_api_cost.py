"""What callers of the HTTP API cost: requests take turns, and a page of the list is cheap."""

from __future__ import annotations

import asyncio
from collections import Counter

import aiohttp
import redis.asyncio

from collab.http.api import MAX_REQUESTS, MAX_WAITING_REQUESTS
from collab.metrics import Metrics
from collab.store.directory import Directory
from collab.store.keys import room_keys
from collab.store.store import Store
from tests.support.processes import Node, Redis, running
from tests.support.proxy import proxy

ROOMS = 3000


async def test_more_requests_than_may_wait_are_refused_at_once_and_the_others_take_turns(
    redis_server: Redis, room: str
) -> None:
    async with proxy(redis_server.port) as wire:
        node = Node(f"redis://127.0.0.1:{wire.port}/0", "taking-turns", COLLAB_REDIS_TIMEOUT="10")
        connector = aiohttp.TCPConnector(limit=0)
        async with running(node), aiohttp.ClientSession(connector=connector) as http:
            statuses: Counter[int] = Counter()

            async def ask() -> None:
                async with http.get(f"{node.url}/api/rooms/{room}") as answer:
                    statuses[answer.status] += 1
                    if answer.status == 503:
                        assert answer.headers["Retry-After"]
                        assert (await answer.json())["error"]["code"] == "node_full"

            wire.stall()
            most = MAX_REQUESTS + MAX_WAITING_REQUESTS
            asked = [asyncio.create_task(ask()) for _ in range(most + 20)]
            async with asyncio.timeout(8):
                await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
                while statuses.total() < 20:  # noqa: ASYNC110 - the tasks do not tell
                    await asyncio.sleep(0.01)
            assert statuses == {503: 20}
            wire.resume()
            await asyncio.gather(*asked)
            assert statuses == {503: 20, 404: most}


async def test_a_page_of_the_list_takes_few_scans_and_two_commands_for_each_room(
    redis_server: Redis, store: redis.asyncio.Redis, room: str
) -> None:
    async with store.pipeline(transaction=False) as pipe:
        for number in range(ROOMS):
            code, journal, head = room_keys(f"{room}-{number}")
            pipe.set(code, "text", ex=60)
            pipe.xadd(journal, {"a": "", "u": ""})
            pipe.expire(journal, 60)
            pipe.hset(head, "tail", "1700000000000-1")
            pipe.expire(head, 60)
        await pipe.execute()
    metrics = Metrics()
    own = Store(redis_server.url, "n", 2.0, metrics)
    found: set[str] = set()
    cursor, pages, lines = 0, 0, 0
    while True:
        listed, cursor = await Directory(own).page(cursor, 100)
        found.update(line.room for line in listed)
        pages, lines = pages + 1, lines + len(listed)
        if not cursor:
            break
    await own.close()
    assert {f"{room}-{number}" for number in range(ROOMS)} <= found
    commands = metrics.registry.get_sample_value("collab_redis_commands_total") or 0
    assert commands - 2 * lines <= 8 * pages, "SCANs of a page"
    async with store.pipeline(transaction=False) as pipe:
        for number in range(ROOMS):
            pipe.delete(*room_keys(f"{room}-{number}"))
        await pipe.execute()
