"""The Socket.IO endpoint: the handlers of the events of the whole-text contract."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any

from aiohttp import web
from engineio import packet as eio

from collab.access.expiry import Expiry
from collab.access.grant import Grant
from collab.admission import Admission
from collab.config import Config
from collab.errors import (
    CollabError,
    NotJoined,
    RateLimited,
    RoomClosed,
    RoomNotAllowed,
    TooManyRooms,
    Unauthorized,
)
from collab.merge.lateness import Habit
from collab.merge.pings import OnPong
from collab.merge.turns import Turns
from collab.metrics import Metrics
from collab.names import check_code, check_fields, check_room
from collab.rooms.handover import digest
from collab.rooms.identity import Identity
from collab.rooms.registry import Rooms
from collab.rooms.text_members import TextMember
from collab.sio.client import Client, Line
from collab.sio.entering import Enter, as_elsewhere, as_it_was, as_new
from collab.sio.manager import RoomManager
from collab.sio.returns import Absent, Returns, may_be_pid, new_pid
from collab.sio.server import Handler, Reply, Server, encode_event
from collab.store.questions import Questions
from collab.store.store import Store
from collab.store.subscriber import Subscriber

log = logging.getLogger(__name__)

MAX_SITES = 256
"""The number of origins for which a node remembers the habits of their pages."""


class SocketIOEndpoint:
    """Handles join, change, leave, connect and disconnect."""

    def __init__(
        self, config: Config, metrics: Metrics, admission: Admission, rooms: Rooms,
        manager: RoomManager, store: Store, subscriber: Subscriber, questions: Questions,
    ) -> None:  # fmt: skip
        self._config = config
        self._metrics = metrics
        self._admission = admission
        self._rooms = rooms
        self._manager = manager
        self._returns = Returns(
            rooms, admission.rulings.holders, store, subscriber, questions, self._end_connection_of
        )
        self._clients: dict[str, Client] = {}
        self._sids: dict[str, str] = {}  # by the digest of the pid
        self._letting_go: set[asyncio.Task[None]] = set()
        self._habit_of = lru_cache(MAX_SITES)(lambda site: Habit())
        self._clock = asyncio.get_running_loop().time
        self.events: Mapping[str, Handler] = {
            "join": self._join,
            "change": self._change,
            "leave": self._leave,
            "token": self._token,
        }
        # A necessary cycle: the server calls this endpoint, which writes to the server's clients.
        self._server = Server(config, metrics, admission, manager, self)

    async def open(self) -> None:
        """Begin to answer nodes that ask for a client which was here. Raises StoreUnavailable."""
        await self._returns.open()

    async def close(self) -> None:
        """End all sessions, and stop answering other nodes."""
        await self._returns.close()
        await self._server.shutdown()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Handle one Engine.IO request."""
        response: web.StreamResponse = await self._server.handle_request(request)
        return response

    async def flush(self) -> None:
        """Wait until Redis has the state of all clients that were moved off."""
        await self._returns.flush()

    # Connections

    async def connect(self, sid: str, environ: dict[str, Any], auth: Any) -> None:
        """Add a client; restore its members if it has been connected before.

        Raises CollabError if the client is refused.
        """
        shown = auth if isinstance(auth, dict) else {}
        config = self._config
        socket = self._server.socket(sid)
        grant = await self._admission.identify(
            sid, shown.get("token"), shown.get("name"), socket.address
        )
        if socket.closed:
            return
        if grant.owner:
            self._admission.budgets.set_subject(socket.meter, grant.owner)
        client = Client(
            sid,
            socket,
            grant,
            socket.meter.pace("events", config.max_slowed),
            self._habit_of(environ.get("HTTP_ORIGIN", "")),
            Turns(self._clock, socket.ping_soon, lambda: self._idle(sid)),
            Expiry(partial(self._expiring, sid), partial(self._expired, sid)),
            partial(self._let_go_soon, sid),
            partial(self._expel, sid),
        )
        self._clients[sid] = client
        self._admission.rulings.holders.add(client)
        self._metrics.connections.labels("text").inc()
        pid = shown.get("pid")
        known = may_be_pid(pid) and await self._come_back(client, digest(pid, grant.owner))
        try:
            self._admission.rulings.check_known(grant)
        except Unauthorized:
            await self.disconnect(sid, self._server.reason.SERVER_DISCONNECT)
            raise
        client.pid = str(pid) if known else new_pid()
        client.member = digest(client.pid, grant.owner)
        if sid in self._clients:
            self._sids[client.member] = sid
        log.info("connected", extra={"sid": sid, "known": known})

    async def _come_back(self, client: Client, member: str) -> bool:
        """Restore a client's member in each of its rooms; return whether all were restored."""
        found = await self._returns.find(member)
        if found is None:
            return False
        if isinstance(found, Absent):
            sid = found.sid
            entries = [(name, partial(as_it_was, sid)) for name in found.rooms]
        else:
            entries = [(left.room, partial(as_elsewhere, left)) for left in found]
        entered = [await self._try_to_enter(client, name, enter) for name, enter in entries]
        return all(entered)

    async def _try_to_enter(self, client: Client, name: str, enter: Enter) -> bool:
        try:
            return await self._enter(client, name, enter) is not None
        except CollabError as problem:  # the client gets the error when it joins or changes
            extra = {"sid": client.sid, "room": name, "reason": problem.code}
            log.info("not back in a room", extra=extra)
            return False

    def pid_of(self, sid: str) -> str:
        """Return the pid that the answer to CONNECT carries."""
        client = self._clients.get(sid)
        return client.pid if client is not None else ""

    def connected(self, sid: str) -> None:
        """Send marks behind the answer to CONNECT: kept changes arrive before their PONGs."""
        if client := self._clients.get(sid):
            for line in client.lines.values():
                line.mark_due()
            client.expiry.watch(client.grant)

    async def _end_connection_of(self, member: str) -> None:
        """End the old connection of a client that has connected again."""
        client = self._clients.get(self._sids.get(member, ""))
        if client is not None:
            await client.socket.end(self._server.reason.TRANSPORT_ERROR)

    async def disconnect(self, sid: str, reason: str) -> None:
        """Remove a client, and keep its state: it may connect again."""
        client = self._clients.pop(sid, None)
        if client is None:
            return
        client.expiry.close()
        self._admission.rulings.holders.discard(client)
        if client.pid:
            del self._sids[client.member]
            self._returns.remember(client.member, sid, client.grant, client.lines)
        for room in list(client.lines):
            self._part(client, room, may_return=True)
        if client.pid and self._admission.draining:
            self._returns.store_soon(client.member)
        self._metrics.connections.labels("text").dec()
        log.info("disconnected", extra={"sid": sid, "reason": reason})

    # Tokens

    async def _token(self, sid: str, payload: Any) -> Reply:
        """Go on with a new token; in each of its rooms the client has the role that it grants."""
        self._clients[sid].turns.handle_event()
        client = await self._paced(sid)
        grant = await self._admission.renew(client.grant, check_fields(payload).get("token"))
        names = list(client.lines)
        admitted = await asyncio.gather(*(self._try_to_admit(grant, name) for name in names))
        if sid in self._clients:
            client.grant = grant
            client.expiry.watch(grant)
            for name, identity in zip(names, admitted, strict=True):
                if (line := client.lines.get(name)) is None:
                    continue  # it was removed, or the room was ended, meanwhile
                if isinstance(identity, RoomNotAllowed):
                    self._remove(client, name, identity)
                else:
                    line.member.identity = identity
        return {"ok": True, "expires": grant.expires}

    async def _try_to_admit(self, grant: Grant, name: str) -> Identity | RoomNotAllowed:
        try:
            return await self._admission.admit(grant, name)
        except RoomNotAllowed as problem:
            return problem

    def _expiring(self, sid: str, left: float) -> None:
        """Tell a client that its token expires in ``left`` seconds."""
        event = encode_event("expiring", {"expires_in": round(left)})
        packet = eio.Packet(eio.MESSAGE, event)
        self._clients[sid].socket.outbox.put_slot("expiring", lambda: [packet])

    def _expired(self, sid: str) -> None:
        expired = Unauthorized("the token has expired", "token_expired")
        self._let_go_soon(sid, expired, may_return=True)

    def _let_go_soon(self, sid: str, problem: CollabError, *, may_return: bool) -> None:
        """Disconnect a client, and say why; its views are kept if it ``may_return``."""
        client = self._clients[sid]
        if not may_return:
            for name in list(client.lines):
                self._part(client, name, may_return=False)
        if not client.pid:
            return  # `connect` refuses it
        ending = asyncio.create_task(self._let_go(client, problem))
        self._letting_go.add(ending)
        ending.add_done_callback(self._letting_go.discard)

    async def _let_go(self, client: Client, problem: CollabError) -> None:
        await self._server.eio.send_error(client.socket, problem)
        if problem.retryable:  # socket.io-client connects again if the transport ends
            await client.socket.end(self._server.reason.TRANSPORT_CLOSE)
        else:
            await self._server.disconnect(client.sid, ignore_queue=True)

    def _expel(self, sid: str, name: str, problem: CollabError) -> None:
        """Remove a client from a room, if it is in there, and drop its views there."""
        client = self._clients[sid]
        if name in client.lines:
            self._remove(client, name, problem)
            log.info("removed", extra={"sid": sid, "room": name})
        if room := self._rooms.loaded(name):
            room.texts.forget(sid)

    # Events

    async def _join(self, sid: str, payload: Any) -> Reply:
        self._clients[sid].turns.handle_event()
        client = await self._paced(sid)
        name = check_room(check_fields(payload).get("room"), self._config.max_room_name)
        member = await self._member(client, name)
        member.room.texts.greet(member)
        return {"ok": True, "room": name, "node": self._config.node_id}

    async def _change(self, sid: str, payload: Any) -> asyncio.Future[Reply]:
        turn = self._clients[sid].turns.handle_event()
        client = await self._paced(sid)
        fields = check_fields(payload)
        name = check_room(fields.get("room"), self._config.max_room_name)
        code = check_code(fields.get("code"), self._config.max_code_bytes)
        member = await self._member(client, name)
        await member.room.wait_for_quota(member.identity)
        await member.room.texts.recognise(member, code)
        if name not in client.lines:  # it has disconnected meanwhile, or was removed
            self._admission.recheck(client.grant, name, member.identity)
        return _reply_when(member.room.change(member, code, turn))

    def _idle(self, sid: str) -> None:
        if client := self._clients.get(sid):
            for line in client.lines.values():
                line.member.peer.handle_idle()

    def acknowledging(self, sid: str) -> OnPong | None:
        """Return what to call at the PONG of a PING before an acknowledgement, if there is any."""
        client = self._clients.get(sid)
        return client.turns.before_acknowledgement() if client is not None else None

    async def _leave(self, sid: str, payload: Any) -> Reply:
        self._clients[sid].turns.handle_event()
        client = await self._paced(sid)
        name = check_room(check_fields(payload).get("room"), self._config.max_room_name)
        if name not in client.lines:
            raise NotJoined("the client is not in that room")
        self._part(client, name, may_return=True)
        log.info("left", extra={"sid": sid, "room": name})
        return {"ok": True, "room": name}

    async def _paced(self, sid: str) -> Client:
        """Return the client, after a delay if it sends too fast.

        Raises RateLimited, or Unauthorized if its token has expired.
        """
        client = self._clients[sid]
        delay = client.pace.wait(self._clock())
        if delay is None:
            raise RateLimited(
                f"at most {self._config.max_changes_per_second} events a second are allowed"
            )
        if delay:
            self._metrics.slowed.inc()
            await asyncio.sleep(delay)
        client.grant.check()
        return client

    async def _enter(self, client: Client, name: str, enter: Enter) -> TextMember | None:
        """Make the client a member of a room; return None if ``enter`` does."""
        if len(client.lines) >= self._config.max_rooms_per_connection:
            raise TooManyRooms("the connection is in as many rooms as it may be in")
        identity = await self._admission.admit(client.grant, name)
        room = await self._rooms.acquire(name, identity)
        line = Line(
            room, client.socket, self._metrics, lambda: self._remove(client, name, RoomClosed(name))
        )
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
        if (
            client.sid not in self._clients
        ):  # the client disconnected while the room was being loaded
            self._part(client, name, may_return=False)
        else:
            try:
                member.identity = self._admission.recheck(client.grant, name, identity)
            except CollabError:
                self._part(client, name, may_return=False)
                raise
            self._manager.basic_enter_room(client.sid, "/", name)
            log.info("joined", extra={"sid": client.sid, "room": name})
        return member

    async def _member(self, client: Client, name: str) -> TextMember:
        """Return the client's member in a room; the client joins if it has none."""
        if line := client.lines.get(name):
            return line.member
        member = await self._enter(client, name, as_new)
        assert member is not None
        return member

    def _remove(self, client: Client, name: str, problem: CollabError) -> None:
        """Remove the client from a room, and send it the ``error`` that says why."""
        self._part(client, name, may_return=False)
        render = self._server.eio.render_error(problem)
        client.socket.outbox.put_slot(f"closed {name}", render)

    def _part(self, client: Client, name: str, *, may_return: bool) -> None:
        line = client.lines.pop(name)
        member = line.member
        line.close()
        member.room.leave(member, may_return=may_return)
        self._manager.basic_leave_room(client.sid, "/", name)
        self._rooms.release(name)


def _reply_when(committed: asyncio.Future[None]) -> asyncio.Future[Reply]:
    """Return a Future of a change's acknowledgement, given the Future of its commit."""
    reply: asyncio.Future[Reply] = committed.get_loop().create_future()

    def answer(done: asyncio.Future[None]) -> None:
        if done.cancelled() or reply.done():
            reply.cancel()
        elif problem := done.exception():
            reply.set_exception(problem)
            reply.exception()  # nobody reads it if the client wants no acknowledgement
        else:
            reply.set_result({"ok": True})

    committed.add_done_callback(answer)
    return reply
