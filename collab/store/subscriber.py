"""The channels that a node subscribes to, and who handles their messages."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Collection, Sequence

from redis.asyncio import ConnectionPool

from collab.errors import StoreUnavailable
from collab.scheduler import Scheduler
from collab.store.cluster_feeds import ClusterFeeds
from collab.store.feed import Feed
from collab.store.keys import PROBE
from collab.store.slots import Slots

log = logging.getLogger(__name__)

Handler = Callable[[bytes], None]


class Subscriber:
    """Receives the messages of the channels that this node subscribes to.

    Handlers are called in the order of the messages of a server, and must not block. After a lost
    connection the ``on_reconnect`` functions are called as soon as Redis has confirmed all
    subscriptions again, with their channels: the node has missed messages of these. In a Redis
    Cluster, whose map is ``source``, also for channels that have moved to another master;
    ``sharded`` says whether its channels are sharded. ``scheduler`` is told when the messages that
    are handled have arrived.
    """

    def __init__(
        self,
        source: ConnectionPool | Slots,
        node: str,
        timeout: float,
        scheduler: Scheduler | None = None,
        *,
        sharded: bool = False,
    ) -> None:
        self._timeout = timeout
        self._handlers: dict[str, list[Handler]] = {}
        scheduler = scheduler or Scheduler()
        self._feeds: Feed | ClusterFeeds
        if isinstance(source, Slots):
            self._feeds = ClusterFeeds(
                source, timeout, scheduler, self._dispatch, self._tell_back, sharded=sharded
            )
        else:
            self._feeds = Feed(source, timeout, scheduler, self._dispatch, self._tell_back)
        self._probe_channel = PROBE + node
        self._probes: dict[bytes, asyncio.Future[None]] = {}
        self.on_reconnect: list[Callable[[Collection[str]], None]] = []

    async def open(self) -> None:
        """Begin to connect, in the background; attempts go on until one succeeds."""
        self._add(self._probe_channel, self._receive_probe)
        self._feeds.open()

    async def close(self) -> None:
        """Close the connection."""
        await self._feeds.close()

    async def subscribe(self, channel: str, handler: Handler) -> None:
        """Call ``handler`` with each message of ``channel`` from now on.

        Returns when Redis has confirmed the subscription. Raises StoreUnavailable if Redis does
        not confirm it in time; the handler is then removed.
        """
        self._add(channel, handler)
        try:
            async with asyncio.timeout(self._timeout):
                await self._confirmed(channel)
        except BaseException as problem:
            await self.unsubscribe(channel, handler)
            if isinstance(problem, TimeoutError):
                raise StoreUnavailable("Redis has not confirmed a subscription in time") from None
            raise

    def _add(self, channel: str, handler: Handler, *, once: bool = False) -> None:
        if channel not in self._handlers:
            self._handlers[channel] = []
            self._feeds.add(channel)
        if not (once and handler in self._handlers[channel]):
            self._handlers[channel].append(handler)

    async def _confirmed(self, channel: str) -> None:
        """Wait until Redis has confirmed the subscription."""
        confirmed = self._feeds.confirmed(channel)
        assert confirmed is not None, "the channel was added"
        await asyncio.shield(confirmed)

    @property
    def is_up(self) -> bool:
        """Whether Redis has confirmed all subscriptions, and the connection has not ended since."""
        return self._feeds.is_up

    def is_subscribed(self, channel: str) -> bool:
        """Whether Redis has confirmed the subscription, and the connection has not ended since."""
        return self._feeds.is_subscribed(channel)

    async def unsubscribe(self, channel: str, handler: Handler) -> None:
        """Stop calling ``handler``; without handlers the subscription of the channel ends."""
        handlers = self._handlers.get(channel, [])
        if handler in handlers:
            handlers.remove(handler)
        if handlers or self._handlers.pop(channel, None) is None:
            return
        if confirmed := self._feeds.remove(channel):
            confirmed.cancel()

    async def probe(
        self,
        publish: Callable[[str, bytes], asyncio.Future[int]],
        places: Sequence[str] = ("",),
    ) -> None:
        """Publish messages to this node by ``publish`` and wait until the node receives them.

        There is one for each server, in ``places`` (see `Store.places`). Raises StoreUnavailable if
        one does not arrive in time.
        """
        await asyncio.gather(*(self._probe(publish, self._probe_channel + at) for at in places))

    async def _probe(
        self, publish: Callable[[str, bytes], asyncio.Future[int]], channel: str
    ) -> None:
        self._add(channel, self._receive_probe, once=True)
        token = secrets.token_bytes(8)
        received = self._probes[token] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._timeout):
                await self._confirmed(channel)
                await publish(channel, token)
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

    def _tell_back(self, channels: Collection[str]) -> None:
        for callback in self.on_reconnect:
            callback(channels)

    def _dispatch(self, channel: str, message: bytes) -> None:
        for handler in tuple(self._handlers.get(channel, ())):
            try:
                handler(message)
            except Exception:  # a fault in one room must not end the messages of all others
                log.exception("a message could not be handled", extra={"channel": channel})
