"""What connections and rooms hold in memory while nothing happens."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import redis
import uvloop

from loadtest.ageing import age_rooms
from loadtest.load import AT_ONCE, Unusable
from loadtest.members import Room, TextMember, text_with
from loadtest.processes import Cores, Meter, Redis, Server, redis_server, service

CLIENTS = 1000
FIRST_CLIENTS = 100
"""Clients that come before memory is first measured: they pay for what all clients share."""
ROOMS_EACH = 4
ROOM_SIZE = 2000
OLD_ROOMS, OLD_SIZE, OLD_EDITS = 40, 10_000, 5_000
SETTLING = 3.0
"""Seconds for what a node does after clients have come, such as reports of presence."""
STORING = 60.0


class Scale:
    """Weighs a node and its Redis, before and after something is added."""

    def __init__(self, node: Server, store: Redis) -> None:
        self.port = node.port
        self.redis = redis.Redis.from_url(store.url)
        self._meter = Meter([node], store)
        self._before = (0, 0)

    async def tare(self) -> None:
        await asyncio.sleep(SETTLING)
        self._before = self._weigh()

    async def each(self, count: int) -> dict[str, float]:
        """Return how many kB have been added since `tare`, for each of ``count``."""
        await asyncio.sleep(SETTLING)
        node, store = (new - old for new, old in zip(self._weigh(), self._before, strict=True))
        return {"node_kb": node / count / 1000, "redis_kb": store / count / 1000}

    def _weigh(self) -> tuple[int, int]:
        return self._meter.resident(), int(self.redis.info("memory")["used_memory"])


async def weigh_connections(scale: Scale, *, deflate: bool) -> dict[str, float]:
    """Weigh joined connections, two in each room, and so half a room without a text."""
    first = await come_in("first", FIRST_CLIENTS, scale.port, deflate=deflate)
    await scale.tare()
    clients = await come_in("idle", CLIENTS, scale.port, deflate=deflate)
    result = await scale.each(CLIENTS)
    leave(first + clients)
    return result


async def weigh_with_deflate(scale: Scale) -> dict[str, float]:
    return await weigh_connections(scale, deflate=True)


async def weigh_without_deflate(scale: Scale) -> dict[str, float]:
    return await weigh_connections(scale, deflate=False)


async def weigh_rooms(scale: Scale) -> dict[str, float]:
    """Weigh rooms with a text and two members, whose connections are there already."""
    clients = await come_in("idle", CLIENTS, scale.port)
    await scale.tare()
    names = []
    for number in range(ROOMS_EACH):
        for pair in range(0, CLIENTS, 2):
            names.append(f"room-{pair}-{number}")
            for member in clients[pair : pair + 2]:
                member.join(names[-1])
            clients[pair].change(names[-1], text_with(0, ROOM_SIZE))
        await until_stored(scale, names)
    result = await scale.each(len(names))
    leave(clients)
    return result


async def weigh_old_rooms(scale: Scale) -> dict[str, float]:
    """Weigh rooms that have been edited long, each with two members and their connections."""
    await scale.tare()
    rooms = [Room(f"old-{number // 2}", OLD_SIZE) for number in range(2 * OLD_ROOMS)]
    await age_rooms(rooms[::2], scale.port, OLD_EDITS)
    clients = [await TextMember.enter(room, scale.port) for room in rooms]
    result = await scale.each(OLD_ROOMS)
    leave(clients)
    return result


async def come_in(name: str, clients: int, port: int, *, deflate: bool = False) -> list[TextMember]:
    """Return joined members, two in each room."""
    few = asyncio.Semaphore(AT_ONCE)

    async def enter(number: int) -> TextMember:
        async with few:
            return await TextMember.enter(Room(f"{name}-{number // 2}", 0), port, deflate=deflate)

    return list(await asyncio.gather(*map(enter, range(clients))))


async def until_stored(scale: Scale, names: Sequence[str]) -> None:
    deadline = time.monotonic() + STORING
    while scale.redis.exists(*(f"code_{name}" for name in names)) < len(names):
        if time.monotonic() > deadline:
            raise Unusable(f"rooms are not in Redis after {STORING} s")
        await asyncio.sleep(0.2)


def leave(clients: Sequence[TextMember]) -> None:
    for client in clients:
        client.close()
    if errors := [client.error for client in clients if client.error]:
        raise Unusable(f"{len(errors)} clients met errors: {errors[0]}")


WEIGHED: dict[str, Callable[[Scale], Awaitable[dict[str, float]]]] = {
    "an idle joined connection": weigh_without_deflate,
    "an idle joined connection that offers deflate": weigh_with_deflate,
    f"an idle room: {ROOM_SIZE // 1000} kB, two members": weigh_rooms,
    f"a room of {OLD_SIZE // 1000} kB with {OLD_EDITS:,} edits": weigh_old_rooms,
}


def measure_memory(cores: Cores, command: str) -> list[dict[str, Any]]:
    """Weigh all of these, each on a node of its own; print a table and return its rows."""
    print("\n| what | kB of the node | kB of Redis |\n| --- | --- | --- |")
    results = []
    for what, weigh in WEIGHED.items():
        with redis_server(cores) as store, service(store, cores, command=command) as (node,):
            result = uvloop.run(_weigh(weigh, node, store))
        print(f"| {what} | {result['node_kb']:.1f} | {result['redis_kb']:.1f} |", flush=True)
        results.append({"row": what, **result})
    return results


async def _weigh(
    weigh: Callable[[Scale], Awaitable[dict[str, float]]], node: Server, store: Redis
) -> dict[str, float]:
    return await weigh(Scale(node, store))
