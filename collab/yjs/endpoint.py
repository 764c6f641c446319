"""The Yjs endpoint: WebSockets of the y-websocket protocol, from the handshake to the end."""

from __future__ import annotations

import contextlib
import logging
import secrets

from aiohttp import web

from collab.admission import Admission
from collab.budget import Meter
from collab.config import Config
from collab.errors import BadRoom, CollabError, RoomClosed, RoomFull
from collab.metrics import Metrics
from collab.names import check_room
from collab.rooms.registry import Rooms
from collab.wire.connection import HANDSHAKE_COST, address_of, charge_request
from collab.wire.websocket import WebSocket
from collab.yjs.ending import BAD_ROOM, TRY_LATER, Ended, close, new_websocket
from collab.yjs.session import Session, log_fields

log = logging.getLogger(__name__)

PATH = "/yjs/{room:.*}"
INTERNAL_ERROR = 1011


class YjsEndpoint:
    """Handles ``GET /yjs/{room}``."""

    def __init__(
        self, config: Config, metrics: Metrics, admission: Admission, rooms: Rooms
    ) -> None:
        self._config = config
        self._metrics = metrics
        self._admission = admission
        self._rooms = rooms

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one WebSocket until it ends.

        Raises CollabError, or an HTTP error, if the connection is refused.
        """
        self._admission.check(request.headers.get("Origin"), request.get_extra_info("sockname"))
        if not new_websocket(self._config, self._metrics).can_prepare(request):
            raise web.HTTPUpgradeRequired(
                text="this is a WebSocket of the y-websocket protocol",
                headers={"Upgrade": "websocket"},
            )
        try:
            name = check_room(request.match_info["room"], self._config.max_room_name)
        except BadRoom as problem:
            # A page cannot read why a handshake was refused, but it can read a close code.
            return await self._turn_away(request, BAD_ROOM, problem)
        budgets = self._admission.budgets
        charge_request(request, budgets, HANDSHAKE_COST)
        with contextlib.closing(budgets.open(address_of(request, budgets))) as meter:
            return await self._serve_room(request, name, meter)

    async def _serve_room(self, request: web.Request, name: str, meter: Meter) -> WebSocket:
        room = await self._rooms.acquire(name)
        try:
            ws = new_websocket(self._config, self._metrics, meter)
            await ws.prepare(request)
            id = secrets.token_urlsafe(15)
            session = Session(id, room, ws, meter, self._config, self._metrics)
            meter.let_go = session.let_go
            identity = self._admission.identify(id, request.query.get("name"))
            try:
                session.enter(self._admission.admit(identity, name))
            except (RoomFull, RoomClosed) as problem:
                await session.close(Ended(TRY_LATER, str(problem), problem.code))
                return ws
            try:
                await self._serve(session, name)
            finally:
                room.leave_yjs(session.member)
        finally:
            self._rooms.release(name)
        return ws

    async def _serve(self, session: Session, room: str) -> None:
        self._admission.add(session)
        self._metrics.connections.labels("yjs").inc()
        log.info("connected", extra={"sid": session.id, "room": room, "endpoint": "yjs"})
        try:
            ended = await session.run()
        except Exception:  # an error of this service is logged here; the client gets no details
            log.exception("session failed", extra={"sid": session.id, "room": room})
            ended = Ended(INTERNAL_ERROR, "the server made a mistake")
            await session.close(ended)
        finally:
            self._admission.discard(session)
            self._metrics.connections.labels("yjs").dec()
        log.info("disconnected", extra={**log_fields(session, ended), "room": room})

    async def _turn_away(
        self, request: web.Request, code: int, problem: CollabError
    ) -> web.StreamResponse:
        ws = new_websocket(self._config, self._metrics)
        await ws.prepare(request)
        await close(ws, Ended(code, str(problem), problem.code), self._metrics)
        return ws
