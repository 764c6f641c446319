"""A room's history as it is sent: a line of JSON for the base, and one for each entry."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from aiohttp import web

from collab.errors import NodeFull
from collab.http.bodies import iso_time
from collab.merge.units import utf16_ops
from collab.origins import ANY_ORIGIN, Origins
from collab.rooms.playback import HistoryEntry, Playback

MAX_STREAMS = 16
"""Histories that a node sends at once: each holds a journal in memory while its reader reads."""
WRITE_TIMEOUT = 30.0
"""Seconds for a reader of a history to take a piece; a reader that does not is cut off."""
PIECE_BYTES = 1 << 16
"""Bytes of history that are written at once, and the journal's bytes that are played without a
break for others."""
HEADERS = {
    "Content-Type": "application/x-ndjson",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


class History:
    """Sends histories, a bounded number of them at once."""

    def __init__(self, origins: Origins) -> None:
        self._origins = origins
        self._streams = 0

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold one of the `MAX_STREAMS`. Raises NodeFull if none is free."""
        if self._streams >= MAX_STREAMS:
            raise NodeFull("this node sends as many histories as it may")
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1

    async def stream(
        self, request: web.Request, room: str, form: str, playback: Playback
    ) -> web.StreamResponse:
        """Answer a request with a history; ``form`` is ``deltas`` or ``updates``."""
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
            pass  # the reader went away
        return response

    def add_cors_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Let pages of the origins that may connect read a history, or what is wrong with it."""
        response.headers["Access-Control-Expose-Headers"] = "Retry-After"
        origins, origin = self._origins, request.headers.get("Origin")
        if origins == ANY_ORIGIN:
            response.headers["Access-Control-Allow-Origin"] = "*"
        else:
            response.headers["Vary"] = "Origin"
            if origin and origins.allow(origin, request.get_extra_info("sockname")):
                response.headers["Access-Control-Allow-Origin"] = origin


async def _write(response: web.StreamResponse, piece: bytes) -> None:
    async with asyncio.timeout(WRITE_TIMEOUT):
        await response.write(piece)


def _deltas(playback: Playback) -> Iterator[dict[str, Any]]:
    """Yield what is said of the base, then each entry as an edit of a text of UTF-16 units."""
    yield {"unit": "utf-16", "base": playback.base}
    for step in playback.play():
        ops = [
            {"insert": op} if isinstance(op, str) else {"retain": op} if op > 0 else {"delete": -op}
            for op in utf16_ops(step.before, step.edit)
        ]
        yield {**_entry_fields(step.entry), "delta": ops}


def _updates(playback: Playback) -> Iterator[dict[str, Any]]:
    """Yield what is said of the base, then each entry as the Yjs update that it is."""
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
