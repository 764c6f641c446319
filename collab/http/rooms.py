"""The routes of ``/api`` for rooms: list them, and read, set and end one."""

from __future__ import annotations

import asyncio
import contextlib

from aiohttp import web

from collab.api_keys import ApiKey, Scope
from collab.config import Config
from collab.errors import BadRequest, NoSuchRoom, RoomClosed, StoreUnavailable
from collab.http.bodies import iso_time, json_response, read_fields
from collab.http.parameters import conditions, integer, query, requires_new_room, room_name
from collab.names import check_code
from collab.rooms import census
from collab.rooms.author import API, Author
from collab.rooms.identity import Identity
from collab.rooms.playback import fetch_text
from collab.rooms.registry import Rooms
from collab.store.directory import Directory
from collab.store.questions import Questions
from collab.store.store import Store

CALLER = Author("api", "API", client=API)
"""The author of the edit that a PUT with a key makes; with a token it is the token's bearer."""
COMMIT_TIMEOUT = 10.0
"""Seconds that a PUT waits until Redis has confirmed it."""
MAX_TRIES = 3
"""Times that a PUT tries to merge while a DELETE ends the room each time."""
DEFAULT_PAGE, MAX_PAGE = 100, 1000
"""Rooms on one page of the list; each room costs Redis two commands."""
MAX_CURSOR = 2**64 - 1
"""SCAN's cursors are 64 bits."""
KEY = web.RequestKey("key", ApiKey)
"""The key of a request's caller; missing if the node has no keys."""
PERSON = web.RequestKey("person", Identity)
"""The person who makes a request; absent if it is another service, or the API is open."""
SIZE = "bytes"
"""The key under which a request keeps the size of the text that it sets, for the log."""


class RoomRoutes:
    """The routes below ``/api/rooms``, except those for histories and people."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._store: Store
        self._rooms: Rooms
        self._directory: Directory
        self._questions: Questions

    def add_routes(self, api: web.Application) -> None:
        """Add the routes to the application of ``/api``. They work after `open`."""
        api.router.add_get("/rooms", self._list)
        room = api.router.add_resource("/rooms/{room}")
        for method, handler in (
            ("GET", self._get), ("HEAD", self._get), ("PUT", self._put), ("DELETE", self._delete),
        ):  # fmt: skip
            room.add_route(method, handler)

    def open(self, store: Store, questions: Questions, rooms: Rooms) -> None:
        """Set the parts of the node that the routes use."""
        self._store, self._questions, self._rooms = store, questions, rooms
        self._directory = Directory(store)

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
        name = room_name(request, self._config.max_room_name)
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
        name = room_name(request, self._config.max_room_name)
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
        person = request.get(PERSON)
        if only_new:
            await self._rooms.create(name, code, _author(person), person)
            text, created = code, True
        else:
            text, created = await self._merge(name, code, base, person)
        stored = {"room": name, "node": self._config.node_id}
        if (key := request.get(KEY)) is None or Scope.READ in key.scopes:
            stored["code"] = text
        return json_response(stored, 201 if created else 200)

    async def _merge(
        self, name: str, code: str, base: str | None, person: Identity | None
    ) -> tuple[str, bool]:
        """Merge a text into the room; return the merged text, and whether the room is new."""
        for _ in range(MAX_TRIES - 1):
            # If the room is ended in the meantime, the text begins the next room.
            with contextlib.suppress(RoomClosed):
                return await self._merge_once(name, code, base, person)
        return await self._merge_once(name, code, base, person)

    async def _merge_once(
        self, name: str, code: str, base: str | None, person: Identity | None
    ) -> tuple[str, bool]:
        room = await self._rooms.acquire(name, person)
        try:
            created = not room.exists
            async with asyncio.timeout(COMMIT_TIMEOUT):
                await (await room.merge_text(code, base, _author(person), person))
            return room.text, created
        except TimeoutError:
            raise StoreUnavailable(
                "Redis has not confirmed the text, which may be in the room; read before you retry"
            ) from None
        finally:
            self._rooms.release(name)

    async def _delete(self, request: web.Request) -> web.Response:
        name = room_name(request, self._config.max_room_name)
        query(request)
        for condition, _ in conditions(request):
            raise BadRequest(f"{condition} is not supported: a DELETE ends a room with any text")
        if not await self._directory.end(name, self._config.room_ttl):
            if not await census.query(self._questions, name):
                raise NoSuchRoom("there is no such room")
            await self._directory.end(name, self._config.room_ttl, force=True)
        return web.Response(status=204)


def _author(person: Identity | None) -> Author:
    return CALLER if person is None else Author(person.subject, person.name, client=API)


def _seconds(left: float | None) -> int | None:
    return None if left is None else int(left)
