"""Pipelined connections to Redis: what many rooms ask for in one moment is one round trip."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import Any

from redis.asyncio import Connection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from collab.errors import StoreUnavailable
from collab.metrics import Metrics

Command = tuple[str | bytes | int, ...]
BATCH = 256
"""Commands in one round trip at the most: enough for a burst, and no answer waits for thousands."""


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
    one command and a loaded one pays a fraction of it.
    """

    def __init__(self, pool: ConnectionPool, timeout: float, metrics: Metrics) -> None:
        self._pool = pool
        self._timeout = timeout
        self._metrics = metrics
        self._waiting: deque[tuple[Command, asyncio.Future[Any]]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._connection: Connection | None = None

    @property
    def load(self) -> int:
        """How many commands wait here, one more if a round trip is under way."""
        return len(self._waiting) + (self._task is not None)

    async def call(self, *command: str | bytes | int) -> Any:
        """Send ``command`` and return Redis' answer, bytes as bytes.

        Raises StoreUnavailable if Redis can't be reached or doesn't answer in time, and redis-py's
        ResponseError if it answers with an error.
        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, answer))
        if self._task is None:
            self._task = asyncio.create_task(self._drain())
        return await answer

    async def close(self) -> None:
        """Close the connection; what still waits fails."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._disconnect()

    async def _drain(self) -> None:
        batch: list[tuple[Command, asyncio.Future[Any]]] = []
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                await self._round_trip(batch)
        finally:
            self._task = None
            for _, answer in (*batch, *self._waiting):  # not empty only if this task was ended
                if not answer.done():
                    answer.set_exception(StoreUnavailable("the connection to Redis was closed"))

    async def _round_trip(self, batch: list[tuple[Command, asyncio.Future[Any]]]) -> None:
        self._metrics.redis_round_trips.inc()
        self._metrics.redis_commands.inc(len(batch))
        try:
            async with asyncio.timeout(self._timeout):
                if self._connection is None:
                    self._connection = new_connection(self._pool)
                connection = self._connection
                if not connection.is_connected:
                    await connection.connect()  # type: ignore[no-untyped-call]
                await connection.send_packed_command(
                    connection.pack_commands(command for command, _ in batch), check_health=False
                )
                for _, answer in batch:
                    await self._read(connection, answer)
        except (RedisError, OSError, TimeoutError) as problem:
            self._metrics.redis_failures.inc()
            await self._disconnect()
            for _, answer in batch:
                if not answer.done():
                    failure = StoreUnavailable("Redis does not answer")
                    failure.__cause__ = problem
                    answer.set_exception(failure)

    @staticmethod
    async def _read(connection: Connection, answer: asyncio.Future[Any]) -> None:
        try:
            response = await connection.read_response(timeout=float("inf"))
        except ResponseError as problem:
            if not answer.done():
                answer.set_exception(problem)
        else:
            if not answer.done():
                answer.set_result(response)

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)
