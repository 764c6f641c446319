"""The subscriptions of a node in a Redis Cluster: each at the master of its channel's slot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Final

from redis.exceptions import MovedError

from collab.redis_url import Address
from collab.scheduler import Scheduler
from collab.store.feed import Feed
from collab.store.keys import is_sharded
from collab.store.slots import Slots, slot_of

PLACE_PAUSE: Final = 0.05
"""Seconds after which a channel that has left a master is subscribed to again: the map is read
meanwhile, and masters that do not agree yet send it back and forth at this pace."""


class ClusterFeeds:
    """One `Feed` for each master that has a channel of this node; channels follow their slots.

    Like a Feed, it calls ``on_back`` with channels whose messages may have been missed: after a
    lost connection, and after a move. Also with Redis 6, whose channels are not ``sharded``, nodes
    subscribe at the master of the slot, which counts the subscribers for the scripts.
    """

    def __init__(
        self,
        slots: Slots,
        timeout: float,
        scheduler: Scheduler,
        on_message: Callable[[str, bytes], None],
        on_back: Callable[[Collection[str]], None],
        *,
        sharded: bool,
    ) -> None:
        self._slots = slots
        self._timeout = timeout
        self._scheduler = scheduler
        self._on_message = on_message
        self._on_back = on_back
        self._is_sharded = is_sharded if sharded else lambda channel: False
        self._feeds: dict[Address, Feed] = {}
        self._at: dict[str, Feed] = {}
        self._homeless: dict[str, asyncio.Future[None]] = {}
        self._back: set[str] = set()
        self._placing: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    def open(self) -> None:
        """Follow the slots from now on."""
        self._slots.on_change.append(self._place)

    async def close(self) -> None:
        """Close all connections."""
        self._slots.on_change.remove(self._place)
        if self._placing is not None:
            self._placing.cancel()
        await asyncio.gather(*(feed.close() for feed in self._feeds.values()), *self._closing)

    @property
    def channels(self) -> Collection[str]:
        """The channels that the node subscribes to."""
        return (*self._at, *self._homeless)

    @property
    def is_up(self) -> bool:
        """Whether all subscriptions are confirmed, and no connection has ended since."""
        return not self._homeless and all(feed.is_up for feed in self._feeds.values())

    def add(self, channel: str) -> None:
        """Subscribe to a channel."""
        self._put(channel, self._loop.create_future())

    def remove(self, channel: str) -> asyncio.Future[None] | None:
        """Unsubscribe from a channel; return its Future."""
        feed = self._at.pop(channel, None)
        return feed.remove(channel) if feed else self._homeless.pop(channel, None)

    def confirmed(self, channel: str) -> asyncio.Future[None] | None:
        """Return a Future that is done while Redis has confirmed a subscription."""
        feed = self._at.get(channel)
        return feed.confirmed(channel) if feed else self._homeless.get(channel)

    def is_subscribed(self, channel: str) -> bool:
        """Whether Redis has confirmed the subscription, and it has not ended since."""
        feed = self._at.get(channel)
        return feed is not None and feed.is_subscribed(channel)

    def _put(self, channel: str, confirmed: asyncio.Future[None]) -> None:
        master = self._slots.master_of(slot_of(channel))
        if master is None:
            self._homeless[channel] = confirmed
            self._slots.read_soon()
            return
        feed = self._at[channel] = self._feed_to(master)
        feed.add(channel, confirmed)

    def _feed_to(self, master: Address) -> Feed:
        feed = self._feeds.get(master)
        if feed is None:
            feed = self._feeds[master] = Feed(
                self._slots.pool(master), self._timeout, self._scheduler, self._on_message,
                self._on_back, self._is_sharded, lambda where: self._handle_leave(master, where),
            )  # fmt: skip
            feed.open()
        return feed

    # Channels whose slots move

    def _handle_leave(self, master: Address, where: str | MovedError) -> None:
        """Take channels from a master that does not have them: they go where the map says soon."""
        feed = self._feeds.get(master)
        if feed is None:
            return
        if isinstance(where, str):
            left = [where]
            self._slots.read_soon()
        else:
            slot = int(where.slot_id)
            self._slots.moved(slot, (where.host or master[0], int(where.port)))
            left = [
                channel for channel in feed.channels
                if slot_of(channel) == slot and not feed.is_subscribed(channel)
            ]  # fmt: skip
        for channel in left:
            self._at.pop(channel, None)
            self._homeless[channel] = self._expect(channel, feed.forget(channel))
        if self._placing is None:
            self._placing = self._loop.call_later(PLACE_PAUSE, self._place)

    def _place(self) -> None:
        """Subscribe to each channel where it is now; leave masters that are none any more."""
        if self._placing is not None:
            self._placing.cancel()
            self._placing = None
        for channel, feed in list(self._at.items()):
            master = self._slots.master_of(slot_of(channel))
            if master is not None and self._feeds.get(master) is not feed:
                self._put(channel, self._expect(channel, feed.remove(channel)))
        homeless, self._homeless = self._homeless, {}
        for channel, confirmed in homeless.items():
            self._put(channel, confirmed)
        used, masters = set(self._at.values()), self._slots.masters()
        for master, feed in list(self._feeds.items()):
            if feed not in used and master not in masters:
                del self._feeds[master]
                closing = asyncio.create_task(feed.close())
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)

    def _expect(self, channel: str, confirmed: asyncio.Future[None] | None) -> asyncio.Future[None]:
        """Return the Future for a subscription elsewhere; when it is done, messages were missed."""
        if confirmed is None or confirmed.done():
            confirmed = self._loop.create_future()
        confirmed.add_done_callback(lambda done: self._return(channel, done))
        return confirmed

    def _return(self, channel: str, confirmed: asyncio.Future[None]) -> None:
        if confirmed.cancelled():
            return
        if not self._back:  # channels that moved together are confirmed together
            self._loop.call_soon(self._tell_back)
        self._back.add(channel)

    def _tell_back(self) -> None:
        back, self._back = self._back, set()
        self._on_back(back)
