"""One open connection to Redis: commands out, answers in, without a task.

redis-py makes the connection: it knows about logins, TLS, databases and Sentinels. Afterwards its
stream would cost a task and several calls for each answer, so a protocol takes the place of the
stream. The module uses private attributes of redis-py 8.1: tests/cluster/test_store.py fails if
they change.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

import hiredis
from redis.asyncio import Connection, ConnectionPool
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as LinkError
from redis.exceptions import InvalidResponse, RedisError

from collab.redis_url import Address, Kind, RedisUrl

log = logging.getLogger(__name__)

Command = tuple[str | bytes | int, ...]
OnAnswers = Callable[[list[Any]], None]
"""Called with the answers that came together; texts in them are bytes, and an error that Redis
answered is redis-py's exception for it. May raise RedisError, which ends the connection."""
_MORE: Final = object()
"""What the parser returns while an answer is not complete."""
MASTER_INTERVAL: Final = 1.0
"""Seconds between two questions to the Sentinels for the master."""
_OF_ONE_SERVER: Final = {"host", "port", "connection_class"}
"""Options of connections that a server behind Sentinels does not have."""
pack: Callable[[Command], bytes] = hiredis.pack_command  # type: ignore[assignment]
"""Returns the bytes of a command."""


def connection_pool(url: str, timeout: float) -> ConnectionPool:
    """Return a factory of connections to ``url`` that never retry by themselves.

    The script refuses a commit that arrives twice, so a retry would be safe. But the caller decides
    when to retry, because it knows what else is waiting. ``timeout`` (seconds) limits connecting.
    If the URL names Sentinels, each connection asks them for the master before it is made.
    """
    parsed = RedisUrl.parse(url)
    options = {**_options(timeout), **parse_url(parsed.server_url)}
    if parsed.kind is Kind.SENTINEL:
        return MasterPool(parsed, timeout, options)
    return ConnectionPool(**options)


def pool_at(url: RedisUrl, address: Address, timeout: float) -> ConnectionPool:
    """Return a factory of connections to one server of a Redis Cluster, as `connection_pool`."""
    host, port = address
    options = {**_options(timeout), **parse_url(url.server_url), "host": host, "port": port}
    return ConnectionPool(**options)


def _options(timeout: float) -> dict[str, Any]:
    """Return what all connections have in common."""
    return {
        "protocol": 2, "socket_connect_timeout": timeout, "socket_timeout": None,
        "retry": Retry(NoBackoff(), 0), "health_check_interval": 0,
        "driver_info": None,  # a login for nodes may not use CLIENT
    }  # fmt: skip


class MasterPool(SentinelConnectionPool):
    """A factory of connections to the master that Sentinels name.

    As soon as they name another one, the connections to the former master are ended: it may only
    have been cut off, and then takes itself for the master until a Sentinel reaches it, which is
    seconds later. ``opened`` has the open connections and their servers.
    """

    def __init__(self, url: RedisUrl, timeout: float, options: dict[str, Any]) -> None:
        # Connecting has one time-out for all: a silent Sentinel must leave time for the others.
        each = timeout / (len(url.addresses) + 1)
        options = {name: options[name] for name in options.keys() - _OF_ONE_SERVER}
        user, password = url.sentinel_login
        sentinels = Sentinel(  # type: ignore[no-untyped-call]
            url.addresses,
            sentinel_kwargs={
                **_options(each), "socket_timeout": each, "ssl": url.tls,
                "username": user or None, "password": password or None,
                **{name: value for name, value in options.items() if name.startswith("ssl_")},
            },
        )  # fmt: skip
        super().__init__(url.service, sentinels, ssl=url.tls, **options)  # type: ignore[no-untyped-call]
        self.opened: WeakKeyDictionary[OpenConnection, Address] = WeakKeyDictionary()

    async def get_master_address(self) -> Address:
        """Ask the Sentinels for the master. Raises LinkError if none of them knows one."""
        master: Address = await super().get_master_address()  # type: ignore[no-untyped-call]
        for opened, server in tuple(self.opened.items()):
            if server != master:
                opened.abort(LinkError("the Sentinels name another master"))
        return master

    async def check(self, connection: Connection) -> None:
        """Raise LinkError if a server is no master: a Sentinel may name a former one.

        Commands that only read would go on there unnoticed, and so would a subscription, which the
        commits at the true master do not count.
        """
        await connection.send_command("INFO", "replication")
        if b"role:master" not in await connection.read_response(disable_decoding=True):
            raise LinkError("the server that the Sentinels name is no master")

    async def follow(self) -> None:
        """Ask the Sentinels for the master again and again."""
        while True:
            with contextlib.suppress(RedisError, OSError):
                await self.get_master_address()
            await asyncio.sleep(MASTER_INTERVAL)

    async def close(self) -> None:
        """Close the connections to the Sentinels."""
        await self.sentinel_manager.aclose()


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
                if isinstance(pool, MasterPool):
                    await pool.check(connection)
            opened = cls(connection, on_answers, on_lost)
            if isinstance(pool, MasterPool):
                pool.opened[opened] = connection.host, connection.port
            return opened
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
