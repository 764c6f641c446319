"""Rooms that are crowded, or many, or large: what they cost Redis and the other members."""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
from collections.abc import AsyncIterator

from collab.yjs import protocol
from tests.abuse.members import TextMember
from tests.abuse.offender import Offender
from tests.support.forge import varstring, varuint

CROWD, SHOWN = 90, 60
"""Members of a crowded room, and those of them that are Yjs members with a state."""
MOVES = 30
"""Members that leave the crowded room and join it again, each second."""
ROOMS_OF_EACH = 16
"""Rooms that one connection may be in, by default."""
PASSED_THROUGH = 50
"""Rooms through which one connection passes."""
LARGE_TEXT = 250_000
"""Characters of a large room's text."""


async def crowded_room(offender: Offender, moves: int) -> AsyncIterator[None]:
    """Leaving and joining a room of 90 members with large states, 30 times a second."""
    shown = await offender.several(SHOWN, lambda _: offender.yjs_member("crowded"))
    await asyncio.gather(*(member.ask(_state(n)) for n, member in enumerate(shown)))
    members = await offender.several(CROWD - SHOWN, lambda _: offender.text_member())
    await asyncio.gather(*(member.join("crowded") for member in members))
    yield
    clock = asyncio.get_running_loop().time
    began, joins = clock(), list[asyncio.Task[bool]]()
    for number, member in zip(range(moves), itertools.cycle(members), strict=False):
        await asyncio.sleep(began + number / MOVES - clock())
        await member.emit("leave", {"room": "crowded"})
        joins.append(asyncio.create_task(member.join("crowded")))
    await asyncio.gather(*joins)


def _state(client: int) -> bytes:
    """Return the frame with which a Yjs member shows a state of nearly the largest size."""
    state = varuint(client) + varuint(1) + varstring(json.dumps({"user": {"color": "x" * 4000}}))
    return protocol.awareness_message(varuint(1) + state)


async def empty_rooms(offender: Offender, rooms: int) -> AsyncIterator[None]:
    """Joining and leaving rooms of random names."""
    connections = rooms // PASSED_THROUGH
    members = await offender.several(connections, lambda _: offender.text_member())
    yield
    await asyncio.gather(*map(_pass_through, members))


async def _pass_through(member: TextMember) -> None:
    for _ in range(PASSED_THROUGH):
        room = secrets.token_hex(8)
        if not (await member.join(room) and await member.ask("leave", {"room": room})):
            return


async def large_rooms(offender: Offender, seconds: int) -> AsyncIterator[None]:
    """Changing all of the text of 220 rooms of 250 kB again and again, at the legal rate."""
    members = await offender.several(220 // ROOMS_OF_EACH, lambda _: offender.text_member())
    yield
    end = asyncio.get_running_loop().time() + seconds
    await asyncio.gather(
        *(_fill_rooms(member, f"large-{number}", end) for number, member in enumerate(members))
    )


async def _fill_rooms(member: TextMember, prefix: str, end: float) -> None:
    clock = asyncio.get_running_loop().time
    for number in itertools.count():
        letter = chr(ord("a") + number // ROOMS_OF_EACH % 26)
        accepted = await member.change(f"{prefix}-{number % ROOMS_OF_EACH}", letter * LARGE_TEXT)
        if not accepted or clock() > end:
            return
