"""Which master of a Redis Cluster has which keys, and how a node stays up to date about it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
from binascii import crc_hqx
from collections.abc import Callable
from typing import Any, Final

from redis.asyncio import ConnectionPool
from redis.crc import REDIS_CLUSTER_HASH_SLOTS as SLOTS
from redis.crc import key_slot
from redis.exceptions import ResponseError

from collab.errors import StoreUnavailable
from collab.metrics import Metrics
from collab.redis_url import Address, RedisUrl
from collab.store.connection import pool_at
from collab.store.link import Link

log = logging.getLogger(__name__)

READ_INTERVAL: Final = 5.0
"""Seconds between two reads of the map when nothing says that it is outdated."""
MIN_READ_INTERVAL: Final = 0.1
"""Seconds between two reads at least: while a master is down, every command asks for one."""
UNKNOWN_HOSTS: Final = (None, b"", b"?")
"""What a server says that does not know how clients call it: as they have called it."""


def slot_of(key: str) -> int:
    """Return the slot of a key or a channel."""
    return key_slot(key.encode()) if "{" in key else crc_hqx(key.encode(), 0) % SLOTS


class Slots:
    """The map from slots to masters, which every redirect and every read of it corrects.

    Several `Servers` and the subscriber share one. ``on_change`` functions are called after each
    change of the map.
    """

    def __init__(self, url: RedisUrl, timeout: float, metrics: Metrics) -> None:
        self._url = url
        self._timeout = timeout
        self._metrics = metrics
        self._pools: dict[Address, ConnectionPool] = {}
        self._master_of: list[Address | None] = [None] * SLOTS
        self._replicas: set[Address] = set()
        self._corrected = False
        self._places: list[tuple[str, Address]] | None = None
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.on_change: list[Callable[[], None]] = []

    async def open(self) -> None:
        """Read the map, and keep it up to date from now on. Raises StoreUnavailable."""
        await self._read()
        if self._task is None:
            self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Stop following the cluster."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def pool(self, address: Address) -> ConnectionPool:
        """Return what makes connections to a server."""
        if address not in self._pools:
            self._pools[address] = pool_at(self._url, address, self._timeout)
        return self._pools[address]

    def master_of(self, slot: int) -> Address | None:
        """Return the master of a slot; None if no master is known to serve it."""
        return self._master_of[slot]

    def masters(self) -> set[Address]:
        """Return all masters that have slots."""
        return {master for _, master in self._placed()}

    def places(self) -> list[str]:
        """Return for each master, in the order of their slots, a hash tag that leads to it."""
        return [place for place, _ in self._placed()]

    def _placed(self) -> list[tuple[str, Address]]:
        if self._places is None:
            places: dict[Address, str] = {}
            masters = dict.fromkeys(each for each in self._master_of if each is not None)
            for number in itertools.count():
                if len(places) == len(masters):
                    break
                tag = f"{{{number}}}"
                master = self._master_of[slot_of(tag)]
                if master is not None:
                    places.setdefault(master, tag)
            self._places = [(places[master], master) for master in masters]
        return self._places

    def moved(self, slot: int, master: Address) -> None:
        """Correct the map after a redirect, and read all of it soon: others will have moved too."""
        self._master_of[slot] = master
        self._corrected = True
        self.read_soon()

    def read_soon(self) -> None:
        """Read the map, because it may be outdated."""
        self._wake.set()

    async def _follow(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(READ_INTERVAL):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self._read()
            except StoreUnavailable as problem:
                reason = str(problem.__cause__ or problem)
                log.warning("the map of the Redis Cluster can't be read", extra={"reason": reason})
            except Exception:  # after any error the map must be read again
                log.exception("the map of the Redis Cluster could not be used")
            await asyncio.sleep(MIN_READ_INTERVAL * random.uniform(1.0, 2.0))

    async def _read(self) -> None:
        """Read the map from any server that answers. Raises StoreUnavailable if none does."""
        known = list(self.masters() | self._replicas)
        random.shuffle(known)
        problem: Exception | None = None
        for address in dict.fromkeys((*known, *self._url.addresses)):
            link = Link(self.pool(address), self._timeout, self._metrics)
            try:
                answer = await link.call("CLUSTER", "SLOTS")
                if answer:  # a server that has left the cluster, or not joined it, knows nothing
                    self._adopt(answer, address[0])
                    return
            except ResponseError as refusal:
                problem = StoreUnavailable(f"{address[0]}:{address[1]} answered: {refusal}")
                problem.__cause__ = refusal
            except StoreUnavailable as silent:
                problem = silent
            finally:
                await link.close()
        cause = problem and problem.__cause__
        raise StoreUnavailable("no server of the Redis Cluster answers") from cause or problem

    def _adopt(self, answer: Any, asked: str) -> None:
        """Use the answer to CLUSTER SLOTS of the host ``asked``, which may leave out its name."""
        master_of: list[Address | None] = [None] * SLOTS
        replicas: set[Address] = set()
        for first, last, master, *others in answer:
            address = _address(master, asked)
            master_of[first : last + 1] = [address] * (last + 1 - first)
            replicas.update(_address(other, asked) for other in others)
        self._replicas = replicas
        if self._corrected or master_of != self._master_of:
            self._corrected = False
            self._master_of = master_of
            self._changed()

    def _changed(self) -> None:
        self._places = None
        known = self.masters() | self._replicas | set(self._url.addresses)
        for address in self._pools.keys() - known:
            del self._pools[address]
        for callback in self.on_change:
            callback()


def _address(described: Any, asked: str) -> Address:
    host, port = described[0], described[1]
    return asked if host in UNKNOWN_HOSTS else host.decode(), int(port)
