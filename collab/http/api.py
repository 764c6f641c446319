"""``/api``: rooms for the other services. The routes are in `rooms`, `history` and `moderation`.

docs/http-api.md describes its use; openapi.json in this directory is its contract.
"""

from __future__ import annotations

import asyncio
import logging
from importlib.resources import files

from aiohttp import web

from collab.access.grant import Grant
from collab.admission import Admission
from collab.api_keys import ApiKey, Scope
from collab.config import Config
from collab.errors import NodeFull, RoomNotAllowed
from collab.http.bodies import Handler
from collab.http.docs_page import DOCS, DOCS_ASSET, add_docs_page
from collab.http.edge import code_of
from collab.http.history import HISTORY, History
from collab.http.moderation import ACTION, REVOKE, Moderation
from collab.http.parameters import room_name
from collab.http.rooms import KEY, PERSON, SIZE, RoomRoutes
from collab.rooms.registry import Rooms
from collab.store.questions import Questions
from collab.store.store import Store

log = logging.getLogger(__name__)

MAX_REQUESTS, MAX_WAITING_REQUESTS = 16, 256
"""Requests that a node handles at once, and more that wait for their turn: a burst of an honest
caller waits, and no number of requests leaves the edits of the rooms without time."""
OPENAPI = "openapi"
"""The name of the route of the contract."""
OPEN_TO_ALL = (OPENAPI, DOCS, DOCS_ASSET)
"""The routes that need no key."""
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
MAX_FORWARDED_FOR = 200
"""Characters of X-Forwarded-For in the log; a client can write that header."""


class Api:
    """The application of ``/api``: who may call it, how many requests at once, and its log."""

    def __init__(self, config: Config, admission: Admission) -> None:
        self._config = config
        self._admission = admission
        self._rooms = RoomRoutes(config)
        self._history = History(config, admission.origins)
        self._moderation = Moderation(config, admission.rulings)
        self._contract = files("collab.http").joinpath("openapi.json").read_bytes()
        self._turns = asyncio.Semaphore(MAX_REQUESTS)
        self._requests = 0

    def add_routes(self, app: web.Application) -> None:
        """Add ``/api`` to the application. The routes work after `open`."""
        api = web.Application(middlewares=[self._log_changes, self._check_access, self._take_turns])
        api.on_response_prepare.append(self._add_cors_headers)
        api.router.add_get("/openapi.json", self._openapi, name=OPENAPI)
        add_docs_page(api)
        self._rooms.add_routes(api)
        self._history.add_routes(api)
        self._moderation.add_routes(api)
        app.add_subapp("/api", api)

    def open(self, store: Store, questions: Questions, rooms: Rooms) -> None:
        """Set the parts of the node that the routes use; ``store`` is for the API alone.

        They start with the application, but its sub-applications must exist before.
        """
        self._rooms.open(store, questions, rooms)
        self._history.open(store)

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
        open_to_all = (*OPEN_TO_ALL, HISTORY) if self._admission.is_open else OPEN_TO_ALL
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
            name = room_name(request, self._config.max_room_name)
            request[PERSON] = await self._admission.admit_caller(caller, scope, name)
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

    async def _openapi(self, request: web.Request) -> web.Response:
        return web.Response(body=self._contract, content_type="application/json")

    async def _add_cors_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        if request.match_info.route.name == HISTORY:
            self._history.add_cors_headers(request, response)
