"""How long it takes from the repair of a failure until everybody has one text again."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from redis.exceptions import RedisError

from tests.soak.cluster import SoakCluster
from tests.support.typists import Page, Typists

STILL_TYPING = 1.0
"""Seconds for which people type on after the repair: it must heal under load. So nothing that is
measured is shorter."""
HEAL_TIMEOUT = 30.0
"""Seconds after which the soak stops waiting; what was promised is `tests.soak.verdict`'s."""
LOOK_INTERVAL = 0.05
"""Seconds between two looks at all pages."""


class Healing:
    """Waits until all pages of each room, and Redis, have one text, and no change is unanswered."""

    def __init__(
        self, cluster: SoakCluster, groups: Sequence[Typists], rooms: Sequence[str]
    ) -> None:
        self._cluster = cluster
        self._groups = groups
        self._rooms = rooms

    async def wait(self, repaired: float) -> tuple[bool, str]:
        """Wait until all is well; return whether it is, and what was the last that was not.

        ``repaired`` is the time of the repair by the event loop's clock. The people type on for
        `STILL_TYPING`; then they pause until all is well, so that there is one text to wait for.
        After `HEAL_TIMEOUT` this gives up.
        """
        clock, last = asyncio.get_running_loop().time, ""
        await asyncio.sleep(STILL_TYPING)
        for group in self._groups:
            group.pause()
        try:
            while True:
                wrong = await self._wrong()
                if not wrong or clock() > repaired + HEAL_TIMEOUT:
                    return not wrong, wrong or last
                last = wrong
                await asyncio.sleep(LOOK_INTERVAL)
        finally:
            for group in self._groups:
                group.resume()

    async def _wrong(self) -> str:
        """Return what is not as it should be; '' if all is."""
        try:
            stored = await self._cluster.stored(self._rooms)
        except (RedisError, OSError) as problem:
            return f"Redis does not answer: {problem}"
        pages: defaultdict[str, list[Page]] = defaultdict(list)
        for group in self._groups:
            for page in await group.look():
                pages[page.room].append(page)
        for room, shown in pages.items():
            if offline := sum(not page.online for page in shown):
                return f"{room}: {offline} of {len(shown)} pages are not connected"
            if waiting := sum(page.waiting for page in shown):
                return f"{room}: {waiting} changes are not acknowledged"
            if len({page.text for page in shown}) > 1:
                return f"{room}: its pages show several texts"
            if shown[0].text != stored[room]:
                return f"{room}: Redis has another text than its pages"
        return ""
