"""JSON bodies: read the body of a request, and write the body of a response."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Set
from datetime import UTC, datetime
from typing import Any

import orjson
from aiohttp import web

from collab.errors import BadRequest, FrameTooLarge

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
JSON = "application/json"


def json_response(body: Any, status: int = 200) -> web.Response:
    """Return ``body`` as a JSON response, which no cache may store because rooms change."""
    return web.Response(
        body=orjson.dumps(body),
        status=status,
        content_type=JSON,
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
    )


async def read_fields(
    request: web.Request, known: Set[str], max_bytes: int, patience: float
) -> dict[str, Any]:
    """Return the JSON object that is the body, with ``known`` fields and at most ``max_bytes``.

    An unknown field is an error: ignoring a misspelt ``base`` would cost people their work. The
    body may take ``patience`` seconds. Raises BadRequest, FrameTooLarge, or HTTP's 415.
    """
    # aiohttp's content_type parses the parameters too, by a parser for mail: 8,000 quotes take it
    # 0.7 seconds, and parentheses end in a RecursionError.
    kind = request.headers.get("Content-Type", "").partition(";")[0]
    if kind.strip().lower() != JSON:
        raise web.HTTPUnsupportedMediaType(text=f"the body must be {JSON}")
    body = bytearray()
    try:
        async with asyncio.timeout(patience):
            if (request.content_length or 0) <= max_bytes:
                async for piece in request.content.iter_any():
                    body += piece
                    if len(body) > max_bytes:
                        break
    except TimeoutError:
        raise BadRequest(f"the body has not come within {patience:g} seconds") from None
    if (request.content_length or 0) > max_bytes or len(body) > max_bytes:
        raise FrameTooLarge(f"the body is over {max_bytes} bytes")
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
    """Parse JSON; accept a lone surrogate, so that a later error can name its field."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return json.loads(body.decode())


def iso_time(milliseconds: int | None) -> str | None:
    """Return a time, in milliseconds since 1970, in the form of ISO 8601, in UTC."""
    if milliseconds is None:
        return None
    when = datetime.fromtimestamp(milliseconds / 1000, UTC).replace(tzinfo=None)
    return when.isoformat(timespec="milliseconds") + "Z"
