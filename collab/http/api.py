"""``/api``: rooms for the other services, and the history of one for those who play it back.

docs/http-api.md tells how to use it; openapi.json beside this file is its contract.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import logging
import secrets
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import orjson
from aiohttp import web

from collab.config import Config
from collab.errors import (
    BadRequest,
    NodeFull,
    NoSuchRoom,
    NotAllowed,
    RoomClosed,
    RoomExists,
    StoreUnavailable,
)
from collab.http.answers import Handler, answer, moment, read_fields
from collab.http.edge import code_of
from collab.merge.delta import Delta
from collab.merge.replica import Replica
from collab.merge.units import utf16_ops
from collab.metrics import Metrics
from collab.names import check_code, check_room
from collab.origins import ANY_ORIGIN
from collab.rooms import census
from collab.rooms.author import Author
from collab.rooms.playback import Playback, final_text
from collab.rooms.registry import Rooms
from collab.store.directory import Directory
from collab.store.questions import Questions
from collab.store.records import ROOM, ZERO, Commit, Entry, Refused, Update, entry_text
from collab.store.store import ANEW, Store

log = logging.getLogger(__name__)

CALLER = Author("api", "API")
"""Whose edit a PUT is."""
COMMIT_PATIENCE = 10.0
"""Seconds that a PUT waits for Redis to have it."""
MOST_TRIES = 3
"""Rooms that a PUT may lose to a DELETE at the same moment, before it says so."""
USUAL_PAGE, LARGEST_PAGE = 100, 1000
"""Rooms on a page of the list: each costs Redis two look-ups."""
LARGEST_CURSOR = 2**64 - 1
"""SCAN's cursors are 64 bits."""
OUTCOMES = {"PUT": {200: "merged", 201: "created"}, "DELETE": {204: "ended"}}
"""What the log says of a request that sets or ends a room, if nothing went wrong."""
CONDITIONS = ("If-Match", "If-None-Match", "If-Unmodified-Since", "If-Modified-Since")
SIZE = "bytes"
"""Where a request holds the size of the text that it sets, for the log."""
MOST_CLIENT = 200
"""Characters of X-Forwarded-For, which a client may write, in the log."""
MOST_STREAMS = 16
"""Histories that a node sends at once: each holds a journal in memory while its reader reads."""
STREAM_PATIENCE = 30.0
"""Seconds for a reader of a history to take a piece; one that does not is cut off."""
PIECE = 1 << 16
"""Bytes of history that are written at once, and the journal's bytes that are played without a
break for others."""


HISTORY_HEADERS = {
    "Content-Type": "application/x-ndjson",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


class Api:
    """The routes below ``/api``, and what they need while the service runs."""

    def __init__(self, config: Config, metrics: Metrics) -> None:
        self._config = config
        self._metrics = metrics
        self._key = config.api_key.encode(errors="surrogateescape")
        self._streams = 0
        self._contract = files("collab.http").joinpath("openapi.json").read_bytes()
        self._store: Store
        self._rooms: Rooms
        self._directory: Directory
        self._questions: Questions

    def add_routes(self, app: web.Application) -> None:
        """Serve ``/api``. The routes work from `open` on."""
        api = web.Application(middlewares=[self._report, self._guard])
        api.on_response_prepare.append(self._share_history)
        api.router.add_get("/openapi.json", self._openapi, name="openapi")
        api.router.add_get("/rooms", self._list)
        room = api.router.add_resource("/rooms/{room}")
        for method, handler in (
            ("GET", self._get), ("HEAD", self._get), ("PUT", self._put), ("DELETE", self._delete),
        ):  # fmt: skip
            room.add_route(method, handler)
        api.router.add_get("/rooms/{room}/history", self._history, name="history")
        app.add_subapp("/api", api)

    def open(self, store: Store, questions: Questions, rooms: Rooms) -> None:
        """Be ready for requests."""
        self._store, self._questions, self._rooms = store, questions, rooms
        self._directory = Directory(store)

    # Who may, and who did

    @web.middleware
    async def _report(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Leave a line of each request that is to set or end a room: by whom, and its outcome."""
        if request.method not in OUTCOMES:
            return await handler(request)
        outcome = ""
        try:
            response = await handler(request)
            outcome = OUTCOMES[request.method][response.status]
            return response
        except BaseException as problem:
            outcome = code_of(problem)
            raise
        finally:
            fields = {
                "method": request.method,
                "room": request.match_info.get("room", "")[: self._config.max_room_name],
                "bytes": request.get(SIZE),
                "outcome": outcome,
                "client": request.headers.get("X-Forwarded-For", "")[:MOST_CLIENT] or None,
                "peer": request.remote,
            }
            told = {key: value for key, value in fields.items() if value is not None}
            log.info("api request", extra=told)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Ask for the key, where there is one, except for what browsers read."""
        open_to_all = request.match_info.route.name in ("openapi", "history")
        if self._key and not open_to_all and request.match_info.http_exception is None:
            scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
            given = shown.strip().encode(errors="surrogateescape")
            if scheme.lower() != "bearer" or not hmac.compare_digest(given, self._key):
                raise NotAllowed("this needs the API's key: Authorization: Bearer KEY")
        return await handler(request)

    def _name(self, request: web.Request) -> str:
        return check_room(request.match_info["room"], self._config.max_room_name)

    # Rooms

    async def _openapi(self, request: web.Request) -> web.Response:
        return web.Response(body=self._contract, content_type="application/json")

    async def _list(self, request: web.Request) -> web.Response:
        query = _query(request, "cursor", "limit")
        cursor = _whole(query, "cursor", 0, 0, LARGEST_CURSOR)
        limit = _whole(query, "limit", USUAL_PAGE, 1, LARGEST_PAGE)
        listed, onward = await self._directory.page(cursor, limit)
        rooms = [
            {
                "room": line.room,
                "changed_at": moment(line.changed),
                "expires_in": _seconds(line.expires_in),
            }
            for line in listed
        ]
        return answer({"rooms": rooms, "cursor": str(onward) if onward else None})

    async def _get(self, request: web.Request) -> web.Response:
        name = self._name(request)
        _query(request)
        sight, people = await asyncio.gather(
            self._directory.status(name), census.ask(self._questions, name)
        )
        if sight is None and not people:
            raise NoSuchRoom("there is no such room")
        code = sight.code if sight else None
        if sight and code is None:  # the last who committed owe the snapshot
            code = final_text(name, await self._store.read(name, None, ZERO))
        room = {
            "room": name,
            "code": code,
            "members": [person.payload() for person in people],
            "changed_at": moment(sight.changed) if sight else None,
            "expires_in": _seconds(sight.expires_in) if sight else None,
            "node": self._config.node_id,
        }
        return answer(room)

    async def _put(self, request: web.Request) -> web.Response:
        name = self._name(request)
        _query(request)
        only_new = _is_only_for_a_new_room(request)
        most = self._config.max_code_bytes
        fields = await read_fields(request, {"code", "base"}, self._config.max_frame_bytes)
        code, base = check_code(fields.get("code"), most), fields.get("base")
        request[SIZE] = len(code.encode())
        if base is not None:
            base = check_code(base, most, "base")
        if only_new:
            await self._create(name, code)
            text, created = code, True
        else:
            text, created = await self._merge(name, code, base)
        stored = {"room": name, "code": text, "node": self._config.node_id}
        return answer(stored, 201 if created else 200)

    async def _merge(self, name: str, code: str, base: str | None) -> tuple[str, bool]:
        """Merge a text into the room; return the room's text then, and whether it had none."""
        for _ in range(MOST_TRIES - 1):
            # Where the room is ended meanwhile, this text begins the next one.
            with contextlib.suppress(RoomClosed):
                return await self._merge_once(name, code, base)
        return await self._merge_once(name, code, base)

    async def _merge_once(self, name: str, code: str, base: str | None) -> tuple[str, bool]:
        room = await self._rooms.hold(name)
        try:
            created = not room.exists
            async with asyncio.timeout(COMMIT_PATIENCE):
                await (await room.put(code, base, CALLER))
            return room.text, created
        except TimeoutError:
            raise StoreUnavailable(
                "the room has the text, but Redis has not confirmed it; look before you repeat"
            ) from None
        finally:
            self._rooms.release(name)

    async def _create(self, name: str, code: str) -> None:
        """Begin a room with a text, if there is none: of several who try at once one succeeds."""
        update = Replica().edit(Delta.of(code)) if code else Replica().state()
        first = Commit([Update(str(CALLER), update)], update, code, self._config.room_ttl)
        begun = await self._store.start(name, secrets.token_hex(8), None, ROOM, first, ended=ANEW)
        if isinstance(begun, Refused):
            raise RoomExists("the room has a text already")
        self._metrics.changes.inc()
        self._rooms.check(name)  # a node passes over what it announces itself

    async def _delete(self, request: web.Request) -> web.Response:
        name = self._name(request)
        _query(request)
        for condition, _ in _conditions(request):
            raise BadRequest(f"{condition} can't be kept: a room is ended whatever its text is")
        if not await self._directory.end(name, self._config.room_ttl):
            if not await census.ask(self._questions, name):
                raise NoSuchRoom("there is no such room")
            await self._directory.end(name, self._config.room_ttl, anyway=True)
        return web.Response(status=204)

    # History

    async def _history(self, request: web.Request) -> web.StreamResponse:
        name = self._name(request)
        form = _query(request, "format").get("format", "deltas")
        if form not in ("deltas", "updates"):
            raise BadRequest("format must be deltas or updates")
        if self._streams >= MOST_STREAMS:
            raise NodeFull("this node sends as many histories as it may")
        self._streams += 1
        try:
            reading = await self._store.read(name, None, ZERO)
            if reading.epoch is None and reading.code is None:
                raise NoSuchRoom("there is no such room")
            playback = Playback(name, reading)
            lines = _deltas(playback) if form == "deltas" else _updates(playback)
            head = {"room": name, "format": form, "entries": len(playback.entries)}
            return await self._stream(request, head, lines)
        finally:
            self._streams -= 1

    async def _stream(
        self, request: web.Request, head: dict[str, Any], lines: Iterator[dict[str, Any]]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers=HISTORY_HEADERS)
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        try:
            piece = orjson.dumps({**head, **next(lines)}) + b"\n"
            for line in lines:
                piece += orjson.dumps(line) + b"\n"
                if len(piece) >= PIECE:
                    await self._write(response, piece)
                    piece = b""
                await asyncio.sleep(0)
            await self._write(response, piece)
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
        except ConnectionError:
            pass  # the reader went away
        return response

    @staticmethod
    async def _write(response: web.StreamResponse, piece: bytes) -> None:
        async with asyncio.timeout(STREAM_PATIENCE):
            await response.write(piece)

    async def _share_history(self, request: web.Request, response: web.StreamResponse) -> None:
        """Let pages of the origins that may connect read a history, or what is wrong with it."""
        if request.match_info.route.name != "history":
            return
        response.headers["Access-Control-Expose-Headers"] = "Retry-After"
        origins, origin = self._config.cors_origins, request.headers.get("Origin")
        if origins == ANY_ORIGIN:
            response.headers["Access-Control-Allow-Origin"] = "*"
        else:
            response.headers["Vary"] = "Origin"
            if origin and origins.allow(origin, request.get_extra_info("sockname")):
                response.headers["Access-Control-Allow-Origin"] = origin


def _deltas(playback: Playback) -> Iterator[dict[str, Any]]:
    """Yield what is said of the base, then each entry as an edit of a text of UTF-16 units."""
    yield {"unit": "utf-16", "base": playback.base}
    for step in playback.play():
        ops = [
            {"insert": op} if isinstance(op, str) else {"retain": op} if op > 0 else {"delete": -op}
            for op in utf16_ops(step.before, step.edit)
        ]
        yield {**_about(step.entry), "delta": ops}


def _updates(playback: Playback) -> Iterator[dict[str, Any]]:
    """Yield what is said of the base, then each entry as the Yjs update that it is."""
    yield {"base": base64.b64encode(playback.base_update).decode()}
    for entry in playback.entries:
        yield {**_about(entry), "update": base64.b64encode(entry.update).decode()}


def _about(entry: Entry) -> dict[str, Any]:
    author = Author.parse(entry.author)
    return {
        "id": entry_text(entry.id),
        "at": moment(entry.id[0]),
        "author": {"id": author.id, "name": author.name} if author else None,
    }


def _conditions(request: web.Request) -> list[tuple[str, str]]:
    """Return the conditions on which a request is to be done, each with its value."""
    headers = request.headers
    return [(name, value.strip()) for name in CONDITIONS for value in headers.getall(name, ())]


def _is_only_for_a_new_room(request: web.Request) -> bool:
    """Whether a PUT may only begin a room. Raises BadRequest for any other condition.

    To pass over one would be to overwrite what its sender wanted to spare.
    """
    conditions = _conditions(request)
    if conditions and conditions != [("If-None-Match", "*")]:
        raise BadRequest(
            f"{conditions[0][0]} can't be kept, for texts have no tags: send the text that was "
            "read as base, or If-None-Match: * alone to begin a room"
        )
    return bool(conditions)


def _seconds(left: float | None) -> int | None:
    return None if left is None else int(left)


def _query(request: web.Request, *known: str) -> dict[str, str]:
    """Return the query's parameters, each of them known and given once. Raises BadRequest."""
    query: dict[str, str] = {}
    for name, value in request.query.items():
        if name not in known:
            raise BadRequest(f"there is no parameter {name!r:.100}")
        if name in query:
            raise BadRequest(f"{name} is given twice")
        query[name] = value
    return query


def _whole(query: dict[str, str], name: str, usual: int, low: int, high: int) -> int:
    raw = query.get(name, str(usual))
    if not raw.isascii() or not raw.isdigit() or len(raw) > 20 or not low <= int(raw) <= high:
        raise BadRequest(f"{name} must be a whole number between {low} and {high}")
    return int(raw)
