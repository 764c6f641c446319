"""One scene with people who type, over several transports at once, and what became of it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from tests.soak.cluster import SoakCluster
from tests.soak.scenes import SCENES
from tests.support.processes import free_port
from tests.support.proxy import Proxy
from tests.support.typists import TRANSPORTS, Outcome, typists

ROOMS, MEMBERS = 3, 3
"""Rooms for each transport, and people in each of them."""
DELAY = 0.06
"""Seconds on the wire, each way."""
WAYS = (*TRANSPORTS, "yjs")
"""Who types: text members over each transport, with a Yjs member in some rooms; or Yjs members."""
HABITS = "joins", "once", "mounts", "waits"
"""What pages do when their connection is back: tests/js/text_page.mjs tells."""
BEFORE, AFTERWARDS = 2.0, 1.0
"""Seconds for which people type before the first blow, and when all is well again."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How one scene ended for those who typed in one way."""

    scene: str
    way: str
    outcome: Outcome

    @property
    def broke_a_promise(self) -> bool:
        """Whether something acknowledged is lost, or a room is apart."""
        return bool(self.outcome.lost_though_acked or self.outcome.apart)

    def row(self) -> str:
        """Return a row of the table whose head is `HEAD`."""
        outcome = self.outcome
        lost, risen, apart = outcome.faults
        returns = sum(member.returns for member in outcome.members if member.endpoint == "text")
        cells = (
            self.scene, self.way, outcome.changes, outcome.inserted,
            f"{lost} ({lost / max(1, outcome.inserted):.2%})", len(outcome.beyond_help),
            len(outcome.lost_though_acked), risen, f"{apart} of {len(outcome.texts)}",
            f"{sum(member.recovered for member in outcome.members)} of {returns}",
            len(outcome.refused), outcome.unanswered,
        )  # fmt: skip
        return "| " + " | ".join(map(str, cells)) + " |"


HEAD = (
    "| scene | transport | changes | inserted | lost | beyond help | though acknowledged | risen "
    "| rooms apart | returns recovered | refused | unanswered |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


async def play(
    cluster: SoakCluster,
    scene: str,
    ways: Sequence[str] = WAYS,
    *,
    seconds: float,
    habits: Sequence[str] = HABITS,
    seed: int = 1,
    traced: bool = False,
) -> list[Ending]:
    """Let people type, in rooms of their own for each way, while a scene goes on.

    Blows are struck for ``seconds``; one that has begun is carried through.
    """
    loop = asyncio.get_running_loop()
    names = {way: [f"{scene}-{way}-{free_port()}-{r}" for r in range(ROOMS)] for way in ways}
    async with AsyncExitStack() as stack:
        links = await stack.enter_async_context(cluster.links(len(ways) * ROOMS * MEMBERS, DELAY))
        free = iter(links)
        groups = [await stack.enter_async_context(typists()) for _ in ways]
        plans = [
            {"seed": seed, "traced": traced, "members": _members(way, names[way], free, habits)}
            for way in ways
        ]
        await asyncio.gather(
            *(group.begin(plan) for group, plan in zip(groups, plans, strict=True))
        )
        await asyncio.sleep(BEFORE)
        end = loop.time() + seconds
        while loop.time() < end:
            await SCENES[scene](cluster, links)
        await asyncio.sleep(AFTERWARDS)
        typed = await asyncio.gather(*(group.rest() for group in groups))
    return [
        Ending(scene, way, Outcome(people, await cluster.texts(names[way])))
        for way, people in zip(ways, typed, strict=True)
    ]


def _members(
    way: str, rooms: Sequence[str], links: Iterator[Proxy], habits: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the plans of those who type in one way (tests/js/typist.mjs).

    In one room they name it, and meet on one node; in another one of them is a Yjs member.
    """
    habit = itertools.cycle(habits)
    members: list[dict[str, Any]] = []
    for r, room in enumerate(rooms):
        for m in range(MEMBERS):
            url = f"http://127.0.0.1:{next(links).port}"
            member: dict[str, Any] = {"room": room, "thinks": True, "url": url, "endpoint": "yjs"}
            if way != "yjs" and (r, m) != (2, 0):
                member |= {"endpoint": "text", "transports": TRANSPORTS[way], "habit": next(habit)}
                member["url"] += f"/?room={room}" if r == 1 else ""
            members.append(member)
    return members
