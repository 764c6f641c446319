"""The channels that a node has subscribed to: those of the rooms that it holds, and its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
from collections.abc import Callable

from redis.exceptions import RedisError

from collab.errors import StoreUnavailable
from collab.store.keys import PROBE
from collab.store.link import ChannelRequest, Link

log = logging.getLogger(__name__)

Handler = Callable[[bytes], None]
FIRST_RETRY_INTERVAL, MAX_RETRY_INTERVAL = 0.05, 1.0
"""Seconds before the first attempt to reconnect, and at most between later attempts."""


class Subscriber:
    """Receives the messages of the channels that this node subscribes to.

    Handlers are called in the order of the messages, and must not block. After a lost connection
    the ``on_reconnect`` functions are called as soon as Redis has confirmed all subscriptions
    again: the node has missed the messages of the time in between.
    """

    def __init__(self, link: Link, node: str, timeout: float) -> None:
        self._link = link
        self._timeout = timeout
        self._handlers: dict[str, list[Handler]] = {}
        self._confirmed: dict[str, asyncio.Future[None]] = {}
        self._subscribed: set[str] = set()
        self._lost: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._probe_channel = PROBE + node
        self._probes: dict[bytes, asyncio.Future[None]] = {}
        self.on_reconnect: list[Callable[[], None]] = []
        link.listener = self

    async def open(self) -> None:
        """Begin to connect, in the background; attempts go on until one succeeds."""
        self._handlers[self._probe_channel] = [self._receive_probe]
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Handle no more messages; the connection closes with the store."""
        self._link.listener = None
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
            if self._connected:
                self._send_subscribe(channel)
        try:
            async with asyncio.timeout(self._timeout):
                await asyncio.shield(confirmed)
        except BaseException as problem:
            await self.unsubscribe(channel, handler)
            if isinstance(problem, TimeoutError):
                raise StoreUnavailable("Redis has not confirmed a subscription in time") from None
            raise

    def is_subscribed(self, channel: str) -> bool:
        """Whether Redis has confirmed the subscription, and the connection has not ended since."""
        return channel in self._subscribed

    async def unsubscribe(self, channel: str, handler: Handler) -> None:
        """Stop calling ``handler``; without handlers the subscription of the channel ends."""
        handlers = self._handlers.get(channel, [])
        if handler in handlers:
            handlers.remove(handler)
        if not handlers and self._handlers.pop(channel, None) is not None:
            if confirmed := self._confirmed.pop(channel, None):
                confirmed.cancel()
            self._subscribed.discard(channel)
            if self._connected:
                self._link.send(ChannelRequest("UNSUBSCRIBE", channel, None), urgent=True)

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

    @property
    def _connected(self) -> bool:
        """Whether no later attempt will subscribe to all channels anyway."""
        return self._lost is not None and not self._lost.done()

    def _send_subscribe(self, channel: str) -> None:
        # The answer confirms this subscription, not one that was ended before and begun again.
        confirmed = self._confirmed.get(channel)

        def confirm() -> None:
            if self._handlers.get(channel) and self._confirmed.get(channel) is confirmed:
                self._subscribed.add(channel)
                if confirmed is not None and not confirmed.done():
                    confirmed.set_result(None)

        self._link.send(ChannelRequest("SUBSCRIBE", channel, confirm), urgent=True)

    async def _run(self) -> None:
        interval, first = FIRST_RETRY_INTERVAL, True
        while True:
            lost = self._lost = asyncio.get_running_loop().create_future()
            try:
                for channel in self._handlers:
                    self._send_subscribe(channel)
                await self._link.call("PING")  # its answer comes after all confirmations
                if not lost.done():
                    if not first:
                        log.info("pub/sub is back", extra={"channels": len(self._handlers)})
                        for callback in self.on_reconnect:
                            callback()
                    interval, first = FIRST_RETRY_INTERVAL, False
                    await self._watch(lost)
            except (StoreUnavailable, RedisError) as problem:
                self.handle_lost(problem)
            await asyncio.sleep(interval * random.uniform(0.5, 1.0))
            interval = min(2 * interval, MAX_RETRY_INTERVAL)

    async def _watch(self, lost: asyncio.Future[None]) -> None:
        """Return when the connection is lost. Silence is normal, but a dead one is silent too."""
        while not lost.done():
            await asyncio.wait([lost], timeout=self._timeout)
            if not lost.done():
                await self._link.call("PING")

    def handle_lost(self, problem: Exception) -> None:
        """No channel is subscribed to any more; `_run` subscribes again."""
        if self._lost is not None and not self._lost.done():
            log.warning("the pub/sub connection is lost", extra={"reason": str(problem)})
            self._lost.set_result(None)
        self._subscribed.clear()
        for channel, confirmed in self._confirmed.items():
            if confirmed.done():
                self._confirmed[channel] = confirmed.get_loop().create_future()

    def handle_message(self, channel: bytes, message: bytes) -> None:
        """Call the channel's handlers."""
        name = channel.decode()
        for handler in tuple(self._handlers.get(name, ())):
            try:
                handler(message)
            except Exception:  # a fault in one room must not end the messages of all others
                log.exception("a message could not be handled", extra={"channel": name})
