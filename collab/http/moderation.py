"""Removes members of rooms, changes their roles, and revokes the tokens of people.

What is decided here is in `collab.access.rulings`, which tells all nodes.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from collab.access.grant import is_subject
from collab.access.ruling import EVERYWHERE
from collab.access.rulings import Rulings
from collab.config import Config
from collab.errors import BadRequest
from collab.http.bodies import json_response, read_fields
from collab.http.parameters import query, room_name
from collab.rooms.identity import Role

REVOKE: Final = "revoke"
"""The name of the route that revokes tokens, and what the log says of it."""
ACTIONS: Final = {"remove": None, "make_viewer": Role.VIEWER, "make_editor": Role.EDITOR}
"""What can be done with a member, and the role that it has afterwards; None for none."""
ACTION: Final = "action"
"""The field that says which, and the key under which a request keeps it, for the log."""
MAX_BODY: Final = 1024
"""Bytes of a request's body, which has one word."""


class Moderation:
    """The routes below ``/api`` that act on people."""

    def __init__(self, config: Config, rulings: Rulings) -> None:
        self._config = config
        self._rulings = rulings

    def add_routes(self, api: web.Application) -> None:
        """Add the routes to the application of ``/api``."""
        api.router.add_post("/rooms/{room}/members/{id}", self._rule)
        api.router.add_post("/subjects/{subject}/revoke", self._revoke, name=REVOKE)

    async def _rule(self, request: web.Request) -> web.Response:
        room = room_name(request, self._config.max_room_name)
        id = _checked_id(request.match_info["id"])
        query(request)
        fields = await read_fields(request, {ACTION}, MAX_BODY, self._config.body_timeout)
        action = fields.get(ACTION)
        if not isinstance(action, str) or action not in ACTIONS:
            raise BadRequest(f"{ACTION} must be one of {', '.join(ACTIONS)}")
        request[ACTION] = action
        subject, connections = await self._rulings.rule(id, room, ACTIONS[action])
        told = {"room": room, "subject": subject, ACTION: action, "connections": connections}
        return json_response(told)

    async def _revoke(self, request: web.Request) -> web.Response:
        subject = _checked_id(request.match_info["subject"])
        query(request)
        await read_fields(request, frozenset(), MAX_BODY, self._config.body_timeout)
        request[ACTION] = REVOKE
        _, connections = await self._rulings.rule(subject, EVERYWHERE, None)
        return json_response({"subject": subject, "connections": connections})


def _checked_id(id: str) -> str:
    """Return ``id`` if it can be a member's id or a subject. Raises BadRequest."""
    if not is_subject(id):
        raise BadRequest("an id has 1 to 256 printable characters")
    return id
