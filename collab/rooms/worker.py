"""Runs the steps of a room's work one after the other, and retries a step that fails."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from collab.errors import RoomUnreadable, StoreUnavailable

log = logging.getLogger(__name__)

FIRST_PAUSE, MAX_PAUSE = 0.05, 1.0
"""Seconds before the first retry, and the most between later ones, while Redis is away."""
MAX_LONG_PAUSE = 5.0
"""The most seconds between two attempts if the room's keys are damaged, or its work fails for an
unknown reason: that may go on for hours, and other rooms must not notice."""
LOG_INTERVAL = 60.0
"""Seconds between two lines of the log about the same failure of a room."""


class Worker:
    """Calls ``step`` for a room, from `start` on, until no work is left.

    ``step`` returns False when it finds no work. If Redis was away, the next call does the same
    work again. ``on_error`` is called after any other exception, and must prepare the next attempt:
    a bug must not stop a room's commits.

    Work that needs no task is done between `begin` and `end`.
    """

    def __init__(
        self, room: str, step: Callable[[], Awaitable[bool]], on_error: Callable[[], None]
    ) -> None:
        self._room = room
        self._step = step
        self._on_error = on_error
        self._task: asyncio.Task[None] | None = None
        self.begun = False
        """Whether work was begun without a task, and is not over."""
        self._flushing: list[asyncio.Future[None]] = []
        self._closed = False
        self._logged = "", 0.0

    @property
    def busy(self) -> bool:
        """Whether work may be left."""
        return self.begun or self._task is not None

    def start(self) -> None:
        """Start working, unless the worker is running already."""
        if not self.busy and not self._closed:
            self._task = asyncio.create_task(self._work())

    def begin(self) -> bool:
        """Begin work without a task; return whether it may begin. It is over with `end`."""
        if self.busy or self._closed:
            return False
        self.begun = True
        return True

    def end(self) -> None:
        """End the work that was begun."""
        self.begun = False
        flushing, self._flushing = self._flushing, []
        for each in flushing:
            if not each.done():
                each.set_result(None)

    async def flush(self) -> None:
        """Wait until no work is left."""
        while self.busy:
            if self._task is not None:
                await asyncio.wait([self._task])
            else:
                ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._flushing.append(ended)
                await ended

    async def close(self) -> None:
        """Stop, between two steps or within one."""
        self._closed = True
        self.end()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None  # a task that is cancelled before its first step does not reset it

    def _log_failure(self, fault: Exception) -> None:
        now, words = asyncio.get_running_loop().time(), repr(fault)
        if words != self._logged[0] or now - self._logged[1] >= LOG_INTERVAL:
            self._logged = words, now
            log.exception("a room's work failed", extra={"room": self._room})

    async def _work(self) -> None:
        pause = FIRST_PAUSE
        try:
            while True:
                longest = MAX_LONG_PAUSE
                try:
                    if not await self._step():
                        return
                    pause = FIRST_PAUSE
                    continue
                except RoomUnreadable:
                    pass  # `Damage` has logged it
                except StoreUnavailable as problem:
                    longest = MAX_PAUSE
                    if pause == FIRST_PAUSE:
                        reason = {"room": self._room, "reason": str(problem)}
                        log.warning("waiting for Redis", extra=reason)
                except Exception as fault:  # after any error the room's other work must go on
                    self._log_failure(fault)
                    self._on_error()
                # Random pauses: many rooms wait for the same Redis.
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(2 * pause, longest)
        finally:
            self._task = None
