"""Pipelined connections to Redis: commands that arrive together share one round trip."""

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
"""Commands, and their characters, in one round trip. That is enough for a burst, and no command
waits for the answers to thousands of others, or until megabytes before it are sent."""


def connection_pool(url: str, timeout: float) -> ConnectionPool:
    """Return a factory of connections to ``url`` that never retry by themselves.

    The script refuses a commit that arrives twice, so a retry would be safe. But the caller decides
    when to retry, because it knows what else is waiting. ``timeout`` (seconds) limits connecting;
    `Link` limits the time for answers.
    """
    return ConnectionPool.from_url(
        url, protocol=2, socket_connect_timeout=timeout, socket_timeout=None,
        retry=Retry(NoBackoff(), 0), health_check_interval=0,
        driver_info=None,  # a login for nodes may not use CLIENT
    )  # fmt: skip


def new_connection(pool: ConnectionPool) -> Connection:
    """Return a connection that is not open yet, and that ``pool`` does not keep."""
    connection: Connection = pool.make_connection()  # type: ignore[no-untyped-call]
    return connection


class Link:
    """One connection that sends all waiting commands as one pipeline, then the next pipeline.

    Commands collect during a round trip. So one command costs an idle node one round trip, and
    costs a busy node a fraction of one. ``timeout`` is how many seconds Redis has to receive a
    pipeline, and for each answer.
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
        """The number of waiting commands, plus one during a round trip."""
        return len(self._waiting) + (self._task is not None)

    async def call(self, *command: str | bytes | int) -> Any:
        """Send ``command`` and return Redis' answer; texts in it are bytes.

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
        """Close the connection; commands that still wait fail with StoreUnavailable."""
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
            self._fail_all([*batch, *self._waiting])  # none, unless this task was cancelled
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
        # The connection is kept only if all answers were read: a left-over answer must never be
        # taken for the answer to another command.
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
            raise  # this server is a replica now: a new connection may reach the new master
        except ResponseError as problem:
            if not answer.done():
                answer.set_exception(problem)
        else:
            if not answer.done():
                answer.set_result(response)


def _size(command: Command) -> int:
    return sum(len(word) for word in command if not isinstance(word, int))


def _is_stale(connection: Connection) -> bool:
    """Whether Redis closed the connection while it was idle.

    Without this check the next command would fail although Redis is up.
    """
    reader = connection._reader
    return reader is not None and (reader.at_eof() or reader.exception() is not None)
