"""The Socket.IO endpoint: the handlers of the events of the whole-text contract."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from functools import lru_cache, partial
from typing import Any

from aiohttp import web

from collab.admission import Admission
from collab.config import Config
from collab.errors import CollabError, NotJoined, RateLimited, Unauthorized
from collab.merge.lateness import Habit
from collab.merge.pings import OnPong
from collab.merge.turns import Turn, Turns
from collab.metrics import Metrics
from collab.names import check_code, check_fields, check_room
from collab.rooms.handover import digest
from collab.rooms.registry import Rooms
from collab.sio.client import Client
from collab.sio.grants import Grants
from collab.sio.manager import RoomManager
from collab.sio.memberships import Memberships
from collab.sio.returns import Returns, may_be_pid, new_pid
from collab.sio.room_records import RoomRecords
from collab.sio.server import Handler, LaterReply, Reply, Server
from collab.store.questions import Questions
from collab.store.store import Store
from collab.store.subscriber import Subscriber

log = logging.getLogger(__name__)

JOIN_TIMEOUT = 2.0
"""Seconds after its connection in which a page joins that comes back: it does so at once, and the
slowest links need a second for a round trip."""
MAX_SITES = 256
"""The number of origins for which a node remembers the habits of their pages."""


class SocketIOEndpoint:
    """Handles join, change, leave and token, and clients that connect and disconnect."""

    def __init__(
        self, config: Config, metrics: Metrics, admission: Admission, rooms: Rooms,
        manager: RoomManager, store: Store, subscriber: Subscriber, questions: Questions,
    ) -> None:  # fmt: skip
        self._config = config
        self._metrics = metrics
        self._admission = admission
        self._records = RoomRecords(store, self._all_rooms)
        self._memberships = Memberships(config, metrics, admission, rooms, manager, self._records)
        self._returns = Returns(
            rooms, admission.rulings.holders, store, subscriber, questions, self._records,
            self._end_connection_of,
        )  # fmt: skip
        self._clients: dict[str, Client] = {}
        self._sids: dict[str, str] = {}  # by the digest of the pid
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
        self._grants = Grants(self._clients, admission, self._memberships, self._server)

    async def open(self) -> None:
        """Begin to answer nodes that ask for a client which was here. Raises StoreUnavailable."""
        await self._returns.open()
        self._records.open()

    async def close(self) -> None:
        """End all sessions, and stop answering other nodes."""
        await self._returns.close()
        await self._server.shutdown()
        await self._records.close()

    def _all_rooms(self) -> list[tuple[str, Iterable[str]]]:
        """Return the digest of each client that is in rooms, and these."""
        clients = self._clients.values()
        return [
            (client.member, client.lines) for client in clients if client.member and client.lines
        ]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Handle one Engine.IO request."""
        response: web.StreamResponse = await self._server.handle_request(request)
        return response

    async def flush(self) -> None:
        """Wait until Redis has the state of all clients that were moved off."""
        await self._returns.flush()

    async def hear_claims(self) -> None:
        """Return when clients are gone for which other nodes have asked until now."""
        await self._returns.hear_claims()

    # Connections

    async def connect(self, sid: str, environ: dict[str, Any], auth: Any) -> None:
        """Add a client; restore its members if it has been connected before.

        Raises CollabError if the client is refused.
        """
        shown = auth if isinstance(auth, dict) else {}
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
            socket.meter.pace("events", self._config.max_slowed),
            self._habit_of(environ.get("HTTP_ORIGIN", "")),
            Turns(self._clock, socket.ping_soon, partial(self._idle, sid)),
            self._grants,
        )
        self._clients[sid] = client
        self._admission.rulings.holders.add(client)
        self._metrics.connections.labels("text").inc()
        pid = shown.get("pid")
        former = digest(pid, grant.owner) if may_be_pid(pid) else ""
        known = bool(former) and await self._restore(client, former)
        kind = "new" if pid is None else "restored" if known else "unknown"
        self._metrics.connects.labels("text", kind).inc()
        try:
            self._admission.rulings.check_known(grant)
        except Unauthorized:
            await self.disconnect(sid, self._server.reason.SERVER_DISCONNECT)
            raise
        if kind == "unknown":
            client.held_until = self._clock() + JOIN_TIMEOUT
            if former and not await self._memberships.join_again(client, former):
                client.joining = asyncio.create_task(
                    self._memberships.join_when_redis_is_back(client, former)
                )
        client.pid = str(pid) if known else new_pid()
        client.member = digest(client.pid, grant.owner)
        if sid in self._clients:
            self._sids[client.member] = sid
        if client.lines:
            self._memberships.record(client)
        log.info("connected", extra={"sid": sid, "known": known})

    async def _restore(self, client: Client, member: str) -> bool:
        """Restore a client's member in each of its rooms; return whether all were restored."""
        found = await self._returns.find(member)
        return found is not None and await self._memberships.restore(client, found)

    def pid_of(self, sid: str) -> str:
        """Return the pid that the answer to CONNECT carries."""
        client = self._clients.get(sid)
        return client.pid if client is not None else ""

    def connected(self, sid: str) -> None:
        """Send marks behind the answer to CONNECT: kept changes arrive before their PONGs."""
        if client := self._clients.get(sid):
            for line in client.lines.values():
                line.mark_due()
            client.watch()

    def acknowledging(self, sid: str) -> OnPong | None:
        """Return what to call at the PONG of a PING before an acknowledgement, if there is any."""
        client = self._clients.get(sid)
        return client.turns.before_acknowledgement() if client is not None else None

    def _idle(self, sid: str) -> None:
        if client := self._clients.get(sid):
            for line in client.lines.values():
                line.member.peer.handle_idle()

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
        client.connected = False
        client.end_joining()
        client.end_watch()
        self._admission.rulings.holders.discard(client)
        if client.pid:
            del self._sids[client.member]
            self._returns.remember(client.member, sid, client.grant, client.lines)
        for room in list(client.lines):
            self._memberships.leave(client, room, may_return=True)
        if client.pid and self._admission.draining:
            self._returns.store_soon(client.member)
        self._metrics.connections.labels("text").dec()
        log.info("disconnected", extra={"sid": sid, "reason": reason})

    # Events

    async def _join(self, sid: str, payload: Any) -> Reply:
        client, _ = await self._begin_event(sid)
        name = self._room_in(check_fields(payload))
        member = await self._memberships.join(client, name)
        member.room.texts.greet(member)
        return {"ok": True, "room": name, "node": self._config.node_id}

    async def _change(self, sid: str, payload: Any) -> LaterReply:
        client, turn = await self._begin_event(sid)
        fields = check_fields(payload)
        name = self._room_in(fields)
        code = check_code(fields.get("code"), self._config.max_code_bytes)
        member = await self._memberships.join(client, name)
        await member.room.wait_for_quota(member.identity)
        await member.room.texts.recognise(member, code)
        if name not in client.lines:  # it has disconnected meanwhile, or was removed
            self._admission.recheck(client.grant, name, member.identity)
        member.room.texts.change(member, code, turn)
        return lambda: _reply_when(member.room.stored())

    def change_now(self, sid: str, payload: Any) -> LaterReply | None:
        """Handle a change as `_change` does, if that would neither wait nor raise an error.

        Otherwise it returns None, and has done nothing. This is the usual change: one of a known
        member, within all limits. Handled like this it costs half.
        """
        client = self._clients.get(sid)
        if client is None or not isinstance(payload, dict):
            return None
        name = payload.get("room")
        line = client.lines.get(name) if isinstance(name, str) else None
        if line is None:
            return None
        member, now = line.member, self._clock()
        room, identity = member.room, member.identity
        try:
            code = check_code(payload.get("code"), self._config.max_code_bytes)
        except CollabError:
            return None
        if not (
            client.pace.passes(now)
            and not client.grant.has_expired()
            and identity.may_write
            and room.texts.is_known(member)
            and room.may_commit(identity, now)
        ):
            return None
        client.pace.wait(now)
        room.texts.change(member, code, client.turns.handle_event())
        return lambda: _reply_when(room.stored())

    async def _leave(self, sid: str, payload: Any) -> Reply:
        client, _ = await self._begin_event(sid)
        name = self._room_in(check_fields(payload))
        if name not in client.lines:
            raise NotJoined("the client is not in that room")
        self._memberships.leave(client, name, may_return=True)
        log.info("left", extra={"sid": sid, "room": name})
        return {"ok": True, "room": name}

    async def _token(self, sid: str, payload: Any) -> Reply:
        client, _ = await self._begin_event(sid)
        grant = await self._grants.renew(client, check_fields(payload).get("token"))
        return {"ok": True, "expires": grant.expires}

    async def _begin_event(self, sid: str) -> tuple[Client, Turn]:
        """Return the client and the event's turn, after a delay if the client sends too fast.

        Raises RateLimited, or Unauthorized if the client's token has expired.
        """
        client = self._clients[sid]
        client.end_joining()
        turn = client.turns.handle_event()
        delay = client.pace.wait(self._clock())
        if delay is None:
            raise RateLimited(
                f"at most {self._config.max_changes_per_second} events a second are allowed"
            )
        if delay:
            self._metrics.slowed.inc()
            await asyncio.sleep(delay)
        client.grant.check()
        return client, turn

    def _room_in(self, fields: dict[str, Any]) -> str:
        """Return the name of the room that an event is about. Raises BadRoom."""
        return check_room(fields.get("room"), self._config.max_room_name)


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
