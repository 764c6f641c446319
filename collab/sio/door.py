"""Door one: what the events of the whole-text contract do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

from engineio import packet as eio

from collab.config import Config
from collab.errors import CollabError, NotJoined, RateLimited, RoomClosed, TooManyRooms
from collab.merge.lateness import Habit
from collab.merge.pings import Pong
from collab.merge.turns import Turns
from collab.metrics import Metrics
from collab.names import check_code, check_fields, check_room, clean_name
from collab.pace import Pace
from collab.rooms.handover import Departed, digest
from collab.rooms.policy import MayWrite, everybody
from collab.rooms.registry import Rooms
from collab.rooms.room import Room
from collab.rooms.text_members import TextMember
from collab.sio.engine_socket import EngineSocket
from collab.sio.returns import Absent, Returns, may_be_pid, new_pid
from collab.sio.server import Reply, Server, event_words
from collab.store.questions import Questions
from collab.store.store import Store
from collab.store.subscriber import Subscriber
from collab.wire.outbox import Render

log = logging.getLogger(__name__)

MAX_SITES = 256
"""Sites, by their origin, whose pages' habits a node remembers."""


@lru_cache(maxsize=32)
def _receive_words(text: str) -> str:
    """Encode a ``receive`` once for all who get it; the cache need only span one fan-out."""
    return event_words("receive", {"type": "receive", "code": text})


class _Line:
    """The way to one member of one room, through its connection's outbox."""

    __slots__ = (
        "_gone",
        "_mark",
        "_metrics",
        "_presence",
        "_receive",
        "_room",
        "_socket",
        "_timer",
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
        self._mark = f"mark {room.name}"
        self._timer: asyncio.TimerHandle | None = None

    def mark_due(self) -> None:
        """A mark is to be written: its PONG says that the client has sent what it kept."""
        self._due(self._mark, self._render_mark)

    def receive_due(self) -> None:
        self._due(self._receive, self._render_receive)

    def receive_due_in(self, seconds: float) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(seconds, self._time_is_up)

    def _time_is_up(self) -> None:
        self._timer = None
        self.receive_due()

    def presence_due(self) -> None:
        self._due(self._presence, self._render_presence)

    def _due(self, slot: str, render: Render[eio.Packet]) -> None:
        if not self._gone:
            self._socket.outbox.put_slot(slot, render)

    def close(self) -> None:
        """Let nothing more be written for a member that has left."""
        self._gone = True
        if self._timer is not None:
            self._timer.cancel()
        for slot in (self._mark, self._receive, self._presence):
            self._socket.outbox.drop_slot(slot)
        del self.member  # it refers to this line and holds texts: no cycle for the collector

    def _render_mark(self) -> list[eio.Packet]:
        return [self._socket.ping_packet(self.member.peer.pong)]

    def _render_receive(self) -> list[eio.Packet]:
        receive = self.member.next_receive()
        if receive is None:
            return []
        self._metrics.receives.inc()
        ping = self._socket.ping_packet
        words = _receive_words(receive.text)
        return [ping(receive.before), eio.Packet(eio.MESSAGE, words), ping(receive.behind)]

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
    habit: Habit
    turns: Turns
    pid: str = ""
    members: dict[str, TextMember] = field(default_factory=dict)
    lines: dict[str, _Line] = field(default_factory=dict)


Admit = Callable[[Room, _Client, _Line], Awaitable[TextMember | None]]
"""Makes a client a member of a room that is loaded; None if it cannot be what it was there."""


class TextDoor:
    """Answers join, change, leave, connect and disconnect."""

    def __init__(
        self, server: Server, rooms: Rooms, store: Store, subscriber: Subscriber,
        questions: Questions, config: Config, metrics: Metrics,
    ) -> None:  # fmt: skip
        self._server = server
        self._rooms = rooms
        self._config = config
        self._metrics = metrics
        self.may_write: MayWrite = everybody
        self.returns = Returns(rooms, store, subscriber, questions, self._let_go)
        self._clients: dict[str, _Client] = {}
        self._sids: dict[str, str] = {}  # by the digest of the pid
        self._habit_of = lru_cache(MAX_SITES)(lambda site: Habit())
        self._clock = asyncio.get_running_loop().time
        server.on("connect", self._connect)
        server.on("disconnect", self._disconnect)
        server.pid_of = self._pid_of
        server.on_connected = self._connected
        server.on_acknowledge = self._acknowledge
        rooms.on_end.append(self._ended)
        server.events.update(join=self._join, change=self._change, leave=self._leave)

    # Connections

    async def _connect(self, sid: str, environ: dict[str, Any], auth: Any) -> None:
        shown = auth if isinstance(auth, dict) else {}
        config = self._config
        socket = self._server.socket(sid)
        client = _Client(
            sid,
            socket,
            clean_name(shown.get("name"), f"guest-{sid[:4]}"),
            Pace(config.max_changes_per_second, config.max_slowed),
            self._habit_of(environ.get("HTTP_ORIGIN", "")),
            Turns(self._clock, socket.ping_soon, lambda: self._idle(sid)),
        )
        self._clients[sid] = client
        self._metrics.connections.labels("text").inc()
        pid = shown.get("pid")
        known = may_be_pid(pid) and await self._come_back(client, pid)
        client.pid = str(pid) if known else new_pid()
        if sid in self._clients:
            self._sids[digest(client.pid)] = sid
        log.info("connected", extra={"sid": sid, "known": known})

    async def _come_back(self, client: _Client, pid: str) -> bool:
        """Let a client be the member that it was in its rooms; return whether it is in all."""
        found = await self.returns.find(pid)
        if found is None:
            return False
        if isinstance(found, Absent):
            sid = found.sid
            admissions = [(name, partial(_as_it_was, sid)) for name in found.rooms]
        else:
            admissions = [(left.room, partial(_as_elsewhere, left)) for left in found]
        entered = [await self._try_to_enter(client, name, admit) for name, admit in admissions]
        return all(entered)

    async def _try_to_enter(self, client: _Client, name: str, admit: Admit) -> bool:
        try:
            return await self._enter(client, name, admit) is not None
        except CollabError as problem:  # it will be told when it asks for the room
            extra = {"sid": client.sid, "room": name, "reason": problem.code}
            log.info("not back in a room", extra=extra)
            return False

    def _pid_of(self, sid: str) -> str:
        client = self._clients.get(sid)
        return client.pid if client is not None else ""

    def _connected(self, sid: str) -> None:
        """The answer to CONNECT is on its way: what the client has kept comes before its PONG."""
        if client := self._clients.get(sid):
            for line in client.lines.values():
                line.mark_due()

    async def _let_go(self, member: str) -> None:
        """End the connection of a client that comes back on another one."""
        client = self._clients.get(self._sids.get(member, ""))
        if client is not None:
            reason = self._server.reason.TRANSPORT_ERROR
            await client.socket.close(wait=False, abort=True, reason=reason)

    async def _disconnect(self, sid: str, reason: str) -> None:
        client = self._clients.pop(sid, None)
        if client is None:
            return
        if client.pid:
            del self._sids[digest(client.pid)]
            self.returns.gone(client.pid, sid, list(client.members))
        for room in list(client.members):
            self._part(client, room, may_return=True)
        if client.pid and self._server.eio.draining:
            self.returns.leave_in_redis(client.pid)
        self._metrics.connections.labels("text").dec()
        log.info("disconnected", extra={"sid": sid, "reason": reason})

    # Events

    async def _join(self, sid: str, payload: Any) -> Reply:
        self._clients[sid].turns.event()
        client = await self._admit(sid)
        name = check_room(check_fields(payload).get("room"), self._config.max_room_name)
        member = await self._member(client, name)
        member.room.texts.greet(member)
        return {"ok": True, "room": name, "node": self._config.node_id}

    async def _change(self, sid: str, payload: Any) -> asyncio.Future[Reply]:
        client = self._clients[sid]
        turn = client.turns.event()
        await self._admit(sid)
        fields = check_fields(payload)
        name = check_room(fields.get("room"), self._config.max_room_name)
        code = check_code(fields.get("code"), self._config.max_code_bytes)
        member = await self._member(client, name)
        await member.room.texts.recognise(member, code)
        return _reply_when(member.room.change(member, code, turn))

    def _idle(self, sid: str) -> None:
        if client := self._clients.get(sid):
            for member in client.members.values():
                member.peer.idle()

    def _acknowledge(self, sid: str) -> Pong | None:
        client = self._clients.get(sid)
        return client.turns.acknowledging() if client is not None else None

    async def _leave(self, sid: str, payload: Any) -> Reply:
        self._clients[sid].turns.event()
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

    async def _enter(self, client: _Client, name: str, admit: Admit) -> TextMember | None:
        """Make the client a member of a room; None if ``admit`` does."""
        if len(client.members) >= self._config.max_rooms_per_connection:
            raise TooManyRooms("the connection is in as many rooms as it may be in")
        room = await self._rooms.hold(name)
        line = _Line(room, client.socket, self._metrics)
        try:
            member = await admit(room, client, line)
        except BaseException:
            self._rooms.release(name)
            raise
        if member is None:
            self._rooms.release(name)
            return None
        line.member = member
        member.may_write = self.may_write(name, client.name)
        client.members[name], client.lines[name] = member, line
        if client.sid not in self._clients:  # it went away while the room was being loaded
            self._part(client, name, may_return=False)
        else:
            self._server.manager.basic_enter_room(client.sid, "/", name)
            log.info("joined", extra={"sid": client.sid, "room": name})
        return member

    async def _member(self, client: _Client, name: str) -> TextMember:
        """Return the member that the client is in a room, or becomes now."""
        member = client.members.get(name) or await self._enter(client, name, _as_new)
        assert member is not None
        return member

    def _ended(self, room: Room) -> None:
        """Tell the members of a room that somebody has ended, and let them go."""
        for client in self._clients.values():
            member = client.members.get(room.name)
            if member is not None and member.room is room:
                self._part(client, room.name, may_return=False)
                closed = self._server.eio.render_error(RoomClosed(room.name))
                client.socket.outbox.put_slot(f"closed {room.name}", closed)

    def _part(self, client: _Client, name: str, *, may_return: bool) -> None:
        member = client.members.pop(name)
        client.lines.pop(name).close()
        member.room.leave(member, may_return=may_return)
        self._server.manager.basic_leave_room(client.sid, "/", name)
        self._rooms.release(name)


async def _as_new(room: Room, client: _Client, line: _Line) -> TextMember:
    return room.enter(client.sid, client.name, line, client.habit)


async def _as_it_was(sid: str, room: Room, client: _Client, line: _Line) -> TextMember | None:
    return room.come_back(sid, client.sid, client.name, line)


async def _as_elsewhere(
    left: Departed, room: Room, client: _Client, line: _Line
) -> TextMember | None:
    return await room.take_over(left, client.sid, client.name, line, client.habit)


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
