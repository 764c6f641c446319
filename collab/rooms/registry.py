"""The rooms of this node: loaded when somebody comes, let go a while after the last has left."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable

from collab.config import Config
from collab.errors import RoomClosed, RoomExists
from collab.merge.delta import Delta
from collab.merge.replica import Replica
from collab.metrics import Metrics
from collab.rooms.author import Author
from collab.rooms.room import Room
from collab.rooms.search import Searches
from collab.store.records import ROOM, Commit, Refused, Update
from collab.store.store import NEW_ROOM, Store
from collab.store.subscriber import Subscriber

log = logging.getLogger(__name__)

IDLE_CHECK_INTERVAL = 1.0
"""Seconds until a room that nobody is in, but that waits for Redis, is looked at again."""

BATCHES = 20
"""Parts in which all rooms are looked at: one by one each would cost a round trip of its own (340
µs instead of 30), all at once the node would stand still for them."""


class Rooms:
    """All rooms that this node holds now.

    ``on_emit`` is given what is said on the channel of a room and is not this service's own.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        subscriber: Subscriber,
        metrics: Metrics,
        on_emit: Callable[[bytes], None],
    ) -> None:
        self._config = config
        self._store = store
        self._subscriber = subscriber
        self._metrics = metrics
        self._on_emit = on_emit
        self._searches = Searches()
        self._rooms: dict[str, Room] = {}
        self._loading: dict[str, asyncio.Task[Room]] = {}
        self._holds: dict[str, int] = {}
        self._release_timers: dict[str, asyncio.TimerHandle] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._upkeep: list[asyncio.Task[None]] = []

    def open(self) -> None:
        """Begin to look after the rooms."""
        self._subscriber.on_reconnect.append(self._returned)
        self._upkeep = [
            asyncio.create_task(self._every(self._config.check_interval, Room.check)),
            asyncio.create_task(self._every(self._config.presence_interval, Room.report)),
        ]

    async def close(self) -> None:
        """Let all rooms go. What waits for Redis has half of the drain time to get there."""
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
            log.error("Redis did not take everything in time", extra={"rooms": lost})
        await asyncio.gather(*(room.close() for room in rooms))

    async def hold(self, name: str) -> Room:
        """Return a room, loaded, and keep it until `release` is called once for each `hold`.

        Raises StoreUnavailable if it can't be loaded, RoomClosed if it is ended meanwhile.
        """
        self._holds[name] = self._holds.get(name, 0) + 1
        if timer := self._release_timers.pop(name, None):
            timer.cancel()
        room = self._rooms.get(name)
        if room is not None:
            return room
        loading = self._loading.get(name)
        if loading is None:
            loading = self._loading[name] = asyncio.create_task(self._load(name))
        try:
            return await asyncio.shield(loading)
        except BaseException:
            self.release(name)
            raise

    def release(self, name: str) -> None:
        """End one `hold`; the last one starts the grace time."""
        self._holds[name] -= 1
        if not self._holds[name]:
            del self._holds[name]
            if room := self._rooms.get(name):
                self._schedule_release(self._config.room_grace, room)

    def loaded(self, name: str) -> Room | None:
        """Return a room if this node holds it now."""
        return self._rooms.get(name)

    def check(self, name: str) -> None:
        """Compare a room with Redis now, if this node holds it."""
        if room := self._rooms.get(name):
            room.check()

    async def create(self, name: str, code: str, author: Author) -> None:
        """Begin a room with a text, in Redis; this node need not hold it.

        Of several callers that try at once one succeeds. Raises RoomExists if the room has a text,
        or StoreUnavailable.
        """
        replica = Replica()
        update = replica.edit(Delta.of(code)) if code else replica.state()
        first = Commit([Update(str(author), update)], update, code, self._config.room_ttl)
        answer = await self._store.start(
            name, secrets.token_hex(8), None, ROOM, first, known_end=NEW_ROOM
        )
        if isinstance(answer, Refused):
            raise RoomExists("the room has a text already")
        self._metrics.changes.inc()
        self.check(name)  # a node passes over the announcements that it makes itself

    async def _load(self, name: str) -> Room:
        try:
            room = Room(
                name, self._config, self._store, self._subscriber, self._metrics, self._on_emit,
                self._searches, self._drop_ended,
            )  # fmt: skip
            await room.open()
            if room.ended:
                await room.close()
                raise RoomClosed(name)
            self._rooms[name] = room
            self._metrics.rooms.inc()
            if name not in self._holds:  # everybody went while it was being loaded
                self._schedule_release(self._config.room_grace, room)
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
        """Look at each room once an interval, a few at a time."""
        while True:
            rooms = list(self._rooms.values())
            batches = [rooms[i::BATCHES] for i in range(min(BATCHES, len(rooms)))] or [[]]
            for batch in batches:
                for room in batch:
                    try:
                        action(room)
                    except Exception:  # one room's mistake must not end the care for all others
                        log.exception("a room was not looked after", extra={"room": room.name})
                await asyncio.sleep(interval / len(batches))

    def _returned(self) -> None:
        """Pub/sub was away: commits were missed here, and elsewhere who is here."""
        for room in self._rooms.values():
            room.check()
            room.report()
