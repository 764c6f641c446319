"""What a scene can use: the cluster, the links to it, and a watch of what its failures do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.soak.cluster import SoakCluster
from tests.soak.healing import Healing
from tests.soak.watch import Watch
from tests.support.proxy import Proxy


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure: when it began, was repaired and was healed (seconds of the event loop's clock).

    ``serving`` are the nodes that ran after it, and ``concerned`` those that were not ready
    meanwhile. ``last`` says what was healed last, or was not if ``given_up``.
    """

    serving: frozenset[str]
    concerned: frozenset[str]
    began: float
    repaired: float
    healed: float
    given_up: bool
    last: str


@dataclass(slots=True)
class Stage:
    """The cluster, people's links to it, and the failures so far."""

    cluster: SoakCluster
    links: Sequence[Proxy]
    watch: Watch
    healing: Healing
    failures: list[Failure] = field(default_factory=list)

    @asynccontextmanager
    async def failure(self, *concerned: str) -> AsyncIterator[None]:
        """Enclose a failure of the nodes ``concerned``; return when everything is as it should be.

        The body causes the failure and repairs it.
        """
        began = self.watch.now()
        yield
        repaired = self.watch.now()
        all_well, last = await self.healing.wait(repaired)
        healed = self.watch.now()
        await self.watch.until_ready(repaired)
        serving = frozenset(self.cluster.serving)
        self.failures.append(
            Failure(serving, frozenset(concerned), began, repaired, healed, not all_well, last)
        )


Scene = Callable[[Stage], Awaitable[None]]
"""Causes one failure and repairs it."""
