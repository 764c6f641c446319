"""One pub/sub connection: it keeps its subscriptions over any number of reconnects."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import Counter
from collections.abc import Callable, Collection
from time import monotonic
from typing import Any

from redis.asyncio import ConnectionPool
from redis.exceptions import MovedError, RedisError

from collab.scheduler import Scheduler
from collab.store.connection import OpenConnection, pack

log = logging.getLogger(__name__)

FIRST_RETRY_INTERVAL, MAX_RETRY_INTERVAL = 0.05, 1.0
"""Seconds before the first attempt to reconnect, and at most between later attempts."""
MESSAGES = (b"message", b"smessage")
CONFIRMATIONS = (b"subscribe", b"ssubscribe")
LEFT = b"sunsubscribe"
"""What an answer begins with: a message, a confirmation, or that a sharded channel has ended here,
because its slot is somewhere else now or because the node has unsubscribed."""


class Feed:
    """The subscriptions of a node at one server.

    ``on_message`` gets the channel and the message. ``on_back`` is called with the channels when
    Redis has confirmed all of them again after a lost connection: messages were missed.
    ``is_sharded`` says of a channel whether SSUBSCRIBE subscribes to it; ``on_leave`` is called
    when such a channel has left this server, or is not here: with the channel, or with the answer
    that says so for all channels of a slot.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        timeout: float,
        scheduler: Scheduler,
        on_message: Callable[[str, bytes], None],
        on_back: Callable[[Collection[str]], None],
        is_sharded: Callable[[str], bool] = lambda channel: False,
        on_leave: Callable[[str | MovedError], None] = lambda where: None,
    ) -> None:
        self._pool = pool
        self._timeout = timeout
        self._scheduler = scheduler
        self._on_message = on_message
        self._on_back = on_back
        self._is_sharded = is_sharded
        self._on_leave = on_leave
        self._confirmed: dict[str, asyncio.Future[None]] = {}
        self._unconfirmed: Counter[str] = Counter()
        self._leaving: Counter[str] = Counter()
        self._connection: OpenConnection | None = None
        self._lost: asyncio.Future[None] | None = None
        self._all_confirmed: asyncio.Future[None] | None = None
        self._heard = False
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to connect, in the background; attempts go on until one succeeds."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Close the connection."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    @property
    def channels(self) -> Collection[str]:
        """The channels of this server that the node subscribes to."""
        return self._confirmed.keys()

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

    def add(self, channel: str, confirmed: asyncio.Future[None] | None = None) -> None:
        """Subscribe to a channel. ``confirmed`` is done when Redis has confirmed it."""
        if confirmed is None or confirmed.done():
            confirmed = asyncio.get_running_loop().create_future()
        self._confirmed[channel] = confirmed
        self._subscribe(channel)

    def remove(self, channel: str) -> asyncio.Future[None] | None:
        """Unsubscribe from a channel; return its Future, which another feed may confirm."""
        confirmed = self._confirmed.pop(channel, None)
        if confirmed is not None and self._connection is not None:
            sharded = self._is_sharded(channel)
            self._leaving[channel] += sharded
            self._connection.send(pack(("SUNSUBSCRIBE" if sharded else "UNSUBSCRIBE", channel)))
        return confirmed

    def forget(self, channel: str) -> asyncio.Future[None] | None:
        """Drop a channel that is not here any more; return its Future, as `remove` does."""
        self._unconfirmed.pop(channel, None)
        self._leaving.pop(channel, None)
        confirmed = self._confirmed.pop(channel, None)
        self._note_if_all_confirmed()
        return confirmed

    def confirmed(self, channel: str) -> asyncio.Future[None] | None:
        """Return a Future that is done while Redis has confirmed a subscription."""
        return self._confirmed.get(channel)

    def is_subscribed(self, channel: str) -> bool:
        """Whether Redis has confirmed the subscription, and the connection has not ended since."""
        confirmed = self._confirmed.get(channel)
        return self._connection is not None and confirmed is not None and confirmed.done()

    def _subscribe(self, *channels: str) -> None:
        """Subscribe, unless the next connection will subscribe to all channels anyway."""
        if self._connection is None:
            return
        self._unconfirmed.update(channels)
        sharded = [channel for channel in channels if self._is_sharded(channel)]
        commands = [("SSUBSCRIBE", channel) for channel in sharded]  # each may be in another slot
        if len(sharded) < len(channels):
            classic = [channel for channel in channels if not self._is_sharded(channel)]
            commands.append(("SUBSCRIBE", *classic))  # type: ignore[arg-type]
        self._connection.send(b"".join(map(pack, commands)))

    async def _run(self) -> None:
        interval, first = FIRST_RETRY_INTERVAL, True
        loop = asyncio.get_running_loop()
        while True:
            self._lost, self._all_confirmed = loop.create_future(), loop.create_future()
            try:
                self._connection = await OpenConnection.open(
                    self._pool, self._timeout, self._handle_answers, self._handle_lost
                )
                self._subscribe(*self._confirmed)
                self._note_if_all_confirmed()
                await self._wait_until_confirmed(self._all_confirmed, self._lost)
                if not first:
                    log.info("pub/sub is back", extra={"channels": len(self._confirmed)})
                    self._on_back(tuple(self._confirmed))
                interval, first = FIRST_RETRY_INTERVAL, False
                await self._watch(self._connection, self._lost)
            except (RedisError, OSError, TimeoutError) as problem:
                log.warning("the pub/sub connection is lost", extra={"reason": str(problem)})
            finally:
                if self._connection is not None:
                    self._connection.abort(TimeoutError("the connection is not used any more"))
                self._connection = None
                self._unconfirmed.clear()
                self._leaving.clear()
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
                if isinstance(answer, MovedError):
                    self._on_leave(answer)
                elif isinstance(answer, RedisError):
                    raise answer
                elif answer[0] in MESSAGES:
                    self._on_message(answer[1].decode(), answer[2])
                elif answer[0] in CONFIRMATIONS:
                    self._confirm(answer[1].decode())
                elif answer[0] == LEFT:
                    self._handle_left(answer[1].decode())
        finally:
            self._scheduler.arrived = 0.0
        self._note_if_all_confirmed()

    def _handle_left(self, channel: str) -> None:
        """Tell whether this is the answer to SUNSUBSCRIBE, or the slot of a channel has left."""
        if self._leaving[channel] > 0:
            self._leaving[channel] -= 1
        elif channel in self._confirmed:
            self._on_leave(channel)
        if not self._leaving[channel]:
            del self._leaving[channel]

    def _note_if_all_confirmed(self) -> None:
        all_confirmed = self._all_confirmed
        if not self._unconfirmed and all_confirmed is not None and not all_confirmed.done():
            all_confirmed.set_result(None)

    def _confirm(self, channel: str) -> None:
        # After unsubscribing and subscribing again, only Redis' last answer confirms: an earlier
        # one belongs to the subscription that was ended.
        self._unconfirmed[channel] -= 1
        if self._unconfirmed[channel] <= 0:
            del self._unconfirmed[channel]
            confirmed = self._confirmed.get(channel)
            if confirmed is not None and not confirmed.done():
                confirmed.set_result(None)
