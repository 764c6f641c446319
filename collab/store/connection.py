"""One open connection to Redis: commands out, answers in, without a task.

redis-py makes the connection: it knows about logins, TLS and databases. Afterwards its stream would
cost a task and several calls for each answer, so a protocol takes the place of the stream. The
module uses private attributes of redis-py 8.1: tests/cluster/test_store.py fails if they change.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

import hiredis
from redis.asyncio import Connection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as LinkError
from redis.exceptions import InvalidResponse, RedisError

log = logging.getLogger(__name__)

Command = tuple[str | bytes | int, ...]
OnAnswers = Callable[[list[Any]], None]
"""Called with the answers that came together; texts in them are bytes, and an error that Redis
answered is redis-py's exception for it. May raise RedisError, which ends the connection."""
_MORE: Final = object()
"""What the parser returns while an answer is not complete."""
pack: Callable[[Command], bytes] = hiredis.pack_command  # type: ignore[assignment]
"""Returns the bytes of a command."""


def connection_pool(url: str, timeout: float) -> ConnectionPool:
    """Return a factory of connections to ``url`` that never retry by themselves.

    The script refuses a commit that arrives twice, so a retry would be safe. But the caller decides
    when to retry, because it knows what else is waiting. ``timeout`` (seconds) limits connecting.
    """
    return ConnectionPool.from_url(
        url, protocol=2, socket_connect_timeout=timeout, socket_timeout=None,
        retry=Retry(NoBackoff(), 0), health_check_interval=0,
        driver_info=None,  # a login for nodes may not use CLIENT
    )  # fmt: skip


class OpenConnection(asyncio.Protocol):
    """An open connection; ``on_lost`` is called once, with the reason, when it has ended."""

    def __init__(
        self, connection: Connection, on_answers: OnAnswers, on_lost: Callable[[Exception], None]
    ) -> None:
        self._connection = connection  # its writer would close the transport
        self._on_answers = on_answers
        self._on_lost: Callable[[Exception], None] | None = on_lost
        self._parser = hiredis.Reader(
            protocolError=InvalidResponse,
            replyError=connection._parser.parse_error,
            notEnoughData=_MORE,
        )
        writer = connection._writer
        assert writer is not None, "the connection is open"
        self._transport = writer.transport
        self._transport.set_protocol(self)

    @classmethod
    async def open(
        cls,
        pool: ConnectionPool,
        timeout: float,
        on_answers: OnAnswers,
        on_lost: Callable[[Exception], None],
    ) -> OpenConnection:
        """Connect within ``timeout`` seconds. Raises RedisError, OSError or TimeoutError."""
        connection: Connection = pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            async with asyncio.timeout(timeout):
                await connection.connect()  # type: ignore[no-untyped-call]
            return cls(connection, on_answers, on_lost)
        except BaseException:
            await connection.disconnect(nowait=True)
            raise

    def send(self, packed: bytes) -> None:
        """Send commands that `pack` returned, joined."""
        self._transport.write(packed)

    def data_received(self, data: bytes) -> None:
        """Pass on the answers that are complete."""
        answers = []
        try:
            self._parser.feed(data)
            while (answer := self._parser.gets()) is not _MORE:
                answers.append(answer)
            self._on_answers(answers)
        except RedisError as problem:
            self.abort(problem)
        except Exception as fault:  # which of the answers were handled is not known
            log.exception("an answer of Redis could not be handled")
            self.abort(fault)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that the connection has ended."""
        self.abort(exc or LinkError("Redis has closed the connection"))

    def abort(self, problem: Exception) -> None:
        """End the connection because of ``problem``. A second call does nothing."""
        if self._on_lost is not None:
            on_lost, self._on_lost = self._on_lost, None
            self._transport.abort()
            self._connection._close()  # type: ignore[no-untyped-call]
            on_lost(problem)
