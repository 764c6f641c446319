"""The rooms of this node: loaded for the first member, closed a while after the last has left."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Container
from typing import TYPE_CHECKING

from collab.config import Config
from collab.errors import RateLimited, RoomClosed, RoomExists, RoomUnreadable, StoreUnavailable
from collab.merge.delta import Delta
from collab.merge.replica import Replica
from collab.metrics import Metrics
from collab.rooms.author import Author
from collab.rooms.identity import Identity
from collab.rooms.quota import Quota
from collab.rooms.room import Room
from collab.rooms.search import Searches
from collab.store.channel import RoomDamaged
from collab.store.checks import Checks
from collab.store.keys import room_channel
from collab.store.records import ROOM, Commit, Refused, Update
from collab.store.store import NEW_ROOM, Store
from collab.store.subscriber import Subscriber

if TYPE_CHECKING:  # it needs the packages of an extra
    from collab.tracing import Tracing

log = logging.getLogger(__name__)

IDLE_CHECK_INTERVAL = 1.0
"""Seconds between checks of an empty room that cannot be closed because it waits for Redis."""

BATCHES = 20
"""Batches into which all rooms are divided for upkeep. A check of a single room costs a round trip
of its own (340 µs instead of 30); a check of all rooms at once would block the node."""

COUNTED_TOGETHER = 1024
"""Bytes that a person has written from which on they are counted: keystrokes add up to that."""

UNWRITTEN_GRACE = 10.0
"""Seconds for which a node at most keeps a room without members in which nobody has written: long
enough for a client that reconnects."""


class Rooms:
    """All rooms that this node holds now.

    ``on_emit`` is called with each python-socketio message on the channel of a room. With
    ``tracing`` their changes are traced.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        subscriber: Subscriber,
        metrics: Metrics,
        on_emit: Callable[[bytes], None],
        tracing: Tracing | None = None,
    ) -> None:
        self._config = config
        self._store = store
        self._subscriber = subscriber
        self._metrics = metrics
        self._on_emit = on_emit
        self._tracing = tracing
        self._searches = Searches()
        self._clock = asyncio.get_running_loop().time
        self._new_rooms = Quota(config.max_new_rooms)
        self._written = Quota(config.max_written_bytes, COUNTED_TOGETHER)
        self._rooms: dict[str, Room] = {}
        self._loading: dict[str, asyncio.Task[Room]] = {}
        self._acquired: dict[str, int] = {}
        self._release_timers: dict[str, asyncio.TimerHandle] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._upkeep: list[asyncio.Task[None]] = []
        metrics.uncommitted.read = self._uncommitted

    def open(self) -> None:
        """Start the upkeep of the rooms: checks and presence reports."""
        self._subscriber.on_reconnect.append(self._on_reconnect)
        self._upkeep = [
            asyncio.create_task(self._every(self._config.check_interval, Room.check)),
            asyncio.create_task(self._every(self._config.presence_interval, Room.report)),
        ]

    async def close(self) -> None:
        """Close all rooms. They have half of the drain time to commit their updates."""
        tasks = [*self._upkeep, *self._loading.values()]
        for task in tasks:
            task.cancel()
        for timer in self._release_timers.values():
            timer.cancel()
        await asyncio.gather(*tasks, *self._closing, return_exceptions=True)
        rooms = list(self._rooms.values())
        try:
            async with asyncio.timeout(self._config.drain_time / 2):
                await asyncio.gather(*(room.flush() for room in rooms))
        except TimeoutError:
            lost = sum(not room.idle for room in rooms)
            log.error("not all updates were committed in time", extra={"rooms": lost})
        await asyncio.gather(*(room.close() for room in rooms))

    async def acquire(self, name: str, client: Identity | None = None) -> Room:
        """Load a room and return it; the node keeps it until each `acquire` has had its `release`.

        A room that nobody was in is compared with Redis first. A new room counts for the quota of
        ``client``. Raises StoreUnavailable if it can't be loaded, RoomClosed if somebody ends it
        meanwhile, RateLimited if the client has begun too many.
        """
        self._acquired[name] = self._acquired.get(name, 0) + 1
        if timer := self._release_timers.pop(name, None):
            timer.cancel()
        try:
            room = await self._find(name) or await self._load_once(name, client)
            if room.is_new:
                self._check_memory()
            return room
        except BaseException:
            self.release(name)
            raise

    async def _find(self, name: str) -> Room | None:
        """Return a room that this node holds, as it is in Redis now."""
        while room := self._rooms.get(name):
            await room.refresh()
            if not room.ended:  # otherwise there may be another room of that name
                return room
        return None

    async def _load_once(self, name: str, client: Identity | None) -> Room:
        """Load a room, however many callers wait for it.

        It counts for the quota of ``client`` if it turns out to be new. A room that Redis has can
        always be loaded: others who share the quota may be at work there.
        """
        if client is None:
            return await self._load_shared(name)
        now, is_new = self._clock(), False
        self._new_rooms.spend(client, 1, now)
        try:
            if self._new_rooms.overdraft(client, now) and not await self._store.has_room(name):
                raise self._too_many_new()
            room = await self._load_shared(name)
            is_new = room.is_new
            return room
        finally:
            if not is_new:
                self._new_rooms.spend(client, -1, now)

    async def _load_shared(self, name: str) -> Room:
        loading = self._loading.get(name)
        if loading is None:
            self._store.damage.refuse(name)
            loading = self._loading[name] = asyncio.create_task(self._load(name))
        return await asyncio.shield(loading)

    def release(self, name: str) -> None:
        """End one `acquire`; after the last one the room is closed when the grace time is over."""
        self._acquired[name] -= 1
        if not self._acquired[name]:
            del self._acquired[name]
            if room := self._rooms.get(name):
                self._schedule_release(self._grace(room), room)

    def _grace(self, room: Room) -> float:
        grace = self._config.room_grace
        return grace if room.exists else min(grace, UNWRITTEN_GRACE)

    def loaded(self, name: str) -> Room | None:
        """Return a room if this node holds it now."""
        return self._rooms.get(name)

    def attended(self) -> list[str]:
        """Return the rooms that have a text, and members on this node."""
        rooms = self._rooms.items()
        return [name for name, room in rooms if room.has_members and room.exists]

    def _uncommitted(self) -> tuple[int, float]:
        """Return how many edits wait for Redis, and for how many seconds the oldest has waited."""
        edits, age = 0, 0.0
        for room in self._rooms.values():
            more, waited = room.uncommitted
            edits += more
            age = max(age, waited)
        return edits, age

    def check(self, name: str) -> None:
        """Compare a room with Redis soon, if it has members on this node."""
        if room := self._rooms.get(name):
            room.check()

    async def create(
        self, name: str, code: str, author: Author, person: Identity | None = None
    ) -> None:
        """Begin a room with a text, in Redis; this node need not hold the room.

        If several callers try at once, one succeeds. The room and its text count for the quotas of
        ``person``; another service has none. Raises RoomExists if the room has a text, RateLimited,
        or StoreUnavailable.
        """
        self._check_memory()
        if person is not None:
            await self._written.wait(person, self._clock())
            self._count_new(person)
        replica = Replica()
        update = replica.edit(Delta.of(code)) if code else replica.state()
        first = Commit([Update(str(author), update)], update, code, self._config.room_ttl)
        answer = await self._store.start(
            name, secrets.token_hex(8), None, ROOM, first, known_end=NEW_ROOM
        )
        if isinstance(answer, Refused):
            await Checks(self._store, name).read()  # the room may be damaged instead
            raise RoomExists("the room has a text already")
        if person is not None:
            self._written.spend(person, len(code.encode()), self._clock())
        self._metrics.changes.inc()
        self.check(name)  # a node ignores its own announcements

    def _count_new(self, client: Identity) -> None:
        now = self._clock()
        self._new_rooms.spend(client, 1, now)
        if self._new_rooms.overdraft(client, now):
            self._new_rooms.spend(client, -1, now)
            raise self._too_many_new()

    def _too_many_new(self) -> RateLimited:
        limit = self._config.max_new_rooms
        return RateLimited(f"at most {limit} new rooms a minute are allowed")

    def _check_memory(self) -> None:
        if self._store.usage.nearly_full:
            raise StoreUnavailable("Redis has too little memory left for another room")

    async def _load(self, name: str) -> Room:
        try:
            room = Room(
                name, self._config, self._store, self._subscriber, self._metrics, self._on_emit,
                self._searches, self._written, self._drop_ended,
                self._tracing.room(name) if self._tracing else None,
            )  # fmt: skip
            try:
                await room.open()
            except RoomUnreadable:
                # Nodes that hold the room may not have read its keys for long.
                with contextlib.suppress(StoreUnavailable):
                    await self._store.publish(room_channel(name), RoomDamaged().pack())
                raise
            if room.ended:
                await room.close()
                raise RoomClosed(name)
            self._rooms[name] = room
            self._metrics.rooms.inc()
            if name not in self._acquired:  # everybody left while it was being loaded
                self._schedule_release(self._grace(room), room)
            return room
        finally:
            del self._loading[name]

    def _schedule_release(self, seconds: float, room: Room) -> None:
        loop = asyncio.get_running_loop()
        self._release_timers[room.name] = loop.call_later(seconds, self._release_idle, room)

    def _release_idle(self, room: Room) -> None:
        del self._release_timers[room.name]
        if not room.idle:
            self._schedule_release(IDLE_CHECK_INTERVAL, room)
            return
        self._drop(room)

    def _drop_ended(self, room: Room) -> None:
        if self._rooms.get(room.name) is room:
            if timer := self._release_timers.pop(room.name, None):
                timer.cancel()
            self._drop(room)

    def _drop(self, room: Room) -> None:
        del self._rooms[room.name]
        self._metrics.rooms.dec()
        closing = asyncio.create_task(room.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _every(self, interval: float, action: Callable[[Room], None]) -> None:
        """Call ``action`` for each room once an interval, in batches."""
        while True:
            rooms = list(self._rooms.values())
            batches = [rooms[i::BATCHES] for i in range(min(BATCHES, len(rooms)))] or [[]]
            for batch in batches:
                for room in batch:
                    try:
                        action(room)
                    except Exception:  # an error in one room must not stop the upkeep of the others
                        log.exception("the upkeep of a room failed", extra={"room": room.name})
                await asyncio.sleep(interval / len(batches))

    def _on_reconnect(self, channels: Container[str]) -> None:
        """Pub/sub was away: this node missed commits, and other nodes missed its reports."""
        for room in self._rooms.values():
            if room.channel in channels:
                room.recover()
