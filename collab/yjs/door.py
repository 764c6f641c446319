"""Door two: who may come in, by which name, and how all are moved off at the end."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable

from aiohttp import web

from collab.config import Config
from collab.errors import (
    BadRoom,
    CollabError,
    Draining,
    NodeFull,
    RoomClosed,
    RoomFull,
)
from collab.metrics import Metrics
from collab.names import check_room, clean_name
from collab.rooms.policy import MayWrite
from collab.rooms.registry import Rooms
from collab.rooms.room import Room
from collab.wire.websocket import RESTART
from collab.yjs.ending import Ended, close, new_websocket
from collab.yjs.session import Session, log_fields

log = logging.getLogger(__name__)

PATH = "/yjs/{room:.*}"
BAD_ROOM = 4400
"""Close code that y-websocket takes for final, after HTTP's 400."""
ROOM_CLOSED = 4410
"""Close code, final too, after HTTP's 410: somebody has ended the room."""
INTERNAL_ERROR, TRY_LATER = 1011, 1013


class YjsDoor:
    """Answers ``GET /yjs/{room}``. ``crowded`` says how many connections the other door has."""

    def __init__(
        self,
        rooms: Rooms,
        config: Config,
        metrics: Metrics,
        *,
        may_write: MayWrite,
        crowded: Callable[[], int],
    ) -> None:
        self.draining = False
        self.sessions: set[Session] = set()
        self._rooms = rooms
        self._config = config
        self._metrics = metrics
        self._may_write = may_write
        self._crowded = crowded
        self._closing: set[asyncio.Task[None]] = set()
        rooms.on_end.append(self._room_ended)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one WebSocket until it ends.

        Raises CollabError, or an error of HTTP, where none can begin.
        """
        self._admit(request)
        if not new_websocket(self._config, self._metrics).can_prepare(request):
            raise web.HTTPUpgradeRequired(
                text="this is a WebSocket of the y-websocket protocol",
                headers={"Upgrade": "websocket"},
            )
        try:
            name = check_room(request.match_info["room"], self._config.max_room_name)
        except BadRoom as problem:
            # A browser hears nothing of a handshake's refusal; a close code it does.
            return await self._turn_away(request, BAD_ROOM, problem)
        room = await self._rooms.hold(name)
        try:
            ws = new_websocket(self._config, self._metrics)
            await ws.prepare(request)
            id = secrets.token_urlsafe(15)
            session = Session(id, room, ws, self._config, self._metrics)
            shown = clean_name(request.query.get("name"), f"guest-{id[:4]}")
            try:
                session.member = room.join_yjs(id, shown, session)
            except (RoomFull, RoomClosed) as problem:
                await session.close(Ended(TRY_LATER, str(problem), problem.code))
                return ws
            session.member.may_write = self._may_write(name, shown)
            try:
                await self._serve(session, name)
            finally:
                room.leave_yjs(session.member)
        finally:
            self._rooms.release(name)
        return ws

    async def move_off(self, session: Session, patience: float) -> None:
        """Send one client away, for ``patience`` seconds at most: it connects to another node."""
        await session.move_off(Ended(RESTART, str(Draining())), patience)

    def _room_ended(self, room: Room) -> None:
        for session in self.sessions:
            if session.room is room:
                ended = Ended(ROOM_CLOSED, str(RoomClosed(room.name)), RoomClosed.code)
                closing = asyncio.create_task(session.close(ended))
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)

    async def _serve(self, session: Session, room: str) -> None:
        self.sessions.add(session)
        self._metrics.connections.labels("yjs").inc()
        log.info("connected", extra={"sid": session.id, "room": room, "door": "yjs"})
        try:
            ended = await session.run()
        except Exception:  # the edge: a fault of ours is logged here, and told without details
            log.exception("session failed", extra={"sid": session.id, "room": room})
            ended = Ended(INTERNAL_ERROR, "the server made a mistake")
            await session.close(ended)
        finally:
            self.sessions.discard(session)
            self._metrics.connections.labels("yjs").dec()
        log.info("disconnected", extra={**log_fields(session, ended), "room": room})

    def _admit(self, request: web.Request) -> None:
        if self.draining:
            raise Draining()
        if len(self.sessions) + self._crowded() >= self._config.max_connections:
            raise NodeFull("this node has all the connections it may have")
        origin, sockname = request.headers.get("Origin"), request.get_extra_info("sockname")
        self._config.cors_origins.check(origin, sockname)

    async def _turn_away(
        self, request: web.Request, code: int, problem: CollabError
    ) -> web.StreamResponse:
        ws = new_websocket(self._config, self._metrics)
        await ws.prepare(request)
        await close(ws, Ended(code, str(problem), problem.code), self._metrics)
        return ws
