"""The editor page. Its bundle is part of the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from aiohttp import web

from collab.names import ROOM_CHARACTERS

DIST = Path(str(files("collab"))) / "page" / "dist"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Allow only this origin and nothing inline: CodeMirror uses adopted style sheets."""

_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


_ASSETS = {path.name: path for path in (DIST / "assets").iterdir()}
"""The assets by name, so that a name from a client never reaches the file system."""


def add_routes(app: web.Application) -> None:
    """Serve the page at ``/``, and its assets, whose names change with their content."""
    app.router.add_get("/", _page)
    app.router.add_get("/assets/{name}", _asset)
    app.router.add_get("/{room}/playback", _playback)


async def _page(request: web.Request) -> web.FileResponse:
    return web.FileResponse(DIST / "index.html", headers={**_HEADERS, "Cache-Control": "no-cache"})


async def _playback(request: web.Request) -> web.Response:
    """Redirect to the page at ``/``, because the URLs of its assets are relative."""
    room = request.match_info["room"]
    if not ROOM_CHARACTERS.fullmatch(room):
        raise web.HTTPNotFound
    raise web.HTTPFound(f"/?room={quote(room, safe='')}&playback")


async def _asset(request: web.Request) -> web.FileResponse:
    path = _ASSETS.get(request.match_info["name"])
    if path is None:
        raise web.HTTPNotFound
    cached = {"Cache-Control": "public, max-age=31536000, immutable"}
    return web.FileResponse(path, headers={**_HEADERS, **cached})
