"""The Yjs endpoint: WebSockets of the y-websocket protocol, from the handshake to the end."""

from __future__ import annotations

import contextlib
import logging
import secrets

from aiohttp import web

from collab.access.grant import bearer_token
from collab.admission import Admission
from collab.budget import Meter
from collab.config import Config
from collab.errors import (
    AuthUnavailable,
    BadRoom,
    NotAllowed,
    RateLimited,
    RoomClosed,
    RoomFull,
    RoomUnreadable,
    Unauthorized,
)
from collab.metrics import Metrics
from collab.names import check_room
from collab.rooms.registry import Rooms
from collab.wire.payers import HANDSHAKE_COST, address_of, charge_request
from collab.yjs.ending import BAD_ROOM, TRY_LATER, Ended, close, new_websocket, refused
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
        sockname, headers = request.get_extra_info("sockname"), request.headers
        self._admission.check(headers.get("Origin"), sockname, headers.get("Host", ""))
        if not new_websocket(self._config, self._metrics).can_prepare(request):
            raise web.HTTPUpgradeRequired(
                text="this is a WebSocket of the y-websocket protocol",
                headers={"Upgrade": "websocket"},
            )
        try:
            name = check_room(request.match_info["room"], self._config.max_room_name)
        except BadRoom as problem:
            # A page cannot read why a handshake was refused, but it can read a close code.
            ended = Ended(BAD_ROOM, str(problem), problem.code)
            return await self._turn_away(request, ended)
        budgets = self._admission.budgets
        charge_request(request, budgets, HANDSHAKE_COST)
        address = address_of(request, budgets)
        with contextlib.closing(budgets.open(address)) as meter:
            return await self._admit(request, name, meter, address)

    async def _admit(
        self, request: web.Request, name: str, meter: Meter, address: str
    ) -> web.StreamResponse:
        id, query = secrets.token_urlsafe(15), request.query
        token = query.get("token") or bearer_token(request.headers.get("Authorization", ""))
        try:
            grant = await self._admission.identify(id, token, query.get("name"), address)
            identity = await self._admission.admit(grant, name)
            room = await self._rooms.acquire(name, identity)
        except (Unauthorized, NotAllowed, AuthUnavailable, RateLimited, RoomUnreadable) as problem:
            return await self._turn_away(request, refused(problem))
        if grant.owner:
            self._admission.budgets.set_subject(meter, grant.owner)
        budget = self._admission.budgets.of_room(name)
        meter.enter(budget)
        try:
            ws = new_websocket(self._config, self._metrics, meter)
            await ws.prepare(request)
            session = Session(
                id, room, ws, meter, self._config, self._metrics, self._admission, grant
            )
            meter.let_go = session.let_go
            try:
                session.enter(self._admission.recheck(grant, name, identity))
            except (Unauthorized, NotAllowed) as problem:
                await session.close(refused(problem))
                return ws
            except (RoomFull, RoomClosed) as problem:
                await session.close(Ended(TRY_LATER, str(problem), problem.code))
                return ws
            try:
                await self._serve(session, name)
            finally:
                session.leave()
                session.forget()
        finally:
            meter.leave(budget)
            self._rooms.release(name)
        return ws

    async def _serve(self, session: Session, room: str) -> None:
        self._admission.add(session)
        self._metrics.connections.labels("yjs").inc()
        self._metrics.connects.labels("yjs", "new").inc()
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

    async def _turn_away(self, request: web.Request, ended: Ended) -> web.StreamResponse:
        ws = new_websocket(self._config, self._metrics)
        await ws.prepare(request)
        log.info("refused", extra={"code": ended.code, "reason": ended.word, "endpoint": "yjs"})
        await close(ws, ended, self._metrics)
        return ws
