"""One scene with people who type, over several transports at once, and its outcome."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from tests.soak.cluster import SoakCluster
from tests.soak.healing import Healing
from tests.soak.scenes import SCENES
from tests.soak.stage import Stage
from tests.soak.verdict import Verdict, judge
from tests.soak.watch import Watch
from tests.support.ports import free_port
from tests.support.proxy import Proxy
from tests.support.typists import TRANSPORTS, Outcome, typists

ROOMS, MEMBERS = 3, 3
"""Rooms for each transport, and people in each of them."""
DELAY = 0.06
"""Seconds on the wire, each way."""
WAYS = (*TRANSPORTS, "yjs")
"""Text members over each transport, with a Yjs member in some rooms; or only Yjs members."""
HABITS = "joins", "once", "mounts", "waits"
"""What pages do when they have reconnected (see tests/js/text_page.mjs)."""
BEFORE, AFTERWARDS = 2.0, 1.0
"""Seconds for which people type before the first failure, and after the last recovery."""


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one scene for the people who typed in one way."""

    scene: str
    way: str
    outcome: Outcome

    @property
    def broke_a_promise(self) -> bool:
        """Whether an acknowledged character is lost, or a room has several texts.

        Of Yjs members nothing may be lost: their documents keep what is not acknowledged.
        """
        outcome = self.outcome
        lost = outcome.lost if self.way == "yjs" else outcome.lost_though_acked
        return bool(lost or outcome.apart)

    def row(self) -> str:
        """Return a row of the table whose head is `HEAD`."""
        outcome = self.outcome
        lost, risen, apart = outcome.faults
        returns = sum(member.returns for member in outcome.members if member.endpoint == "text")
        cells = (
            self.scene, self.way, outcome.changes, outcome.inserted,
            f"{lost} ({lost / max(1, outcome.inserted):.2%})", len(outcome.out_of_reach),
            len(outcome.lost_though_acked), risen, f"{apart} of {len(outcome.texts)}",
            f"{sum(member.recovered for member in outcome.members)} of {returns}",
            len(outcome.refused), outcome.unanswered,
        )  # fmt: skip
        return "| " + " | ".join(map(str, cells)) + " |"


HEAD = (
    "| scene | transport | changes | inserted | lost | out of reach | though acknowledged | risen "
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
) -> tuple[list[Result], Verdict]:
    """Let people type, in separate rooms for each way, during a scene.

    Failures are caused for ``seconds``; the last one is carried through. Returns what became of
    the typed text, and what is to be said of the cluster.
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
        rooms = [room for way in ways for room in names[way]]
        watch, healing = Watch(cluster), Healing(cluster, groups, rooms)
        stage = Stage(cluster, links, watch, healing)
        async with watch.running():
            await asyncio.sleep(BEFORE)
            end = loop.time() + seconds
            while loop.time() < end:
                await SCENES[scene](stage)
            await asyncio.sleep(AFTERWARDS)
            typed = await asyncio.gather(*(group.rest() for group in groups))
    results = [
        Result(scene, way, Outcome(people, await cluster.texts(names[way])))
        for way, people in zip(ways, typed, strict=True)
    ]
    return results, judge(scene, stage.failures, watch)


def _members(
    way: str, rooms: Sequence[str], links: Iterator[Proxy], habits: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the plans of the people who type in one way (tests/js/typist.mjs).

    In one room their URLs name the room, so that all connect to one node; in another room one
    person is a Yjs member.
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
