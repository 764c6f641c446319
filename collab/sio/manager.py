"""The client manager: which session is in which room of this node, and emits between services.

A node subscribes to the channel of a room only while it has members in it. Other services emit with
a plain, write-only ``socketio.AsyncRedisManager`` over python-socketio's standard channel, to which
every node subscribes. All messages are JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from typing import Any

import socketio

from collab.sio import json
from collab.store.keys import STANDARD_CHANNEL, room_channel
from collab.store.store import Store
from collab.store.subscriber import Subscriber

MAX_RECEIVED = 10_000
"""Messages of other services that may wait; when so many wait, new ones are dropped."""


class RoomManager(socketio.AsyncRedisManager):  # type: ignore[misc]  # no types
    """AsyncRedisManager with a channel per room, over the node's own connections."""

    name = "rooms"

    def __init__(self, url: str, store: Store, subscriber: Subscriber) -> None:
        super().__init__(url, channel=STANDARD_CHANNEL)
        self.json = json
        self._store = store
        self._subscriber = subscriber
        self._received: asyncio.Queue[bytes] = asyncio.Queue(MAX_RECEIVED)
        self._rooms_of: dict[str, list[str]] = defaultdict(list)  # few: smaller than sets

    async def open(self) -> None:
        """Subscribe to the standard channel."""
        await self._subscriber.subscribe(STANDARD_CHANNEL, self.receive)
        self.thread = asyncio.create_task(self._thread())

    async def close(self) -> None:
        """Stop handling messages."""
        self.thread.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.thread

    def receive(self, message: bytes) -> None:
        """Queue a message of a channel; messages that are not JSON have other recipients."""
        if message.startswith(b"{") and not self._received.full():
            self._received.put_nowait(message)

    async def _listen(self) -> AsyncIterator[bytes]:
        while True:
            yield await self._received.get()

    async def _publish(self, data: dict[str, Any]) -> None:
        room = data.get("room")
        to_room = isinstance(room, str) and not self.is_sid_room(data.get("namespace", "/"), room)
        channel = room_channel(room) if to_room and room else STANDARD_CHANNEL
        await self._store.publish(channel, self.json.dumps(data))

    # As in the base class, but without its walk through all rooms when a client disconnects, and
    # without a room for each client, which has the name of its sid and 0.5 kB.

    def get_participants(self, namespace: str, room: Any) -> Iterator[tuple[str, str]]:
        rooms = self.rooms.get(namespace, {})
        found: dict[str, str] = {}
        for name in [room] if room is None or isinstance(room, str) else room:
            if name is not None and self.is_sid_room(namespace, name):
                found[name] = self.eio_sid_from_sid(name, namespace)
            else:
                found.update(rooms.get(name, {}))
        yield from found.items()

    def basic_enter_room(
        self, sid: str, namespace: str, room: str | None, eio_sid: str | None = None
    ) -> None:
        if room == sid:
            return
        super().basic_enter_room(sid, namespace, room, eio_sid=eio_sid)
        if room is not None and namespace == "/" and room not in self._rooms_of[sid]:
            self._rooms_of[sid].append(room)

    def basic_leave_room(self, sid: str, namespace: str, room: str | None) -> None:
        super().basic_leave_room(sid, namespace, room)
        if room is not None and namespace == "/" and room in self._rooms_of.get(sid, ()):
            self._rooms_of[sid].remove(room)

    def get_rooms(self, sid: str, namespace: str) -> list[str]:
        return list(self._rooms_of.get(sid, ()))

    def basic_disconnect(self, sid: str, namespace: str, **options: Any) -> None:
        for room in (*self._rooms_of.pop(sid, ()), None):
            super().basic_leave_room(sid, namespace, room)
        self.callbacks.pop(sid, None)
        for waiting in (self.pending_connect, self.pending_disconnect):
            if sid in waiting.get(namespace, ()):
                waiting[namespace].remove(sid)
                if not waiting[namespace]:
                    del waiting[namespace]
