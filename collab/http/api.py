"""``/api``: rooms for the other services.

docs/http-api.md describes its use; openapi.json in this directory is its contract.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from importlib.resources import files

from aiohttp import web

from collab.access.grant import Grant
from collab.admission import Admission
from collab.api_keys import ApiKey, Scope
from collab.config import Config
from collab.errors import (
    BadRequest,
    NodeFull,
    NoSuchRoom,
    RoomClosed,
    RoomNotAllowed,
    StoreUnavailable,
)
from collab.http.bodies import Handler, iso_time, json_response, read_fields
from collab.http.edge import code_of
from collab.http.history import History
from collab.http.moderation import ACTION, REVOKE, Moderation
from collab.http.parameters import conditions, integer, query, requires_new_room
from collab.names import check_code, check_room
from collab.rooms import census
from collab.rooms.author import Author
from collab.rooms.playback import fetch_playback, fetch_text
from collab.rooms.registry import Rooms
from collab.store.directory import Directory
from collab.store.questions import Questions
from collab.store.store import Store

log = logging.getLogger(__name__)

CALLER = Author("api", "API")
"""The author of the edit that a PUT with a key makes; with a token it is the token's bearer."""
COMMIT_TIMEOUT = 10.0
"""Seconds that a PUT waits until Redis has confirmed it."""
MAX_TRIES = 3
"""Times that a PUT tries to merge while a DELETE ends the room each time."""
DEFAULT_PAGE, MAX_PAGE = 100, 1000
"""Rooms on one page of the list; each room costs Redis two commands."""
MAX_REQUESTS, MAX_WAITING_REQUESTS = 16, 256
"""Requests that a node handles at once, and more that wait for their turn: a burst of an honest
caller waits, and no number of requests leaves the edits of the rooms without time."""
MAX_CURSOR = 2**64 - 1
"""SCAN's cursors are 64 bits."""
OPENAPI, HISTORY = "openapi", "history"
"""Names of the routes that browsers read, and that need no key."""
OUTCOMES = {
    "PUT": {200: "merged", 201: "created"},
    "DELETE": {204: "ended"},
    "POST": {200: "ruled"},
}
"""The outcome to log for a successful request that changes something."""
SCOPES = {
    "GET": Scope.READ, "HEAD": Scope.READ, "PUT": Scope.WRITE, "DELETE": Scope.END,
    "POST": Scope.END,
}  # fmt: skip
"""The scope that a key needs for a request of each method."""
KEY = web.RequestKey("key", ApiKey)
"""The key of a request's caller; missing if the node has no keys."""
AUTHOR: web.RequestKey[Author] = web.RequestKey("author", Author)
"""The person who makes a request; absent if it is another service, or the API is open."""
SIZE = "bytes"
"""The key under which a request keeps the size of the text that it sets, for the log."""
MAX_FORWARDED_FOR = 200
"""Characters of X-Forwarded-For in the log; a client can write that header."""


class Api:
    """The routes below ``/api``."""

    def __init__(self, config: Config, admission: Admission) -> None:
        self._config = config
        self._admission = admission
        self._history = History(admission.origins)
        self._moderation = Moderation(config, admission.rulings)
        self._contract = files("collab.http").joinpath("openapi.json").read_bytes()
        self._turns = asyncio.Semaphore(MAX_REQUESTS)
        self._requests = 0
        self._store: Store
        self._rooms: Rooms
        self._directory: Directory
        self._questions: Questions

    def add_routes(self, app: web.Application) -> None:
        """Add ``/api`` to the application. The routes work after `open`."""
        api = web.Application(middlewares=[self._log_changes, self._check_access, self._take_turns])
        api.on_response_prepare.append(self._add_cors_headers)
        api.router.add_get("/openapi.json", self._openapi, name=OPENAPI)
        api.router.add_get("/rooms", self._list)
        room = api.router.add_resource("/rooms/{room}")
        for method, handler in (
            ("GET", self._get), ("HEAD", self._get), ("PUT", self._put), ("DELETE", self._delete),
        ):  # fmt: skip
            room.add_route(method, handler)
        history = api.router.add_resource("/rooms/{room}/history", name=HISTORY)
        for method in ("GET", "HEAD"):
            history.add_route(method, self._get_history)
        history.add_route("OPTIONS", self._preflight)
        self._moderation.add_routes(api)
        app.add_subapp("/api", api)

    def open(self, store: Store, questions: Questions, rooms: Rooms) -> None:
        """Set the parts of the node that the routes use; ``store`` is for the API alone.

        They start with the application, but its sub-applications must exist before.
        """
        self._store, self._questions, self._rooms = store, questions, rooms
        self._directory = Directory(store)

    # Access and logging

    @web.middleware
    async def _log_changes(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Log each request that changes something: its client and its outcome."""
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
                "action": request.get(ACTION),
                "outcome": outcome,
                "key": key.name if (key := request.get(KEY)) else None,
                "client": request.headers.get("X-Forwarded-For", "")[:MAX_FORWARDED_FOR] or None,
                "peer": request.remote,
            }
            known = {key: value for key, value in fields.items() if value is not None}
            log.info("api request", extra=known)

    @web.middleware
    async def _check_access(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Require a key or a person's token, if one is configured; a key not for histories."""
        open_to_all = (OPENAPI, HISTORY) if self._admission.is_open else (OPENAPI,)
        match = request.match_info
        if match.route.name in open_to_all or match.http_exception is not None:
            return await handler(request)
        if (scope := SCOPES.get(request.method)) is None:  # a preflight, which has no key
            return await handler(request)
        shown = request.headers.get("Authorization", "")
        caller = await self._admission.identify_caller(shown, scope)
        if isinstance(caller, ApiKey):
            request[KEY] = caller
        elif isinstance(caller, Grant):
            if match.route.name == REVOKE and caller.is_admin_everywhere:
                return await handler(request)
            if "room" not in match:
                raise RoomNotAllowed("this needs a key of the API, not a person's token", "")
            name = self._room_name(request)
            person = await self._admission.admit_caller(caller, scope, name)
            request[AUTHOR] = Author(person.subject, person.name)
        return await handler(request)

    @web.middleware
    async def _take_turns(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Handle at most `MAX_REQUESTS` at once. Raises NodeFull if too many wait.

        Histories are sent at the pace of their readers and have a limit of their own.
        """
        if request.match_info.route.name == HISTORY:
            return await handler(request)
        if self._requests >= MAX_REQUESTS + MAX_WAITING_REQUESTS:
            raise NodeFull("too many requests to the API wait on this node")
        self._requests += 1
        try:
            async with self._turns:
                return await handler(request)
        finally:
            self._requests -= 1

    def _room_name(self, request: web.Request) -> str:
        return check_room(request.match_info["room"], self._config.max_room_name)

    # Rooms

    async def _openapi(self, request: web.Request) -> web.Response:
        return web.Response(body=self._contract, content_type="application/json")

    async def _list(self, request: web.Request) -> web.Response:
        given = query(request, "cursor", "limit")
        cursor = integer(given, "cursor", 0, 0, MAX_CURSOR)
        limit = integer(given, "limit", DEFAULT_PAGE, 1, MAX_PAGE)
        listed, next_cursor = await self._directory.page(cursor, limit)
        rooms = [
            {
                "room": line.room,
                "changed_at": iso_time(line.changed),
                "expires_in": _seconds(line.expires_in),
            }
            for line in listed
        ]
        return json_response({"rooms": rooms, "cursor": str(next_cursor) if next_cursor else None})

    async def _get(self, request: web.Request) -> web.Response:
        name = self._room_name(request)
        query(request)
        status, people = await asyncio.gather(
            self._directory.status(name), census.query(self._questions, name)
        )
        if status is None and not people:
            raise NoSuchRoom("there is no such room")
        code = status.code if status else None
        if status and code is None:  # the last commit has not set the snapshot yet
            code = await fetch_text(self._store, name)
        room = {
            "room": name,
            "code": code,
            "members": [person.payload() for person in people],
            "changed_at": iso_time(status.changed) if status else None,
            "expires_in": _seconds(status.expires_in) if status else None,
            "node": self._config.node_id,
        }
        return json_response(room)

    async def _put(self, request: web.Request) -> web.Response:
        name = self._room_name(request)
        query(request)
        only_new = requires_new_room(request)
        max_bytes = self._config.max_code_bytes
        fields = await read_fields(
            request, {"code", "base"}, self._config.max_frame_bytes, self._config.body_timeout
        )
        code, base = check_code(fields.get("code"), max_bytes), fields.get("base")
        request[SIZE] = len(code.encode())
        if base is not None:
            base = check_code(base, max_bytes, "base")
        author = request.get(AUTHOR, CALLER)
        if only_new:
            await self._rooms.create(name, code, author)
            text, created = code, True
        else:
            text, created = await self._merge(name, code, base, author)
        stored = {"room": name, "node": self._config.node_id}
        if (key := request.get(KEY)) is None or Scope.READ in key.scopes:
            stored["code"] = text
        return json_response(stored, 201 if created else 200)

    async def _merge(
        self, name: str, code: str, base: str | None, author: Author
    ) -> tuple[str, bool]:
        """Merge a text into the room; return the merged text, and whether the room is new."""
        for _ in range(MAX_TRIES - 1):
            # If the room is ended in the meantime, the text begins the next room.
            with contextlib.suppress(RoomClosed):
                return await self._merge_once(name, code, base, author)
        return await self._merge_once(name, code, base, author)

    async def _merge_once(
        self, name: str, code: str, base: str | None, author: Author
    ) -> tuple[str, bool]:
        room = await self._rooms.acquire(name)
        try:
            created = not room.exists
            async with asyncio.timeout(COMMIT_TIMEOUT):
                await (await room.merge_text(code, base, author))
            return room.text, created
        except TimeoutError:
            raise StoreUnavailable(
                "Redis has not confirmed the text, which may be in the room; read before you retry"
            ) from None
        finally:
            self._rooms.release(name)

    async def _delete(self, request: web.Request) -> web.Response:
        name = self._room_name(request)
        query(request)
        for condition, _ in conditions(request):
            raise BadRequest(f"{condition} is not supported: a DELETE ends a room with any text")
        if not await self._directory.end(name, self._config.room_ttl):
            if not await census.query(self._questions, name):
                raise NoSuchRoom("there is no such room")
            await self._directory.end(name, self._config.room_ttl, force=True)
        return web.Response(status=204)

    # History

    async def _get_history(self, request: web.Request) -> web.StreamResponse:
        name = self._room_name(request)
        form = query(request, "format").get("format", "deltas")
        if form not in ("deltas", "updates"):
            raise BadRequest("format must be deltas or updates")
        with self._history.slot():
            playback = await fetch_playback(self._store, name)
            if playback is None:
                raise NoSuchRoom("there is no such room")
            return await self._history.stream(request, name, form, playback)

    async def _preflight(self, request: web.Request) -> web.Response:
        """Tell a browser that a page may send its token with a request for a history."""
        return web.Response(status=204)

    async def _add_cors_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        if request.match_info.route.name == HISTORY:
            self._history.add_cors_headers(request, response)


def _seconds(left: float | None) -> int | None:
    return None if left is None else int(left)
