"""The rooms of this node: loaded when somebody comes, let go a while after the last has left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from collab.config import Config
from collab.metrics import Metrics
from collab.rooms.room import Room
from collab.store.store import Store
from collab.store.subscriber import Subscriber

log = logging.getLogger(__name__)

LOOK_AGAIN = 1.0
"""Seconds until a room that nobody is in, but that waits for Redis, is looked at again."""


class Rooms:
    """All rooms that this node holds now."""

    def __init__(
        self, config: Config, store: Store, subscriber: Subscriber, metrics: Metrics
    ) -> None:
        self.others: Callable[[bytes], None] = _ignore
        self._config = config
        self._store = store
        self._subscriber = subscriber
        self._metrics = metrics
        self._rooms: dict[str, Room] = {}
        self._loading: dict[str, asyncio.Task[Room]] = {}
        self._visitors: dict[str, int] = {}
        self._upkeep: list[asyncio.Task[None]] = []

    def open(self) -> None:
        """Begin to look after the rooms."""
        self._subscriber.on_return.append(self._check_all)
        self._upkeep = [
            asyncio.create_task(self._every(self._config.check_interval, Room.check)),
            asyncio.create_task(self._every(self._config.presence_interval, Room.report)),
        ]

    async def close(self) -> None:
        """Let all rooms go. What waits for Redis has the drain time to get there."""
        for task in self._upkeep:
            task.cancel()
        rooms = list(self._rooms.values())
        try:
            async with asyncio.timeout(self._config.drain_time):
                await asyncio.gather(*(room.flush() for room in rooms))
        except TimeoutError:
            lost = sum(not room.idle for room in rooms)
            log.error("Redis did not take everything in time", extra={"rooms": lost})
        for room in rooms:
            await room.close()

    async def hold(self, name: str) -> Room:
        """Return a room, loaded, and keep it until `release` is called once for each `hold`.

        Raises StoreUnavailable if it can't be loaded.
        """
        self._visitors[name] = self._visitors.get(name, 0) + 1
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
        self._visitors[name] -= 1
        if not self._visitors[name]:
            del self._visitors[name]
            if room := self._rooms.get(name):
                loop = asyncio.get_running_loop()
                loop.call_later(self._config.room_grace, self._let_go, room)

    async def _load(self, name: str) -> Room:
        try:
            room = Room(
                name, self._config, self._store, self._subscriber, self._metrics, self.others
            )
            await room.open()
            self._rooms[name] = room
            self._metrics.rooms.inc()
            if name not in self._visitors:  # everybody went while it was being loaded
                self._let_go(room)
            return room
        finally:
            del self._loading[name]

    def _let_go(self, room: Room) -> None:
        if room.name in self._visitors or self._rooms.get(room.name) is not room:
            return
        if not room.idle:
            asyncio.get_running_loop().call_later(LOOK_AGAIN, self._let_go, room)
            return
        del self._rooms[room.name]
        self._metrics.rooms.dec()
        closing = asyncio.create_task(room.close())
        self._upkeep.append(closing)
        closing.add_done_callback(self._upkeep.remove)

    async def _every(self, interval: float, look: Callable[[Room], None]) -> None:
        """Look at each room once an interval, spread over it."""
        while True:
            rooms = list(self._rooms.values())
            pause = interval / max(1, len(rooms))
            for room in rooms:
                look(room)
                await asyncio.sleep(pause)
            if not rooms:
                await asyncio.sleep(interval)

    def _check_all(self) -> None:
        for room in self._rooms.values():
            room.check()


def _ignore(message: bytes) -> None:
    """Take what nobody asked for."""
