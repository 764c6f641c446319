"""Door one: what the events of the whole-text contract do."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from engineio import packet as eio

from collab.config import Config
from collab.errors import NotJoined, RateLimited, RoomClosed, TooManyRooms
from collab.metrics import Metrics
from collab.names import check_code, check_fields, check_room, clean_name
from collab.pace import Pace
from collab.rooms.policy import MayWrite, everybody
from collab.rooms.registry import Rooms
from collab.rooms.room import Room, TextMember
from collab.sio.engine import EngineSocket
from collab.sio.outbox import Render
from collab.sio.server import Reply, Server, event_words

log = logging.getLogger(__name__)

SUBJECT = ""
"""Whose views a leaving member's are, where connections carry no token: anybody's in the room."""


@lru_cache(maxsize=32)
def _receive_words(text: str) -> str:
    """Encode a ``receive`` once for all who get it; the cache need only span one fan-out."""
    return event_words("receive", {"type": "receive", "code": text})


class _Line:
    """The way to one member of one room, through its connection's outbox."""

    __slots__ = (
        "_gone",
        "_metrics",
        "_presence",
        "_receive",
        "_room",
        "_socket",
        "member",
    )

    member: TextMember

    def __init__(self, room: Room, socket: EngineSocket, metrics: Metrics) -> None:
        self._gone = False
        self._room = room
        self._socket = socket
        self._metrics = metrics
        self._receive = f"receive {room.name}"
        self._presence = f"presence {room.name}"

    def receive_due(self) -> None:
        self._due(self._receive, self._render_receive)

    def presence_due(self) -> None:
        self._due(self._presence, self._render_presence)

    def _due(self, slot: str, render: Render) -> None:
        if not self._gone:
            self._socket.outbox.put_slot(slot, render)

    def close(self) -> None:
        """Let nothing more be written for a member that has left."""
        self._gone = True
        for slot in (self._receive, self._presence):
            self._socket.outbox.drop_slot(slot)
        del self.member  # it refers to this line and holds texts: no cycle for the collector

    def _render_receive(self) -> list[eio.Packet]:
        text = self.member.receive()
        if text is None:
            return []
        self._metrics.receives.inc()
        mark, pong = self._socket.ping_packet, self.member.pong
        return [mark(pong), eio.Packet(eio.MESSAGE, _receive_words(text)), mark(pong)]

    def _render_presence(self) -> list[eio.Packet]:
        people = [person.payload() for person in self._room.people()]
        words = event_words("presence", {"room": self._room.name, "members": people})
        return [eio.Packet(eio.MESSAGE, words)]


@dataclass(slots=True)
class _Client:
    """One Socket.IO connection."""

    sid: str
    socket: EngineSocket
    name: str
    pace: Pace
    members: dict[str, TextMember] = field(default_factory=dict)
    lines: dict[str, _Line] = field(default_factory=dict)


class TextDoor:
    """Answers join, change, leave, connect and disconnect."""

    def __init__(self, server: Server, rooms: Rooms, config: Config, metrics: Metrics) -> None:
        self._server = server
        self._rooms = rooms
        self._config = config
        self._metrics = metrics
        self.may_write: MayWrite = everybody
        self._clients: dict[str, _Client] = {}
        self._clock = asyncio.get_running_loop().time
        server.on("connect", self._connect)
        server.on("disconnect", self._disconnect)
        rooms.on_end.append(self._ended)
        server.events.update(join=self._join, change=self._change, leave=self._leave)

    async def _connect(self, sid: str, environ: dict[str, Any], auth: Any) -> None:
        given = auth.get("name") if isinstance(auth, dict) else None
        config = self._config
        self._clients[sid] = _Client(
            sid,
            self._server.socket(sid),
            clean_name(given, f"guest-{sid[:4]}"),
            Pace(config.max_changes_per_second, config.max_slowed),
        )
        self._metrics.connections.labels("text").inc()
        log.info("connected", extra={"sid": sid})

    async def _disconnect(self, sid: str, reason: str) -> None:
        client = self._clients.pop(sid, None)
        if client is None:
            return
        for room in list(client.members):
            self._part(client, room, may_return=True)
        self._metrics.connections.labels("text").dec()
        log.info("disconnected", extra={"sid": sid, "reason": reason})

    async def _join(self, sid: str, payload: Any) -> Reply:
        client = await self._admit(sid)
        name = check_room(check_fields(payload).get("room"), self._config.max_room_name)
        member = client.members.get(name)
        if member is None:
            await self._enter(client, name, None)
        else:
            member.room.greet(member)
        return {"ok": True, "room": name, "node": self._config.node_id}

    async def _change(self, sid: str, payload: Any) -> asyncio.Future[Reply]:
        client = await self._admit(sid)
        fields = check_fields(payload)
        name = check_room(fields.get("room"), self._config.max_room_name)
        code = check_code(fields.get("code"), self._config.max_code_bytes)
        member = client.members.get(name)
        if member is None:
            member = await self._enter(client, name, code)
        elif not member.recognised:
            await member.room.recognise(member, code)
        return _reply_when(member.room.change(member, code))

    async def _leave(self, sid: str, payload: Any) -> Reply:
        client = await self._admit(sid)
        name = check_room(check_fields(payload).get("room"), self._config.max_room_name)
        if name not in client.members:
            raise NotJoined("the client is not in that room")
        self._part(client, name, may_return=True)
        log.info("left", extra={"sid": sid, "room": name})
        return {"ok": True, "room": name}

    async def _admit(self, sid: str) -> _Client:
        """Return the client, held back if it goes too fast. Raises RateLimited."""
        client = self._clients[sid]
        delay = client.pace.wait(self._clock())
        if delay is None:
            raise RateLimited(
                f"{self._config.max_changes_per_second} events a second are the most; wait a little"
            )
        if delay:
            self._metrics.slowed.inc()
            await asyncio.sleep(delay)
        return client

    async def _enter(self, client: _Client, name: str, code: str | None) -> TextMember:
        """Make the client a member: one that joins, or one that comes back showing ``code``."""
        if len(client.members) >= self._config.max_rooms_per_connection:
            raise TooManyRooms("the connection is in as many rooms as it may be in")
        room = await self._rooms.hold(name)
        try:
            line = _Line(room, client.socket, self._metrics)
            if code is None:
                member = room.join(client.sid, client.name, SUBJECT, line)
            else:
                member = await room.come_back(client.sid, client.name, SUBJECT, line, code)
        except BaseException:
            self._rooms.release(name)
            raise
        line.member = member
        member.may_write = self.may_write(name, client.name)
        client.members[name], client.lines[name] = member, line
        if client.sid not in self._clients:  # it went away while the room was being loaded
            self._part(client, name, may_return=False)
        else:
            self._server.manager.basic_enter_room(client.sid, "/", name)
            log.info("joined", extra={"sid": client.sid, "room": name})
        return member

    def _ended(self, room: Room) -> None:
        """Tell the members of a room that somebody has ended, and let them go."""
        for client in self._clients.values():
            member = client.members.get(room.name)
            if member is not None and member.room is room:
                self._part(client, room.name, may_return=False)
                closed = self._server.eio.render_error(RoomClosed(room.name))
                client.socket.put_slot(f"closed {room.name}", closed)

    def _part(self, client: _Client, name: str, *, may_return: bool) -> None:
        member = client.members.pop(name)
        client.lines.pop(name).close()
        member.room.leave(member, may_return=may_return)
        self._server.manager.basic_leave_room(client.sid, "/", name)
        self._rooms.release(name)


def _reply_when(committed: asyncio.Future[None]) -> asyncio.Future[Reply]:
    """Return a Future of the acknowledgement of a change that is being committed."""
    reply: asyncio.Future[Reply] = committed.get_loop().create_future()

    def answer(done: asyncio.Future[None]) -> None:
        if done.cancelled() or reply.done():
            reply.cancel()
        elif problem := done.exception():
            reply.set_exception(problem)
            reply.exception()  # a client that asked for no acknowledgement looks at none
        else:
            reply.set_result({"ok": True})

    committed.add_done_callback(answer)
    return reply
