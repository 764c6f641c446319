"""Pipelined connections to Redis: what many rooms ask for in one moment is one round trip."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import Any

from redis.asyncio import Connection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ReadOnlyError, RedisError, ResponseError

from collab.errors import StoreUnavailable
from collab.metrics import Metrics

Command = tuple[str | bytes | int, ...]
Request = tuple[Command, asyncio.Future[Any]]
MAX_BATCH, MAX_BATCH_SIZE = 256, 1 << 20
"""Commands, and characters of them, in one round trip: enough for a burst, and no answer waits for
thousands of others, or for megabytes to be sent before it."""


def connection_pool(url: str, timeout: float) -> ConnectionPool:
    """Return a factory of connections to ``url`` that never retry by themselves.

    A commit that is sent twice is refused by its script, but who retries, and when, is decided by
    the caller, who knows what else is waiting. ``timeout`` (seconds) bounds connecting; answers
    are bounded by Link.
    """
    return ConnectionPool.from_url(
        url, protocol=2, socket_connect_timeout=timeout, socket_timeout=None,
        retry=Retry(NoBackoff(), 0), health_check_interval=0,
    )  # fmt: skip


def new_connection(pool: ConnectionPool) -> Connection:
    """Return a connection that is not open yet; ``pool`` does not keep it."""
    connection: Connection = pool.make_connection()  # type: ignore[no-untyped-call]
    return connection


class Link:
    """One connection that sends whatever waits as one pipeline, and then the next.

    While a round trip is under way commands gather, so that an idle node pays one round trip for
    one command and a loaded one pays a fraction of it. ``timeout`` is how many seconds Redis has
    for each answer, and for taking what is sent.
    """

    def __init__(self, pool: ConnectionPool, timeout: float, metrics: Metrics) -> None:
        self._pool = pool
        self._timeout = timeout
        self._metrics = metrics
        self._waiting: deque[Request] = deque()
        self._task: asyncio.Task[None] | None = None
        self._connection: Connection | None = None
        self._closed = False

    @property
    def load(self) -> int:
        """How many commands wait here, one more if a round trip is under way."""
        return len(self._waiting) + (self._task is not None)

    async def call(self, *command: str | bytes | int) -> Any:
        """Send ``command`` and return Redis' answer, bytes as bytes.

        Raises StoreUnavailable if Redis can't be reached or doesn't answer in time, and redis-py's
        ResponseError if it answers with an error.
        """
        if self._closed:
            raise StoreUnavailable("the connection to Redis was closed")
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, answer))
        if self._task is None:
            self._task = asyncio.create_task(self._drain())
        return await answer

    async def close(self) -> None:
        """Close the connection; what still waits fails."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._fail_all(self._waiting)
        if self._connection is not None:
            await self._connection.disconnect(nowait=True)

    async def _drain(self) -> None:
        batch: list[Request] = []
        try:
            while self._waiting:
                batch = self._next_batch()
                await self._round_trip(batch)
        finally:
            self._task = None
            self._fail_all([*batch, *self._waiting])  # none are left unless this task was ended
            self._waiting.clear()

    @staticmethod
    def _fail_all(left: deque[Request] | list[Request]) -> None:
        for _, answer in left:
            if not answer.done():
                answer.set_exception(StoreUnavailable("the connection to Redis was closed"))

    def _next_batch(self) -> list[Request]:
        batch = [self._waiting.popleft()]
        size = _size(batch[0][0])
        while self._waiting and len(batch) < MAX_BATCH:
            size += _size(self._waiting[0][0])
            if size > MAX_BATCH_SIZE:
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _round_trip(self, batch: list[Request]) -> None:
        self._metrics.redis_round_trips.inc()
        self._metrics.redis_commands.inc(len(batch))
        # Kept only once all answers are read: what is left of one must never be taken for the
        # answer to another command.
        connection, self._connection = self._connection or new_connection(self._pool), None
        clock = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(self._timeout) as limit:
                if _is_stale(connection):
                    await connection.disconnect(nowait=True)
                if not connection.is_connected:
                    await connection.connect()  # type: ignore[no-untyped-call]
                await connection.send_packed_command(
                    connection.pack_commands(command for command, _ in batch), check_health=False
                )
                for _, answer in batch:
                    limit.reschedule(clock() + self._timeout)
                    await self._read(connection, answer)
            self._connection = connection
        except (RedisError, OSError, TimeoutError) as problem:
            self._metrics.redis_failures.inc()
            for _, answer in batch:
                if not answer.done():
                    failure = StoreUnavailable("Redis does not answer")
                    failure.__cause__ = problem
                    answer.set_exception(failure)
        finally:
            if self._connection is not connection:
                await connection.disconnect(nowait=True)

    @staticmethod
    async def _read(connection: Connection, answer: asyncio.Future[Any]) -> None:
        try:
            response = await connection.read_response(timeout=float("inf"))
        except ReadOnlyError:
            raise  # this server is a replica now: connecting again may find the new master
        except ResponseError as problem:
            if not answer.done():
                answer.set_exception(problem)
        else:
            if not answer.done():
                answer.set_result(response)


def _size(command: Command) -> int:
    return sum(len(word) for word in command if not isinstance(word, int))


def _is_stale(connection: Connection) -> bool:
    """Whether the other side closed a connection while nothing was asked.

    To find that out by asking would fail a command for which Redis is there.
    """
    reader = connection._reader
    return reader is not None and (reader.at_eof() or reader.exception() is not None)
