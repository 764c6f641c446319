"""How one client's messages are handled: each is charged, and a client over its budget waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from time import monotonic
from typing import Any, Final, Generic, TypeVar

from collab.budget import Meter
from collab.scheduler import UNKNOWN_COST

T = TypeVar("T")

CHARGED_TOGETHER: Final = 0.5e-3
"""Seconds up to which messages are charged together: that is as cheap as not to charge a PONG."""
TURN: Final = 0.5e-3
"""Seconds for which ready messages of one client are handled in one turn: PONGs, then a change."""
MESSAGE_COST: Final = 10e-6
"""Seconds charged for a message besides the time of its handler: reading and decoding it."""
LONGEST_STEP: Final = 0.25
"""Seconds that are charged for work between two waits at most. The longest merge takes less: what
seems longer was no work. The node stood still then (see `standstill`), and to charge its client for
that would mean not to read it for four times as long (`COLLAB_MAX_BUSY`)."""


class Timed(Generic[T]):
    """Awaits ``work``. ``busy`` is for how many seconds it has run, without its waits.

    `start` runs it up to its first wait. Most messages are handled then, and await nothing.
    """

    __slots__ = ("_future", "_result", "_steps", "busy", "is_done")

    def __init__(self, work: Awaitable[T]) -> None:
        self._steps: Any = work.__await__()
        self._future: Any = None
        self._result: T
        self.busy = 0.0
        self.is_done = False

    def start(self) -> None:
        """Run the work until it waits or ends. Call this first."""
        self._step(self._steps.send, None)

    def _step(self, step: Callable[[Any], Any], argument: Any) -> None:
        began = monotonic()
        try:
            self._future = step(argument)
        except StopIteration as end:
            self._result, self.is_done = end.value, True
        finally:
            self.busy += min(monotonic() - began, LONGEST_STEP)

    def __await__(self) -> Generator[Any, Any, T]:
        steps = self._steps
        while not self.is_done:
            try:
                argument = yield self._future
            except GeneratorExit:
                steps.close()
                raise
            except BaseException as problem:  # a cancellation, for example: the work decides
                self._step(steps.throw, problem)
            else:
                self._step(steps.send, argument)
        return self._result


class Begun:
    """A message that was begun where it arrived, and must be finished by the task that reads."""

    __slots__ = ("problem", "timed", "wait")

    def __init__(
        self, timed: Timed[None] | None, wait: float, problem: BaseException | None
    ) -> None:
        self.timed = timed
        self.wait = wait
        self.problem = problem


class Handling:
    """The handling of one client's messages, one after another, at the expense of ``meter``."""

    __slots__ = ("_busy", "_left", "_meter", "_uncharged", "scheduler")

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self.scheduler = meter.budgets.scheduler
        self._uncharged = 0.0
        self._left = 0.0  # seconds of the present turn
        self._busy = UNKNOWN_COST  # until its first message shows how costly they are

    async def handle(self, work: Awaitable[None], queued: int, arrived: float = 0.0) -> None:
        """Handle a message, when it is the client's turn; return when the next may be read.

        ``queued`` is how many messages of the client are ready behind it. ``arrived`` is when it
        arrived, for `Scheduler.arrived` until its first wait.
        """
        if self._left <= 0.0 and not self.scheduler.is_free:
            await self._turn(queued)
        left, self._left = self._left, 0.0
        timed = Timed(work)
        try:
            self.scheduler.arrived = arrived
            try:
                timed.start()
            finally:
                self.scheduler.arrived = 0.0
            if not timed.is_done:
                await timed
            elif queued:
                self._left = left - timed.busy - MESSAGE_COST
        finally:
            wait = self._charge(timed.busy + MESSAGE_COST)
        if wait:
            await asyncio.sleep(wait)

    def begin(self, work: Awaitable[None], task: asyncio.Task[Any]) -> Begun | None:
        """Handle a message at once, outside of a task; return what is left to `finish`.

        ``task`` is the one that will finish it: a time-out that begins here is for that task.
        """
        timed, problem = Timed(work), None
        loop = task.get_loop()
        asyncio._enter_task(loop, task)
        try:
            timed.start()
        except BaseException as raised:
            problem = raised
        finally:
            asyncio._leave_task(loop, task)
        wait = self._charge(timed.busy + MESSAGE_COST)
        if timed.is_done and not wait:
            return None
        return Begun(None if timed.is_done or problem else timed, wait, problem)

    def count(self, busy: float) -> Begun | None:
        """Charge a message that took ``busy`` seconds; return what is left to `finish`."""
        self._busy = busy = min(busy, LONGEST_STEP) + MESSAGE_COST
        self.scheduler.add(busy)
        self._uncharged += busy
        wait = self._charge_together() if self._uncharged >= CHARGED_TOGETHER else 0.0
        return Begun(None, wait, None) if wait else None

    async def finish(self, begun: Begun) -> None:
        """Do the rest of a message; return when the next one may be read."""
        wait = begun.wait
        if begun.problem is not None:
            raise begun.problem
        if begun.timed is not None:
            before = begun.timed.busy
            try:
                await begun.timed
            finally:
                wait += self._charge(begun.timed.busy - before)
        if wait:
            await asyncio.sleep(wait)

    async def skip(self, queued: int) -> None:
        """Charge a message that needs no handling; return when the next one may be read."""
        wait = self._charge(MESSAGE_COST)
        if wait:
            await asyncio.sleep(wait)
        elif not self.scheduler.is_free:
            await self._turn(queued)

    def _charge(self, busy: float) -> float:
        self._busy = busy
        self.scheduler.add(busy)
        self._uncharged += busy
        return self._charge_together() if self._uncharged >= CHARGED_TOGETHER else 0.0

    def _charge_together(self) -> float:
        busy, self._uncharged = self._uncharged, 0.0
        return self._meter.spend(0, busy, monotonic())

    async def _turn(self, queued: int) -> None:
        cost = self._meter.budgets.cost(self._busy)
        used = self._meter.used_after(cost, monotonic())
        await self.scheduler.turn(used, self._busy, queued=queued)
        self._left = TURN
