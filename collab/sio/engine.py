"""The Engine.IO server of a node: it opens sessions, and refuses clients with a reason.

The sessions are in `engine_socket`. The methods overridden here are private in python-engineio
4.15: setup.cfg pins that minor version, and tests/unit/test_engine.py fails if they change.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from contextvars import Context
from http import HTTPStatus
from typing import Any, Final

import engineio
from aiohttp import WSCloseCode, web
from engineio import packet

from collab.admission import Admission
from collab.budget import Meter
from collab.config import Config
from collab.errors import (
    RETRY_AFTER,
    BadEvent,
    CollabError,
    Draining,
    FrameTooLarge,
    NodeFull,
    OriginNotAllowed,
    RateLimited,
    UnknownSession,
)
from collab.metrics import Metrics
from collab.sio import json
from collab.sio.engine_socket import EngineSocket
from collab.sio.heartbeats import Heartbeats
from collab.sio.polling import MAX_READ_PAST
from collab.sio.unconnected import Unconnected
from collab.wire.frames import Message
from collab.wire.outbox import Render
from collab.wire.payers import HANDSHAKE_COST, address_of, charge_request
from collab.wire.websocket import Farewell, WebSocket

log = logging.getLogger(__name__)

ROUTE_KEY_HEADER = "HTTP_X_ROUTE_KEY"
"""The load balancer's key for a new session; the sid begins with the key (docs/scaling.md)."""
ROUTE_KEY_LENGTH = 64
"""Characters of that key at most: nginx's $request_id has 32."""
KEPT_HEADERS: Final = ("HTTP_ORIGIN",)
"""Headers of its handshake that the application is given for a session."""
CLOSE_TIMEOUT: Final = 10.0
"""Seconds that a client has to answer a Close frame."""


def new_sid(key: str = "") -> str:
    """Return a new session id; it begins with ``key`` and a dot if the key is usable."""
    usable = key.isascii() and key.isalnum() and len(key) <= ROUTE_KEY_LENGTH
    return f"{key}.{secrets.token_urlsafe(15)}" if usable else secrets.token_urlsafe(15)


_PROBE: Final = web.WebSocketResponse(compress=False)
"""Is asked whether requests can become WebSockets, and never prepared itself."""


def _can_be_websocket(request: web.Request) -> bool:
    return bool(_PROBE.can_prepare(request))


class EngineServer(engineio.AsyncServer):  # type: ignore[misc]  # python-engineio has no types
    """The Engine.IO server of a node."""

    def __init__(
        self, *, config: Config, metrics: Metrics, admission: Admission,
        encode_error: Callable[[CollabError], str],
        encode_refusal: Callable[[CollabError], str],
        on_message: Callable[[EngineSocket, str | bytes], Awaitable[None]],
        on_change: Callable[[EngineSocket, str], bool], **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        self.config = config
        self.metrics = metrics
        self.admission = admission
        self.encode_error = encode_error
        self.encode_refusal = encode_refusal
        self.on_message = on_message
        self.on_change = on_change
        self.heartbeats = Heartbeats(config.ping_interval)
        self.unconnected = Unconnected(config.max_unconnected, config.connect_timeout)

    def _log_error_once(self, message: str, message_key: str) -> None:
        """Log what is wrong with a request; the full message would repeat the client's data."""
        log.info("bad request", extra={"reason": message_key})

    def create_queue(self, *args: Any, **options: Any) -> None:
        """Make no queue: what waits for a client is in its session's outbox."""

    def generate_id(self) -> str:
        """Return a new id for a Socket.IO session (the ids of Engine.IO's have a key)."""
        return new_sid()

    async def handle_request(self, request: web.Request) -> web.StreamResponse:
        """Handle one request: a handshake, or a later request of a session."""
        origin, sockname = request.headers.get("Origin"), request.get_extra_info("sockname")
        try:
            self.admission.origins.check(origin, sockname, request.headers.get("Host", ""))
        except OriginNotAllowed as forbidden:
            return self._refuse(forbidden, HTTPStatus.FORBIDDEN)
        # With 503 or 404 the load balancer tries the next node: it may have sent the session's
        # handshake there while this node was down or full.
        if (sid := request.query.get("sid")) is None:
            try:
                self.admission.check_capacity()
            except (Draining, NodeFull) as problem:
                return self._refuse(problem, HTTPStatus.SERVICE_UNAVAILABLE, origin)
        elif sid not in self.sockets:
            unknown = UnknownSession("this node has no session of that sid")
            return self._refuse(unknown, HTTPStatus.NOT_FOUND, origin)
        elif request.method == "POST" and self.sockets[sid].is_posting:
            overlap = BadEvent("the request before has not been answered yet")
            return self._refuse(overlap, HTTPStatus.BAD_REQUEST, origin)
        socket = self.sockets.get(sid)
        response: web.StreamResponse = await super().handle_request(request)
        reason = socket.dismissed if socket is not None else None
        if request.method == "POST" and reason is not None:
            limited = isinstance(reason, RateLimited)
            status = HTTPStatus.TOO_MANY_REQUESTS if limited else HTTPStatus.SERVICE_UNAVAILABLE
            return self._refuse(reason, status, origin)
        return response

    def _refuse(
        self, problem: CollabError, status: HTTPStatus, origin: str | None = None
    ) -> web.Response:
        """Return the response to a refused request; a page of ``origin`` may read it."""
        refusal = self.refusal(problem, status)
        headers = refusal["headers"]
        if origin is not None:
            headers.append(("Access-Control-Allow-Origin", origin))
        return web.Response(status=status, headers=headers, body=refusal["response"])

    def last_words(self, socket: EngineSocket, problem: CollabError) -> str:
        """Return the encoded packet that tells a client why it is let go, and count the error.

        A client that is not connected to the default namespace handles no events.
        """
        self.metrics.errors.labels(problem.code).inc()
        if socket in self.unconnected:
            return self.encode_refusal(problem)
        return self.encode_error(problem)

    async def send_error(self, socket: EngineSocket, problem: CollabError) -> None:
        """Send the contract's ``error``."""
        await socket.send_render(self.render_error(problem))

    def render_error(self, problem: CollabError) -> Render[Message]:
        """Return a function that makes the contract's ``error``, and counts it, when it is sent.

        It does not refer to ``problem``, whose traceback refers to the session: if the client ends
        before the error is sent, the collector would have to free all of that.
        """
        code, encoded = problem.code, self.encode_error(problem)

        def render() -> list[Message]:
            self.metrics.errors.labels(code).inc()
            return [encoded]

        return render

    def new_websocket(self, meter: Meter) -> WebSocket:
        """Return a WebSocket whose client gets an ``error`` for a message that is too large.

        Up to `MAX_READ_PAST` times the limit the session goes on; above that the connection ends.
        """
        return WebSocket(
            max_message_bytes=MAX_READ_PAST * self.max_http_buffer_size,
            farewell=self._farewell,
            close_timeout=CLOSE_TIMEOUT,
            deflate=self.config.deflate,
            meter=meter,
        )

    def _farewell(self, code: int) -> Farewell:
        if code != WSCloseCode.MESSAGE_TOO_BIG:
            return Farewell()
        render = self.render_error(self.message_too_large())
        return Farewell(render())

    def message_too_large(self) -> FrameTooLarge:
        """Return the error of a WebSocket message over the limit."""
        return FrameTooLarge(f"a message is over {self.max_http_buffer_size} bytes")

    async def _handle_connect(
        self, environ: dict[str, Any], transport: str, jsonp_index: int | None = None
    ) -> Any:
        if transport == "websocket" and not _can_be_websocket(environ["aiohttp.request"]):
            return self._bad_request("Invalid websocket upgrade")
        if self.start_service_task:
            self.start_service_task: bool = False
            # The task ends sessions of all clients, so it must not log the first request's context.
            self.service_task_handle = asyncio.create_task(self._service_task(), context=Context())

        request: web.Request = environ["aiohttp.request"]
        charge_request(request, self.admission.budgets, HANDSHAKE_COST)
        address = address_of(request, self.admission.budgets)
        sid = new_sid(environ.get(ROUTE_KEY_HEADER, ""))
        socket = EngineSocket(self, sid, address)
        self.sockets[sid] = socket
        self.admission.add(socket)
        await socket.send(packet.Packet(packet.OPEN, {
            "sid": sid,
            "upgrades": self._upgrades(sid, transport),
            "pingTimeout": int(self.ping_timeout * 1000),
            "pingInterval": int(self.ping_interval * 1000),
            "maxPayload": self.max_http_buffer_size,
        }))  # fmt: skip
        self.unconnected.add(socket)
        # The session must not keep its first request, which may have many headers.
        shown = {name: environ[name] for name in KEPT_HEADERS if name in environ}
        await self._trigger_event("connect", sid, shown, run_async=False)
        socket.schedule_ping()
        if transport == "websocket":
            try:
                return await socket.handle_get_request(environ)
            finally:
                if socket.closed:
                    self.sockets.pop(sid, None)
        socket.connected = True
        return self._ok(await socket.poll(), jsonp_index=jsonp_index)

    def refusal(self, problem: CollabError, status: HTTPStatus) -> dict[str, Any]:
        """Return the response to a refused client, in python-engineio's form."""
        self.metrics.errors.labels(problem.code).inc()
        headers = [("Content-Type", "application/json")]
        if problem.retryable:
            headers.append(("Retry-After", RETRY_AFTER))
        return {
            "status": f"{status.value} {status.phrase}",
            "headers": headers,
            "response": json.dumps(problem.payload()).encode(),
        }
