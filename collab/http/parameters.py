"""The parameters in a request's path and query, and its conditional headers."""

from __future__ import annotations

from aiohttp import web

from collab.errors import BadRequest
from collab.names import check_room

CONDITIONS = ("If-Match", "If-None-Match", "If-Unmodified-Since", "If-Modified-Since")


def room_name(request: web.Request, max_length: int) -> str:
    """Return the room in the request's path. Raises BadRoom."""
    return check_room(request.match_info["room"], max_length)


def query(request: web.Request, *known: str) -> dict[str, str]:
    """Return the parameters of the query. Raises BadRequest if one is unknown or given twice."""
    given: dict[str, str] = {}
    for name, value in request.query.items():
        if name not in known:
            raise BadRequest(f"there is no parameter {name!r:.100}")
        if name in given:
            raise BadRequest(f"{name} is given twice")
        given[name] = value
    return given


def integer(given: dict[str, str], name: str, default: int, low: int, high: int) -> int:
    """Return a parameter of the query, an integer from ``low`` to ``high``. Raises BadRequest."""
    raw = given.get(name, str(default))
    if not raw.isascii() or not raw.isdigit() or len(raw) > 20 or not low <= int(raw) <= high:
        raise BadRequest(f"{name} must be a whole number between {low} and {high}")
    return int(raw)


def conditions(request: web.Request) -> list[tuple[str, str]]:
    """Return the request's conditional headers, each with its value."""
    headers = request.headers
    return [(name, value.strip()) for name in CONDITIONS for value in headers.getall(name, ())]


def requires_new_room(request: web.Request) -> bool:
    """Whether a PUT may only create a room. Raises BadRequest for any other condition.

    A PUT that ignored a condition would overwrite a text that its sender wanted to keep.
    """
    found = conditions(request)
    if found and found != [("If-None-Match", "*")]:
        raise BadRequest(
            f"{found[0][0]} is not supported, because texts have no tags: send the text that you "
            "have read as base, or only If-None-Match: * to create a room"
        )
    return bool(found)
