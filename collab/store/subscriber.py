"""The pub/sub connection of a node, which subscribes to the channels of the rooms it holds."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
from collections import Counter
from collections.abc import Callable
from time import monotonic
from typing import Any

from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError

from collab.errors import StoreUnavailable
from collab.scheduler import Scheduler
from collab.store.connection import OpenConnection, pack
from collab.store.keys import PROBE

log = logging.getLogger(__name__)

Handler = Callable[[bytes], None]
FIRST_RETRY_INTERVAL, MAX_RETRY_INTERVAL = 0.05, 1.0
"""Seconds before the first attempt to reconnect, and at most between later attempts."""


class Subscriber:
    """Receives the messages of the channels that this node subscribes to.

    Handlers are called in the order of the messages, and must not block. After a lost connection
    the ``on_reconnect`` functions are called as soon as Redis has confirmed all subscriptions
    again: the node has missed the messages of the time in between. ``scheduler`` is told when the
    messages that are handled have arrived.
    """

    def __init__(
        self, pool: ConnectionPool, node: str, timeout: float, scheduler: Scheduler | None = None
    ) -> None:
        self._pool = pool
        self._timeout = timeout
        self._scheduler = scheduler or Scheduler()
        self._handlers: dict[str, list[Handler]] = {}
        self._confirmed: dict[str, asyncio.Future[None]] = {}
        self._unconfirmed: Counter[str] = Counter()
        self._connection: OpenConnection | None = None
        self._lost: asyncio.Future[None] | None = None
        self._all_confirmed: asyncio.Future[None] | None = None
        self._heard = False
        self._task: asyncio.Task[None] | None = None
        self._probe_channel = PROBE + node
        self._probes: dict[bytes, asyncio.Future[None]] = {}
        self.on_reconnect: list[Callable[[], None]] = []

    async def open(self) -> None:
        """Begin to connect, in the background; attempts go on until one succeeds."""
        self._handlers[self._probe_channel] = [self._receive_probe]
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Close the connection."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def subscribe(self, channel: str, handler: Handler) -> None:
        """Call ``handler`` with each message of ``channel`` from now on.

        Returns when Redis has confirmed the subscription. Raises StoreUnavailable if Redis does
        not confirm it in time; the handler is then removed.
        """
        self._handlers.setdefault(channel, []).append(handler)
        confirmed = self._confirmed.get(channel)
        if confirmed is None:
            confirmed = self._confirmed[channel] = asyncio.get_running_loop().create_future()
            self._send("SUBSCRIBE", channel)
        try:
            async with asyncio.timeout(self._timeout):
                await asyncio.shield(confirmed)
        except BaseException as problem:
            await self.unsubscribe(channel, handler)
            if isinstance(problem, TimeoutError):
                raise StoreUnavailable("Redis has not confirmed a subscription in time") from None
            raise

    @property
    def is_up(self) -> bool:
        """Whether Redis has confirmed all subscriptions, and the connection has not ended since."""
        all_confirmed = self._all_confirmed
        return (
            self._connection is not None
            and not self._unconfirmed
            and all_confirmed is not None
            and all_confirmed.done()
        )

    def is_subscribed(self, channel: str) -> bool:
        """Whether Redis has confirmed the subscription, and the connection has not ended since."""
        confirmed = self._confirmed.get(channel)
        return self._connection is not None and confirmed is not None and confirmed.done()

    async def unsubscribe(self, channel: str, handler: Handler) -> None:
        """Stop calling ``handler``; without handlers the subscription of the channel ends."""
        handlers = self._handlers.get(channel, [])
        if handler in handlers:
            handlers.remove(handler)
        if not handlers and self._handlers.pop(channel, None) is not None:
            if confirmed := self._confirmed.pop(channel, None):
                confirmed.cancel()
            self._send("UNSUBSCRIBE", channel)

    async def probe(self, publish: Callable[[str, bytes], asyncio.Future[int]]) -> None:
        """Publish a message to this node by ``publish`` and wait until the node receives it.

        Raises StoreUnavailable if the message does not arrive in time.
        """
        token = secrets.token_bytes(8)
        received = self._probes[token] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._timeout):
                await publish(self._probe_channel, token)
                await received
        except TimeoutError:
            raise StoreUnavailable(
                "this node receives no messages through Redis' pub/sub"
            ) from None
        finally:
            del self._probes[token]

    def _receive_probe(self, token: bytes) -> None:
        if (received := self._probes.get(token)) and not received.done():
            received.set_result(None)

    def _send(self, command: str, *channels: str) -> None:
        """Send a command, unless the next connection will subscribe to all channels anyway."""
        if self._connection is not None:
            if command == "SUBSCRIBE":
                self._unconfirmed.update(channels)
            self._connection.send(pack((command, *channels)))

    async def _run(self) -> None:
        interval, first = FIRST_RETRY_INTERVAL, True
        loop = asyncio.get_running_loop()
        while True:
            self._lost, self._all_confirmed = loop.create_future(), loop.create_future()
            try:
                self._connection = await OpenConnection.open(
                    self._pool, self._timeout, self._handle_answers, self._handle_lost
                )
                self._send("SUBSCRIBE", *self._handlers)
                await self._wait_until_confirmed(self._all_confirmed, self._lost)
                if not first:
                    log.info("pub/sub is back", extra={"channels": len(self._handlers)})
                    for callback in self.on_reconnect:
                        callback()
                interval, first = FIRST_RETRY_INTERVAL, False
                await self._watch(self._connection, self._lost)
            except (RedisError, OSError, TimeoutError) as problem:
                log.warning("the pub/sub connection is lost", extra={"reason": str(problem)})
            finally:
                if self._connection is not None:
                    self._connection.abort(TimeoutError("the connection is not used any more"))
                self._connection = None
                self._unconfirmed.clear()
                for channel, confirmed in self._confirmed.items():
                    if confirmed.done():
                        self._confirmed[channel] = loop.create_future()
            await asyncio.sleep(interval * random.uniform(0.5, 1.0))
            interval = min(2 * interval, MAX_RETRY_INTERVAL)

    def _handle_lost(self, problem: Exception) -> None:
        if self._lost is not None and not self._lost.done():
            self._lost.set_exception(problem)
            self._lost.exception()  # it may be the one that `_run` raises itself

    async def _wait_until_confirmed(
        self, confirmed: asyncio.Future[None], lost: asyncio.Future[None]
    ) -> None:
        async with asyncio.timeout(self._timeout):
            await asyncio.wait([confirmed, lost], return_when=asyncio.FIRST_COMPLETED)
        if lost.done():
            lost.result()

    async def _watch(self, connection: OpenConnection, lost: asyncio.Future[None]) -> None:
        """Return when the connection is lost. Raises what the reason is.

        Silence is normal, but a dead connection is silent too: ping once, then give up.
        """
        pinged = False
        while True:
            self._heard = False
            await asyncio.wait([lost], timeout=self._timeout)
            if lost.done():
                lost.result()
            if self._heard:
                pinged = False
            elif pinged or self._unconfirmed:
                raise TimeoutError("Redis does not answer")
            else:
                pinged = True
                connection.send(pack(("PING",)))

    def _handle_answers(self, answers: list[Any]) -> None:
        self._heard = True
        self._scheduler.arrived = monotonic()
        try:
            for answer in answers:
                if isinstance(answer, RedisError):
                    raise answer
                if answer[0] == b"message":
                    self._dispatch(answer[1].decode(), answer[2])
                elif answer[0] == b"subscribe":
                    self._confirm(answer[1].decode())
        finally:
            self._scheduler.arrived = 0.0
        if not self._unconfirmed and self._all_confirmed and not self._all_confirmed.done():
            self._all_confirmed.set_result(None)

    def _confirm(self, channel: str) -> None:
        # After unsubscribing and subscribing again, only Redis' last answer confirms: an earlier
        # one belongs to the subscription that was ended.
        self._unconfirmed[channel] -= 1
        if self._unconfirmed[channel] <= 0:
            del self._unconfirmed[channel]
            confirmed = self._confirmed.get(channel)
            if confirmed is not None and not confirmed.done():
                confirmed.set_result(None)

    def _dispatch(self, channel: str, message: bytes) -> None:
        for handler in tuple(self._handlers.get(channel, ())):
            try:
                handler(message)
            except Exception:  # a fault in one room must not end the messages of all others
                log.exception("a message could not be handled", extra={"channel": channel})
