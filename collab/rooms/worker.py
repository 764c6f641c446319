"""Work that is done one step at a time, for as long as it takes, and never given up."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from collab.errors import StoreUnavailable

log = logging.getLogger(__name__)

FIRST_PAUSE, MAX_PAUSE = 0.05, 1.0
"""Seconds before the first and between later attempts while Redis does not serve."""


class Worker:
    """Takes steps, from a kick on, until there is nothing left to do for a room.

    ``step`` returns False when there is nothing to do. What it could not do for want of Redis, it
    does when it is called again. ``on_error`` is called after any other failure, to set things
    right for the next attempt: a mistake must not end a room's commits.
    """

    def __init__(
        self, room: str, step: Callable[[], Awaitable[bool]], on_error: Callable[[], None]
    ) -> None:
        self._room = room
        self._step = step
        self._on_error = on_error
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether there may be something left to do."""
        return self._task is not None

    def start(self) -> None:
        """Go to work, if not at it already."""
        if self._task is None and not self._closed:
            self._task = asyncio.create_task(self._work())

    async def flush(self) -> None:
        """Wait until nothing is left to do."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def close(self) -> None:
        """Stop between two steps, or in the middle of one."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None  # one that was ended before its first step did not see to it

    async def _work(self) -> None:
        pause = FIRST_PAUSE
        try:
            while True:
                try:
                    if not await self._step():
                        return
                    pause = FIRST_PAUSE
                    continue
                except StoreUnavailable as problem:
                    if pause == FIRST_PAUSE:
                        reason = {"room": self._room, "reason": str(problem)}
                        log.warning("waiting for Redis", extra=reason)
                except Exception:  # whatever it was, the room's other work is still to be done
                    log.exception("a room's work stumbled", extra={"room": self._room})
                    self._on_error()
                # Spread out: many rooms wait for the same Redis to come back.
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(2 * pause, MAX_PAUSE)
        finally:
            self._task = None
