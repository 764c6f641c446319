"""The rooms of Socket.IO clients: how a client becomes a member, and how it stops being one."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from functools import partial

from collab.admission import Admission
from collab.config import Config
from collab.errors import (
    CollabError,
    RoomClosed,
    RoomUnreadable,
    StoreUnavailable,
    TooManyRooms,
)
from collab.metrics import Metrics
from collab.rooms.handover import Departed
from collab.rooms.identity import Identity
from collab.rooms.registry import Rooms
from collab.rooms.room import Room
from collab.rooms.text_members import TextMember
from collab.sio.client import Client, Line
from collab.sio.manager import RoomManager
from collab.sio.returns import Absent
from collab.sio.room_records import RETRY_SECONDS, RoomRecords

log = logging.getLogger(__name__)

Enter = Callable[[Room, Client, Identity, Line], Awaitable[TextMember | None]]
"""Makes a client a member of a loaded room; None if its former member cannot be restored."""


class Memberships:
    """Makes the clients of a node members of rooms, and removes them."""

    def __init__(
        self, config: Config, metrics: Metrics, admission: Admission, rooms: Rooms,
        manager: RoomManager, records: RoomRecords,
    ) -> None:  # fmt: skip
        self._max_rooms = config.max_rooms_per_connection
        self._metrics = metrics
        self._admission = admission
        self._rooms = rooms
        self._manager = manager
        self._records = records
        self._clock = asyncio.get_running_loop().time

    async def join(self, client: Client, name: str) -> TextMember:
        """Return the client's member in a room; the client joins if it has none.

        Raises TooManyRooms, RoomFull, RoomClosed, what `Admission.admit` raises, or what
        `Rooms.acquire` raises.
        """
        if line := client.lines.get(name):
            member: TextMember | None = line.member
        else:
            member = await self._enter(client, name, _as_new)
        assert member is not None
        if client.held_until > self._clock():
            member.peer.hold()
        return member

    async def restore(self, client: Client, found: Absent | list[Departed]) -> bool:
        """Restore a client's member in each of its rooms; return whether all were restored.

        ``found`` is the client as it was on this node, or what it has left behind on another.
        """
        if isinstance(found, Absent):
            sid = found.sid
            entries = [(name, partial(_as_it_was, sid)) for name in found.rooms]
        else:
            entries = [(left.room, partial(_as_elsewhere, left)) for left in found]
        entered = [await self._try_to_enter(client, name, enter) for name, enter in entries]
        return all(entered)

    async def join_again(self, client: Client, former: str) -> bool:
        """Join the rooms of a client that was ``former``, and of which no node knows what it shows.

        Returns False if Redis was away, and it must be tried again.
        """
        complete = True
        try:
            names = await self._records.read(former)
        except StoreUnavailable:
            return False
        for name in names:
            if name in client.lines:
                continue
            try:
                member = await self.join(client, name)
            except CollabError as problem:
                _log_absence(client, name, problem)
                away = isinstance(problem, StoreUnavailable)
                complete &= not away or isinstance(problem, RoomUnreadable)
            else:
                member.room.texts.greet(member)
        return complete

    async def join_when_redis_is_back(self, client: Client, former: str) -> None:
        """Do what `join_again` does, as often as it must be tried again."""
        while True:
            await asyncio.sleep(RETRY_SECONDS * random.uniform(0.5, 1.0))
            if await self.join_again(client, former):
                return

    def record(self, client: Client) -> None:
        """Let Redis have the rooms of a connected client, in case this node is killed."""
        if client.member and client.connected:
            self._records.put(client.member, client.lines)

    async def _try_to_enter(self, client: Client, name: str, enter: Enter) -> bool:
        try:
            return await self._enter(client, name, enter) is not None
        except CollabError as problem:
            _log_absence(client, name, problem)
            return False

    async def _enter(self, client: Client, name: str, enter: Enter) -> TextMember | None:
        """Make the client a member of a room; return None if ``enter`` does."""
        if len(client.lines) >= self._max_rooms:
            raise TooManyRooms("the connection is in as many rooms as it may be in")
        identity = await self._admission.admit(client.grant, name)
        room = await self._rooms.acquire(name, identity)
        line = Line(room, client.socket, self._metrics, partial(self._room_ended, client, name))
        try:
            member = await enter(room, client, identity, line)
        except BaseException:
            self._rooms.release(name)
            raise
        if member is None:
            self._rooms.release(name)
            return None
        line.connect(member)
        client.lines[name] = line
        client.socket.meter.enter(self._admission.budgets.of_room(name))
        if not client.connected:  # it has disconnected while the room was being loaded
            self.leave(client, name, may_return=False)
            return member
        try:
            member.identity = self._admission.recheck(client.grant, name, identity)
        except CollabError:
            self.leave(client, name, may_return=False)
            raise
        self._manager.basic_enter_room(client.sid, "/", name)
        self.record(client)
        log.info("joined", extra={"sid": client.sid, "room": name})
        return member

    def leave(self, client: Client, name: str, *, may_return: bool) -> None:
        """Remove the client from a room that it is in; its views are kept if it ``may_return``."""
        line = client.lines.pop(name)
        member = line.member
        line.close()
        client.socket.meter.leave(self._admission.budgets.of_room(name))
        member.room.texts.leave(member, may_return=may_return)
        self._manager.basic_leave_room(client.sid, "/", name)
        self._rooms.release(name)
        self.record(client)

    def _room_ended(self, client: Client, name: str) -> None:
        self.remove(client, name, RoomClosed(name))

    def remove(self, client: Client, name: str, problem: CollabError) -> None:
        """Remove the client from a room that it is in, and send it the ``error`` that says why."""
        self.leave(client, name, may_return=False)
        render = client.socket.server.render_error(problem)
        client.socket.outbox.put_slot(f"closed {name}", render)

    def expel(self, client: Client, name: str, problem: CollabError) -> None:
        """Remove the client from a room, if it is in there, and drop its views there."""
        if name in client.lines:
            self.remove(client, name, problem)
            log.info("removed", extra={"sid": client.sid, "room": name})
        if room := self._rooms.loaded(name):
            room.texts.forget(client.sid)


def _log_absence(client: Client, name: str, problem: CollabError) -> None:
    """Log why a client is not back in a room: it gets the error when it joins or changes."""
    extra = {"sid": client.sid, "room": name, "reason": problem.code}
    log.info("not back in a room", extra=extra)


async def _as_new(room: Room, client: Client, identity: Identity, line: Line) -> TextMember:
    """Make a client a new member."""
    return room.enter(client.sid, identity, line, client.habit)


async def _as_it_was(
    sid: str, room: Room, client: Client, identity: Identity, line: Line
) -> TextMember | None:
    """Make a client the member that it was on this node as ``sid``."""
    return room.reconnect(sid, client.sid, identity, line)


async def _as_elsewhere(
    left: Departed, room: Room, client: Client, identity: Identity, line: Line
) -> TextMember | None:
    """Make a client the member that it was on another node, which it has ``left``."""
    return await room.restore(left, client.sid, identity, line, client.habit)
