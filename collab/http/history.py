"""A room's history as HTTP sends it: a line of JSON for the base, and one for each entry."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from aiohttp import web

from collab.config import Config
from collab.errors import BadRequest, NodeFull, NoSuchRoom
from collab.http.bodies import iso_time
from collab.http.parameters import query, room_name
from collab.merge.units import utf16_ops
from collab.origins import Origins
from collab.rooms.playback import HistoryEntry, Playback, fetch_playback
from collab.store.store import Store

HISTORY = "history"
"""The name of the route, which pages read without a key if the node is open."""
MAX_STREAMS = 16
"""Histories that a node sends at once; each keeps a journal in memory until it is sent."""
WRITE_TIMEOUT = 30.0
"""Seconds to write one piece of a history; a client that reads slower is disconnected."""
PIECE_BYTES = 1 << 16
"""Bytes of a history that are written at once."""
PREFLIGHT_AGE = "600"
"""Seconds for which a browser need not ask again whether a page may send its token."""
HEADERS = {
    "Content-Type": "application/x-ndjson",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


class History:
    """Sends histories, at most `MAX_STREAMS` at once."""

    def __init__(self, config: Config, origins: Origins) -> None:
        self._config = config
        self._origins = origins
        self._streams = 0
        self._store: Store

    def add_routes(self, api: web.Application) -> None:
        """Add the routes to the application of ``/api``. They work after `open`."""
        history = api.router.add_resource("/rooms/{room}/history", name=HISTORY)
        for method in ("GET", "HEAD"):
            history.add_route(method, self._get)
        history.add_route("OPTIONS", self._preflight)

    def open(self, store: Store) -> None:
        """Set the store that the journals are read from."""
        self._store = store

    async def _get(self, request: web.Request) -> web.StreamResponse:
        name = room_name(request, self._config.max_room_name)
        form = query(request, "format").get("format", "deltas")
        if form not in ("deltas", "updates"):
            raise BadRequest("format must be deltas or updates")
        with self._slot():
            playback = await fetch_playback(self._store, name)
            if playback is None:
                raise NoSuchRoom("there is no such room")
            return await self._stream(request, name, form, playback)

    async def _preflight(self, request: web.Request) -> web.Response:
        """Tell a browser that a page may send its token with a request for a history."""
        return web.Response(status=204)

    @contextmanager
    def _slot(self) -> Iterator[None]:
        """Occupy one of the `MAX_STREAMS`. Raises NodeFull if none is free."""
        if self._streams >= MAX_STREAMS:
            raise NodeFull(f"this node already sends {MAX_STREAMS} histories")
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1

    async def _stream(
        self, request: web.Request, room: str, form: str, playback: Playback
    ) -> web.StreamResponse:
        """Respond to a request with a history; ``form`` is ``deltas`` or ``updates``."""
        response = web.StreamResponse(headers=HEADERS)
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        head = {"room": room, "format": form, "entries": len(playback.entries)}
        lines = _deltas(playback) if form == "deltas" else _updates(playback)
        try:
            piece = orjson.dumps({**head, **next(lines)}) + b"\n"
            for line in lines:
                piece += orjson.dumps(line) + b"\n"
                if len(piece) >= PIECE_BYTES:
                    await _write(response, piece)
                    piece = b""
                await asyncio.sleep(0)
            await _write(response, piece)
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
        except ConnectionError:
            pass  # the client has disconnected
        return response

    def add_cors_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Let pages of allowed origins read a history, or the error that is sent instead."""
        response.headers["Access-Control-Expose-Headers"] = "Retry-After"
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Headers"] = "Authorization"
            response.headers["Access-Control-Max-Age"] = PREFLIGHT_AGE
        origins, origin = self._origins, request.headers.get("Origin")
        if origins.allowed is None:
            response.headers["Access-Control-Allow-Origin"] = "*"
        else:
            response.headers["Vary"] = "Origin"
            sockname, host = request.get_extra_info("sockname"), request.headers.get("Host", "")
            if origin and origins.allow(origin, sockname, host):
                response.headers["Access-Control-Allow-Origin"] = origin


async def _write(response: web.StreamResponse, piece: bytes) -> None:
    async with asyncio.timeout(WRITE_TIMEOUT):
        await response.write(piece)


def _deltas(playback: Playback) -> Iterator[dict[str, Any]]:
    """Yield the base's text, then each entry as an edit; lengths are UTF-16 units."""
    yield {"unit": "utf-16", "base": playback.base}
    for step in playback.play():
        ops = [
            {"insert": op} if isinstance(op, str) else {"retain": op} if op > 0 else {"delete": -op}
            for op in utf16_ops(step.before, step.edit)
        ]
        yield {**_entry_fields(step.entry), "delta": ops}


def _updates(playback: Playback) -> Iterator[dict[str, Any]]:
    """Yield the base as a Yjs update, then each entry's Yjs update."""
    yield {"base": base64.b64encode(playback.base_update).decode()}
    for entry in playback.entries:
        yield {**_entry_fields(entry), "update": base64.b64encode(entry.update).decode()}


def _entry_fields(entry: HistoryEntry) -> dict[str, Any]:
    author = entry.author
    return {
        "id": entry.id,
        "at": iso_time(entry.at),
        "author": {"id": author.id, "name": author.name} if author else None,
    }
