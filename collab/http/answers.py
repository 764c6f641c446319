"""JSON in and out: what a request's body holds, and how an error is told over HTTP."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Set
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web

from collab.errors import (
    RETRY_AFTER,
    BadRequest,
    CodeTooLarge,
    CollabError,
    Draining,
    FrameTooLarge,
    NodeFull,
    NoSuchRoom,
    NotAllowed,
    RoomClosed,
    RoomExists,
    RoomFull,
    StoreUnavailable,
)

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
JSON = "application/json"
STATUSES: dict[type[CollabError], int] = {
    NotAllowed: 401,
    NoSuchRoom: 404,
    RoomClosed: 409,
    RoomFull: 409,
    RoomExists: 412,
    CodeTooLarge: 413,
    FrameTooLarge: 413,
    NodeFull: 503,
    Draining: 503,
    StoreUnavailable: 503,
}
"""What is not here is the caller's mistake: 400."""
WORDS = {404: "not_found", 405: "method_not_allowed", 415: "bad_media_type"}
"""The machine words of errors that HTTP has and the contract has not."""


def answer(body: Any, status: int = 200) -> web.Response:
    """Return ``body`` as JSON; what a room is now is nothing to keep."""
    return web.Response(
        body=orjson.dumps(body),
        status=status,
        content_type=JSON,
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
    )


def told(code: str, message: str, status: int, headers: Mapping[str, str]) -> web.Response:
    """Return an error as JSON."""
    response = answer({"error": {"code": code, "message": message}}, status)
    response.headers.update(headers)
    return response


@web.middleware
async def in_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer whatever goes wrong in JSON, with the fitting status."""
    try:
        return await handler(request)
    except CollabError as problem:
        status = STATUSES.get(type(problem), 400)
        headers = {"Retry-After": RETRY_AFTER} if problem.retryable else {}
        if status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return told(problem.code, str(problem), status, headers)
    except web.HTTPException as problem:
        if problem.status < 400:
            raise
        word = WORDS.get(problem.status, "bad_request")
        allow = problem.headers.get("Allow")
        message = str(problem.text if problem.status == 415 else HTTPStatus(problem.status).phrase)
        return told(word, message, problem.status, {"Allow": allow} if allow else {})
    except Exception:  # the edge: a fault of ours is logged here, and told without details
        log.exception("request failed", extra={"method": request.method, "path": request.path})
        return told("internal", "the server made a mistake", 500, {})


async def read_fields(request: web.Request, known: Set[str], most: int) -> dict[str, Any]:
    """Return the JSON object that is the body, with ``known`` fields and ``most`` bytes at most.

    An unknown field is an error: a misspelt ``base`` that vanishes would cost people their work.
    Raises BadRequest, FrameTooLarge, or HTTP's 415.
    """
    if request.content_type != JSON:
        raise web.HTTPUnsupportedMediaType(text=f"the body must be {JSON}")
    body = bytearray()
    if (request.content_length or 0) <= most:
        async for piece in request.content.iter_any():
            body += piece
            if len(body) > most:
                break
    if (request.content_length or 0) > most or len(body) > most:
        raise FrameTooLarge(f"the body is over {most} bytes")
    try:
        fields = _parse(bytes(body))
    except (ValueError, RecursionError):
        raise BadRequest("the body is not JSON in UTF-8") from None
    if not isinstance(fields, dict):
        raise BadRequest("the body must be an object")
    if unknown := fields.keys() - known:
        raise BadRequest(f"there is no field {min(unknown)!r:.100}")
    return fields


def _parse(body: bytes) -> Any:
    """Parse JSON; half a surrogate pair passes here, so that the field it is in can be named."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return json.loads(body.decode())


def moment(milliseconds: int | None) -> str | None:
    """Return a time as ISO 8601 has it, in UTC."""
    if milliseconds is None:
        return None
    when = datetime.fromtimestamp(milliseconds / 1000, UTC).replace(tzinfo=None)
    return when.isoformat(timespec="milliseconds") + "Z"
