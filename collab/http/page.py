"""The editor page. Its bundle is part of the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from aiohttp import web

from collab.names import ROOM_CHARACTERS
from collab.origins import Origins

DIST = Path(str(files("collab"))) / "page" / "dist"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'; frame-ancestors {}"
)
"""Allow only this origin and nothing inline: CodeMirror uses adopted style sheets."""

_ASSETS = {path.name: path for path in (DIST / "assets").iterdir()}
"""The assets by name, so that a name from a client never reaches the file system."""


class Page:
    """The page, which pages of the service's own origin and ``frame_ancestors`` may embed."""

    def __init__(self, frame_ancestors: Origins) -> None:
        others = frame_ancestors.allowed
        ancestors = "*" if others is None else " ".join(["'self'", *sorted(others)])
        self._headers = {
            "Content-Security-Policy": POLICY.format(ancestors),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
        }

    def add_routes(self, app: web.Application) -> None:
        """Serve the page at ``/``, and its assets, whose names change with their content."""
        app.router.add_get("/", self._page)
        app.router.add_get("/assets/{name}", self._asset)
        app.router.add_get("/{room}/playback", self._playback)

    async def _page(self, request: web.Request) -> web.FileResponse:
        headers = {**self._headers, "Cache-Control": "no-cache"}
        return web.FileResponse(DIST / "index.html", headers=headers)

    async def _playback(self, request: web.Request) -> web.Response:
        """Redirect to the page at ``/``, because the URLs of its assets are relative."""
        room = request.match_info["room"]
        if not ROOM_CHARACTERS.fullmatch(room):
            raise web.HTTPNotFound
        location = f"/?room={quote(room, safe=':')}&playback"
        return web.Response(status=302, headers={"Location": location})

    async def _asset(self, request: web.Request) -> web.FileResponse:
        path = _ASSETS.get(request.match_info["name"])
        if path is None:
            raise web.HTTPNotFound
        cached = {"Cache-Control": "public, max-age=31536000, immutable"}
        return web.FileResponse(path, headers={**self._headers, **cached})
