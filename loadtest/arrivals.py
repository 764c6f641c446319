"""How long it takes until many clients that come at once have their texts."""

import asyncio
from collections.abc import Sequence
from typing import Any

import uvloop

from loadtest.load import AT_ONCE
from loadtest.members import Room, TextMember, clock, text_with
from loadtest.processes import Cores, Meter, Server, redis_server, relay, service

CLIENTS = 1000
SIZE = 2000


async def write_texts(rooms: Sequence[Room], port: int) -> None:
    """Give each room its text, by a member that then leaves."""
    few = asyncio.Semaphore(AT_ONCE)

    async def write(room: Room) -> None:
        async with few:
            writer = await TextMember.enter(room, port)
            writer.change(room.name, room.text)
            await writer.stored
            writer.close()

    await asyncio.gather(*map(write, rooms))


async def arrive(rooms: Sequence[Room], port: int, meter: Meter) -> dict[str, float]:
    """Let all clients come in the same instant, two in each room."""
    start, before = clock(), meter.read()

    async def enter(room: Room) -> TextMember:
        member = await TextMember.enter(room, port)
        await member.first_text
        return member

    members = await asyncio.gather(*(enter(rooms[n // 2]) for n in range(CLIENTS)))
    used = meter.read() - before
    times = sorted(member.first_text.result() - start for member in members)
    for member in members:
        assert member.final_text() == text_with(0, SIZE)
        member.close()
    return {
        "half_s": times[CLIENTS // 2],
        "all_s": times[-1],
        "server_us": 1e6 * sum(used.servers) / CLIENTS,
    }


def measure_arrivals(cores: Cores, command: str) -> list[dict[str, Any]]:
    """Measure arrivals at the relay and at the service; print a table and return its rows."""
    rooms = [f"arrival-{number}" for number in range(CLIENTS // 2)]
    with relay(cores) as server:
        uvloop.run(_write(rooms, server))
        plain = uvloop.run(_arrive(rooms, server))
    with redis_server(cores) as store:
        with service(store, cores, command=command) as (node,):
            uvloop.run(_write(rooms, node))
        # Another node, which has no room in its memory yet.
        with service(store, cores, command=command) as (node,):
            result = uvloop.run(_arrive(rooms, node))
    print(f"\n| {CLIENTS:,} clients at once | half are in | all are in | server µs each |")
    print("| --- | --- | --- | --- |")
    for what, row in ("the service", result), ("the relay", plain):
        cells = f"{row['half_s']:.2f} s | {row['all_s']:.2f} s | {row['server_us']:.0f}"
        print(f"| {what} | {cells} |", flush=True)
    return [{"row": "arrivals", **result, "relay": plain}]


async def _write(rooms: Sequence[str], server: Server) -> None:
    await write_texts([Room(name, SIZE) for name in rooms], server.port)


async def _arrive(rooms: Sequence[str], server: Server) -> dict[str, float]:
    return await arrive([Room(name, SIZE) for name in rooms], server.port, Meter([server]))
