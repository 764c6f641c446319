"""A way to one Redis, or to a Redis Cluster, on which answers get lost and connections break."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from tests.support.processes import Redis
from tests.support.proxy import Filter, Proxy, proxy
from tests.support.redises import RedisCluster

ADDRESS = re.compile(rb"(127\.0\.0\.1(?:\r\n)?:)(\d+)\r\n")
"""How servers of a cluster name each other: in the answer to CLUSTER SLOTS, and in a redirect."""


class Distance:
    """A proxy before each server. Nodes that are given ``url`` reach no server without one."""

    def __init__(self, url: str, wires: dict[int, Proxy]) -> None:
        self.url = url
        self._wires = wires
        self._lose(None)

    def lose_answers(self) -> None:
        """Let commands arrive, and lose what servers answer and publish from now on."""
        self._lose(lambda piece: [])

    def cut(self) -> None:
        """Break all connections; those that are made from now on lose nothing."""
        for wire in self._wires.values():
            wire.cut()
        self._lose(None)

    def _lose(self, lost: Filter | None) -> None:
        for wire in self._wires.values():
            wire.to_client = lost or self._rename

    def _rename(self, piece: bytes) -> list[bytes]:
        """Let servers name the proxies."""

        def renamed(found: re.Match[bytes]) -> bytes:
            wire = self._wires.get(int(found[2]))
            return found[0] if wire is None else b"%b%d\r\n" % (found[1], wire.port)

        return [ADDRESS.sub(renamed, piece)]


@asynccontextmanager
async def distance(redis: Redis | RedisCluster) -> AsyncIterator[Distance]:
    """Put a `Distance` before ``redis``."""
    servers = redis.servers if isinstance(redis, RedisCluster) else [redis]
    async with AsyncExitStack() as stack:
        wires = {each.port: await stack.enter_async_context(proxy(each.port)) for each in servers}
        url = redis.url
        for port, wire in wires.items():
            url = url.replace(f":{port}", f":{wire.port}")
        yield Distance(url, wires)
