"""The middleware of every HTTP request: it sets the request id, and gives errors one form."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from http import HTTPStatus

from aiohttp import web

from collab.bucket import Budget
from collab.budget import Budgets
from collab.config import Config
from collab.errors import (
    RETRY_AFTER,
    AuthUnavailable,
    BadRequest,
    CodeTooLarge,
    CollabError,
    Draining,
    FrameTooLarge,
    HeadersTooLarge,
    KeyNotAccepted,
    NodeFull,
    NoSuchRoom,
    NotAllowed,
    OriginNotAllowed,
    RateLimited,
    Removed,
    RoomClosed,
    RoomExists,
    RoomFull,
    RoomNotAllowed,
    RoomUnreadable,
    ScopeMissing,
    StoreUnavailable,
    Unauthorized,
    WrongHost,
    error_body,
    without_frames,
)
from collab.http.bodies import Handler, json_response
from collab.logs import request_id
from collab.metrics import Metrics
from collab.scheduler import UNKNOWN_COST
from collab.wire.handling import Timed
from collab.wire.payers import PAYERS, REQUEST_COST, address_of, charge_request, meter_of

log = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""The form of an accepted id; nginx's $request_id has 32 hexadecimal digits."""
STATUSES: dict[type[CollabError], int] = {
    NotAllowed: 401,
    Unauthorized: 401,
    OriginNotAllowed: 403,
    RoomNotAllowed: 403,
    Removed: 403,
    KeyNotAccepted: 401,
    ScopeMissing: 403,
    NoSuchRoom: 404,
    RoomClosed: 409,
    RoomFull: 409,
    RoomExists: 412,
    CodeTooLarge: 413,
    FrameTooLarge: 413,
    HeadersTooLarge: 431,
    RateLimited: 429,
    WrongHost: 421,
    NodeFull: 503,
    Draining: 503,
    StoreUnavailable: 503,
    RoomUnreadable: 503,
    AuthUnavailable: 503,
}
"""HTTP statuses of errors. All other errors are mistakes of the caller: 400."""
HTTP_CODES = {
    404: "not_found",
    405: "method_not_allowed",
    415: "bad_media_type",
    426: "upgrade_required",
}
"""Error codes for statuses of HTTP for which the contract has no error."""
STATUSES_WITH_TEXT = (415, 426)
"""Statuses that this service raises, with a message; aiohttp's errors have no useful message."""
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
"""Methods that are counted by their names; clients may send any word."""
OTHER = "other"
"""The route of a request for a path that there is not, and a method that is not in `METHODS`."""
HANDSHAKE_HEADERS = (
    "Upgrade",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Extensions",
)
"""Headers that aiohttp decodes as ASCII; it fails on other bytes."""
KEPT_HEADERS = ("Allow", "Upgrade")
"""Headers of aiohttp's error responses that the response of this service keeps."""


def code_of(problem: BaseException) -> str:
    """Return the error code for an exception that a request raised."""
    if isinstance(problem, CollabError):
        return problem.code
    if isinstance(problem, web.HTTPException):
        return HTTP_CODES.get(problem.status, BadRequest.code)
    if isinstance(problem, web.RequestPayloadError):
        return BadRequest.code
    return CollabError.code


def _route(request: web.Request) -> str:
    """Return the route's pattern, which has the names of its parameters, not their values."""
    resource = request.match_info.route.resource
    return OTHER if resource is None else resource.canonical


class Edge:
    """The middleware of all endpoints. It counts the requests, and the errors that it sends."""

    def __init__(self, config: Config, metrics: Metrics, budgets: Budgets) -> None:
        self._metrics = metrics
        self._budgets = budgets
        self._hosts = config.hosts
        self._max_header_bytes = config.max_header_bytes

    @web.middleware
    async def handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Handle a request; send every error as ``{error: {code, message}}``."""
        given = request.headers.get("X-Request-Id", "")
        if given:  # without it no WebSocket keeps a context of its own
            request_id.set(given if REQUEST_ID.fullmatch(given) else "")
        response = await self._respond(request, handler)
        method = request.method if request.method in METHODS else OTHER
        self._metrics.http_requests.labels(_route(request), method, str(response.status)).inc()
        return response

    async def _respond(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            self._hosts.check(request.headers.get("Host", ""), request.path)
            if not all(request.headers.get(name, "").isascii() for name in HANDSHAKE_HEADERS):
                raise BadRequest("a header of the WebSocket handshake is not ASCII")
            if sum(len(k) + len(v) for k, v in request.raw_headers) > self._max_header_bytes:
                raise HeadersTooLarge(f"the headers are over {self._max_header_bytes} bytes")
            return await self._charge(request, handler)
        except Exception as problem:
            response = self._answer(request, problem)
            without_frames(problem)
            return response

    def _answer(self, request: web.Request, problem: Exception) -> web.StreamResponse:
        """Return the response to a request that raised ``problem``; call it in its handler."""
        match problem:
            case CollabError():
                return self._refusal(problem)
            case web.HTTPException():
                return self._http_error(problem)
            case web.RequestPayloadError():
                return self._error_response(BadRequest.code, "the body can't be read", 400)
        disconnected = request.transport is None or request.transport.is_closing()
        fields = {"method": request.method, "path": request.path}
        if isinstance(problem, ConnectionError) and disconnected:
            log.debug("client disconnected", extra=fields)
        else:  # a fault of the service: logged here, sent without details
            log.exception("request failed", extra=fields)
        if not disconnected and not request.writer.output_size:
            return self._error_response(CollabError.code, "the server made a mistake", 500)
        if request.transport is not None:
            request.transport.abort()  # the client must see that the response is incomplete
        return web.Response(status=500)

    def _refusal(self, problem: CollabError) -> web.Response:
        status = STATUSES.get(type(problem), 400)
        reason = problem.reason if isinstance(problem, Unauthorized) else None
        response = self._error_response(problem.code, str(problem), status, reason)
        if problem.retryable:
            response.headers["Retry-After"] = RETRY_AFTER
        if status == 401:
            response.headers["WWW-Authenticate"] = "Bearer"
        if isinstance(problem, ScopeMissing):
            response.headers["WWW-Authenticate"] = (
                f'Bearer error="insufficient_scope", scope="{problem.scope}"'
            )
        elif isinstance(problem, RoomNotAllowed):
            response.headers["WWW-Authenticate"] = 'Bearer error="insufficient_scope"'
        return response

    def _http_error(self, problem: web.HTTPException) -> web.Response:
        known = HTTPStatus(problem.status).phrase
        message = str(problem.text if problem.status in STATUSES_WITH_TEXT else known)
        response = self._error_response(code_of(problem), message, problem.status)
        for name in KEPT_HEADERS:
            if name in problem.headers:
                response.headers[name] = problem.headers[name]
        return response

    async def _charge(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Charge a request to the client's connection, or to its address if it uses a proxy."""
        budgets, meter = self._budgets, meter_of(request)
        if meter is None:  # another server has accepted the connection, as in a test
            return await handler(request)
        payers: Sequence[Budget] = [meter]
        if not meter.limited:
            payers = budgets.of_address(address_of(request, budgets))
        elif wait := meter.wait(budgets.clock()):
            await asyncio.sleep(wait)
        if not budgets.scheduler.is_free:
            cost, now = budgets.cost(UNKNOWN_COST), budgets.clock()
            used = meter.used_after(cost, now) if meter.limited else payers[0].full_after(cost, now)
            await budgets.scheduler.turn(used, UNKNOWN_COST, queued=0)
        request[PAYERS] = payers
        charge_request(request, budgets, REQUEST_COST)
        if "Upgrade" in request.headers:  # its messages will be charged to the session
            return await handler(request)
        timed = Timed(handler(request))
        try:
            timed.start()
            return await timed
        finally:
            charge_request(request, budgets, timed.busy)
            budgets.scheduler.add(timed.busy)

    def _error_response(
        self, code: str, message: str, status: int, reason: str | None = None
    ) -> web.Response:
        self._metrics.errors.labels(code).inc()
        return json_response(error_body(code, message, reason), status)
