"""Which connection a command takes: with one Redis, the least busy one."""

from __future__ import annotations

from typing import Any, Protocol

from redis.asyncio import ConnectionPool

from collab.metrics import Metrics
from collab.store.link import Link, Request, Window


class Servers(Protocol):
    """One Redis, or the masters of a Redis Cluster.

    Each command goes to the server of its ``key``, the first key of the command or its channel. All
    commands raise StoreUnavailable if that server can't serve, and redis-py's ResponseError if it
    answers with an error.
    """

    sharded: bool
    """Whether the channels of the service are sharded: SPUBLISH instead of PUBLISH."""

    async def open(self) -> None:
        """Reach all servers once. Raises StoreUnavailable, and can then be called again."""

    async def close(self) -> None:
        """Close all connections; commands that still wait fail with StoreUnavailable."""

    def send(self, request: Request, key: str) -> None:
        """Send a command with the others that wait for the server."""

    async def call(self, key: str, *command: str | bytes | int) -> Any:
        """Send a command at once, and return its answer; texts in it are bytes."""

    def places(self) -> list[str]:
        """Return for each server the end of a key that is there, always in the same order.

        Any key that ends with it, and has no braces before, is on that server.
        """


class OneServer:
    """One Redis: a server of its own, or the master that Sentinels name at each connect."""

    sharded = False

    def __init__(
        self, pool: ConnectionPool, count: int, timeout: float, window: float, metrics: Metrics
    ) -> None:
        self._links = [Link(pool, timeout, metrics, Window(window)) for _ in range(count)]

    async def open(self) -> None:
        await self.call("", "PING")

    async def close(self) -> None:
        for link in self._links:
            await link.close()

    def send(self, request: Request, key: str) -> None:
        self._links[0].send(request)

    async def call(self, key: str, *command: str | bytes | int) -> Any:
        return await min(self._links, key=lambda link: link.load).call(*command)

    def places(self) -> list[str]:
        return [""]
