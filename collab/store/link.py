"""Pipelined commands to Redis: commands that arrive together share one round trip."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any, Final, Protocol

from redis.asyncio import ConnectionPool
from redis.exceptions import ConnectionError as LinkError
from redis.exceptions import InvalidResponse, ReadOnlyError, RedisError

from collab.errors import StoreUnavailable
from collab.metrics import Metrics
from collab.store.connection import Command, OpenConnection, pack

log = logging.getLogger(__name__)

MAX_BATCH, MAX_BATCH_SIZE = 256, 1 << 20
"""Commands, and their bytes, in one round trip. That is enough for a burst, and no command waits
for the answers to thousands of others, or until megabytes before it are sent."""
WINDOW: Final = 0.005
"""Seconds from the start of one pipeline to the start of the next, unless a command is urgent."""
LEFT_SERVER: Final = (ReadOnlyError, LinkError)
"""Errors of a server that is a replica now, or still loads: another may answer a new connection."""


class Request(Protocol):
    """A command, and what becomes of its answer."""

    def command(self) -> Command | None:
        """Return the command when it is to be sent; None if there is nothing to send any more."""

    def handle(self, answer: Any) -> None:
        """Handle Redis' answer, unless `command` returned None; texts in it are bytes.

        If Redis answers with an error, it is redis-py's exception for it; if Redis can't be reached
        or does not answer, StoreUnavailable.
        """


class Window:
    """The time in which commands that can wait gather: from the start of one pipeline to the next.

    Connections to several servers that share a window send at the same moments, so the node wakes
    up as often as for one server. ``seconds`` may change at any time; ``start`` is by the loop's
    clock.
    """

    __slots__ = ("seconds", "start")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.start = 0.0


class Call:
    """A request that somebody awaits."""

    __slots__ = ("_command", "answer")

    def __init__(self, command: Command) -> None:
        self._command = command
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def command(self) -> Command | None:
        return None if self.answer.done() else self._command

    def handle(self, answer: Any) -> None:
        if self.answer.done():
            return
        if isinstance(answer, Exception):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)


class Link:
    """One connection that sends all waiting commands as one pipeline, then the next pipeline.

    Commands collect during a round trip, and those that can wait also for a moment after the last
    one began. So one command costs an idle node one round trip, and costs a busy node a fraction of
    one. ``timeout`` is how many seconds Redis has for each answer. Without a ``window`` the
    connection has one of its own, of `WINDOW`.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        timeout: float,
        metrics: Metrics,
        window: Window | None = None,
    ) -> None:
        self._pool = pool
        self._timeout = timeout
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Request] = deque()
        self._in_flight: deque[Request] = deque()
        self._urgent = False
        self._window = Window(WINDOW) if window is None else window
        self._next_flush: asyncio.Handle | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._connection: OpenConnection | None = None
        self._progress = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def load(self) -> int:
        """The number of waiting commands, plus one during a round trip."""
        return len(self._waiting) + bool(self._in_flight)

    def send(self, request: Request, *, urgent: bool = False) -> None:
        """Send a command with the next pipeline. Its methods are called later.

        The pipeline starts as soon as the one before it is answered; if no command in it is
        ``urgent``, when the window of that one is over.
        """
        if self._closed:
            self._loop.call_soon(request.handle, _closed())
            return
        self._waiting.append(request)
        if urgent and not self._urgent:
            self._urgent = True
            self._cancel_flush()
        if self._next_flush is None and not self._in_flight:
            self._schedule_flush()

    async def call(self, *command: str | bytes | int) -> Any:
        """Send ``command`` and return Redis' answer; texts in it are bytes.

        Raises StoreUnavailable if Redis can't be reached or doesn't answer in time, and redis-py's
        ResponseError if it answers with an error.
        """
        call = Call(command)
        self.send(call, urgent=True)
        return await call.answer

    async def close(self) -> None:
        """Close the connection; commands that still wait fail with StoreUnavailable."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        self._cancel_flush()
        if self._connection is not None:
            self._connection.abort(LinkError("the connection was closed"))
        self._fail(self._waiting, _closed())

    def _schedule_flush(self) -> None:
        """Flush when the window is over: after a pause, or with an urgent command, at once."""
        end = self._window.start + self._window.seconds
        if self._urgent or end <= self._loop.time():
            self._next_flush = self._loop.call_soon(self._flush)
        else:
            self._next_flush = self._loop.call_at(end, self._flush)

    def _cancel_flush(self) -> None:
        if self._next_flush is not None:
            self._next_flush.cancel()
            self._next_flush = None

    def _flush(self) -> None:
        """Send all waiting commands, unless others are in flight: these are sent after them."""
        self._cancel_flush()
        if not self._waiting or self._in_flight or self._closed:
            return
        if self._connection is None:
            if self._connecting is None:
                self._connecting = asyncio.create_task(self._connect())
            return
        batch = self._next_batch()
        self._urgent = bool(self._waiting)
        if batch:
            self._metrics.redis_round_trips.inc()
            self._metrics.redis_commands.inc(len(self._in_flight))
            self._progress = self._window.start = self._loop.time()
            if self._timer is None:
                self._timer = self._loop.call_later(self._timeout, self._check_progress)
            self._connection.send(b"".join(batch))

    def _next_batch(self) -> list[bytes]:
        batch: list[bytes] = []
        size = 0
        while self._waiting and len(batch) < MAX_BATCH and size < MAX_BATCH_SIZE:
            request = self._waiting.popleft()
            try:
                command = request.command()
                packed = None if command is None else pack(command)
            except Exception as fault:  # it must not take the others' commands with it
                log.exception("a command could not be made")
                request.handle(fault)
                continue
            if packed is not None:
                batch.append(packed)
                self._in_flight.append(request)
                size += len(packed)
        return batch

    async def _connect(self) -> None:
        try:
            self._connection = await OpenConnection.open(
                self._pool, self._timeout, self._handle_answers, self._handle_lost
            )
        except (RedisError, OSError, TimeoutError) as problem:
            self._metrics.redis_failures.inc()
            self._fail(self._waiting, unavailable(problem))
        finally:
            self._connecting = None
        self._flush()

    def _handle_answers(self, answers: list[Any]) -> None:
        in_flight = self._in_flight
        for answer in answers:
            if isinstance(answer, LEFT_SERVER):
                raise answer
            if not in_flight:
                raise InvalidResponse("Redis has answered what nobody asked")
            in_flight.popleft().handle(answer)
        self._progress = self._loop.time()
        if self._waiting and not in_flight and self._next_flush is None:
            self._schedule_flush()

    def _handle_lost(self, problem: Exception) -> None:
        """Fail the commands in flight, and begin anew.

        The connection is not used again: a left-over answer must never be taken for the answer to
        another command.
        """
        self._connection = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._in_flight:
            self._metrics.redis_failures.inc()
        failed, self._in_flight = self._in_flight, deque()
        failure = _closed() if self._closed else unavailable(problem)
        for request in failed:
            request.handle(failure)
        self._flush()

    def _check_progress(self) -> None:
        self._timer = None
        if not self._in_flight:
            return
        left = self._progress + self._timeout - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._check_progress)
        elif self._connection is not None:
            self._connection.abort(TimeoutError("Redis has not answered in time"))

    @staticmethod
    def _fail(waiting: deque[Request], problem: StoreUnavailable) -> None:
        failed = list(waiting)
        waiting.clear()
        for request in failed:
            request.handle(problem)


def unavailable(problem: BaseException) -> StoreUnavailable:
    """Return the error for those who asked: Redis does not answer, because of ``problem``."""
    failure = StoreUnavailable("Redis does not answer")
    failure.__cause__ = problem
    return failure


def _closed() -> StoreUnavailable:
    return StoreUnavailable("the connection to Redis was closed")
