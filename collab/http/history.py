"""A room's history as HTTP sends it: a line of JSON for its head, and one for each entry."""

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
from collab.rooms.playback import (
    HistoryEntry,
    Playback,
    fetch_entries,
    fetch_playback,
    is_entry_id,
)
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


Line = dict[str, Any]
"""The fields of one line."""


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
        given = query(request, "format", "after")
        form, after = given.get("format", "deltas"), given.get("after")
        if form not in ("deltas", "updates"):
            raise BadRequest("format must be deltas or updates")
        if after is not None and not is_entry_id(after):
            raise BadRequest("after must be the id of an entry")
        with self._slot():
            head: Line = {"room": name, "format": form}
            return await self._stream(request, head, await self._lines(name, form, after))

    async def _lines(self, room: str, form: str, after: str | None) -> Iterator[Line | None]:
        """Return the lines of a history, None in the place of each that is not to be sent.

        Raises NoSuchRoom or StoreUnavailable.
        """
        if after is not None:
            entries = await fetch_entries(self._store, room, after)
            # Without the text before them, entries can't be sent as edits of a text.
            if entries is not None and (form == "updates" or not entries):
                unit = {"unit": "utf-16"} if form == "deltas" else {}
                return _updates({**unit, "after": after}, entries)
        playback = await fetch_playback(self._store, room, after if form == "deltas" else None)
        if playback is None:
            raise NoSuchRoom("there is no such room")
        if form == "deltas":
            return _deltas(playback)
        base = base64.b64encode(playback.base_update).decode()
        return _updates({"base": base}, playback.entries)

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
        self, request: web.Request, head: Line, lines: Iterator[Line | None]
    ) -> web.StreamResponse:
        """Respond to a request with a history; the fields of ``head`` go into its first line."""
        response = web.StreamResponse(headers=HEADERS)
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        piece = b""
        try:
            for line in lines:
                if line is not None:
                    piece += orjson.dumps({**head, **line}) + b"\n"
                    head = {}
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


def _deltas(playback: Playback) -> Iterator[Line | None]:
    """Yield the base's text, then each entry as an edit; lengths are UTF-16 units."""
    start = {"after": playback.after} if playback.after else {"base": playback.base}
    yield {"entries": len(playback.entries), "unit": "utf-16", **start}
    for step in playback.play():
        if step is None:
            yield None
            continue
        ops = [
            {"insert": op} if isinstance(op, str) else {"retain": op} if op > 0 else {"delete": -op}
            for op in utf16_ops(step.before, step.edit)
        ]
        yield {**_entry_fields(step.entry), "delta": ops}


def _updates(start: Line, entries: list[HistoryEntry]) -> Iterator[Line]:
    """Yield the line of the ``start``, then each entry's Yjs update."""
    yield {"entries": len(entries), **start}
    for entry in entries:
        yield {**_entry_fields(entry), "update": base64.b64encode(entry.update).decode()}


def _entry_fields(entry: HistoryEntry) -> Line:
    author = entry.author
    return {
        "id": entry.id,
        "at": iso_time(entry.at),
        "author": author
        and {
            "id": author.id,
            "name": author.name,
            "color": author.color or None,
            "client": author.client or None,
        },
    }
