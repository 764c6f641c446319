"""Two members who stay in one room all the time, one at each node, and type into it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from tests.cluster.wire import WireMember, wire_member
from tests.support.clients import eventually
from tests.support.processes import Node
from tests.support.tokens import token

INTERVAL = 0.5
"""Seconds between two changes of a resident."""
LONGEST = 2000
"""Characters at which the text is cut: visitors only add to it."""
LAST = "the residents' last word\n"


class Residents:
    """The two of them."""

    def __init__(self, members: Sequence[WireMember], room: str) -> None:
        self._members = members
        self._room = room

    async def live(self, seat: int) -> None:
        """Type, until this is cancelled."""
        member = self._members[seat]
        while True:
            await asyncio.sleep(INTERVAL)
            shown = "" if len(member.text) > LONGEST else member.text
            answer = await (await member.type(self._room, shown + f"{seat}"))
            assert answer["ok"], answer

    async def check(self) -> str:
        """Return what is wrong: "" if each sees what the other types, and nobody else is there."""
        for member in self._members:
            if member.closed:
                return f"a resident has lost its connection, and was told {member.errors[-2:]}"
        first, second = self._members
        await (await first.type(self._room, LAST + first.text))
        try:
            await eventually(lambda: LAST in second.text)
        except AssertionError:
            return "the residents see different texts"
        return ""


@asynccontextmanager
async def residents(nodes: Sequence[Node], room: str) -> AsyncIterator[Residents]:
    """Let one resident be at each node."""
    async with AsyncExitStack() as stack:
        members = [
            await stack.enter_async_context(
                wire_member(node.url, auth={"token": token(f"resident-{node.name}")})
            )
            for node in nodes
        ]
        home = Residents(members, room)
        for member in members:
            await member.join(room)
        lives = [asyncio.create_task(home.live(seat)) for seat in range(len(members))]
        try:
            yield home
        finally:
            for life in lives:
                life.cancel()
            await asyncio.wait(lives)
