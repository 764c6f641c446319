"""``/api/docs``: the contract as a page, on which people can also try the API.

The page is Swagger UI. A package that contains its files brings them (docs/dependencies.md); the
package's own code does not run.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from aiohttp import web

DOCS, DOCS_ASSET = "docs", "docs-asset"
"""The names of the routes of the page, which need no key, like the contract that it shows."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Allow only this origin and nothing inline. Icons in Swagger UI's style sheet are data: URLs."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-cache",
}

_OWN = Path(str(files("collab.http"))) / "docs"
_SWAGGER_UI = Path(str(files("mkdocs_swagger_ui_tag"))) / "swagger-ui"
_ASSETS = {
    path.name: path
    for path in (
        _OWN / "start.js",
        _SWAGGER_UI / "javascripts" / "swagger-ui-bundle.js",
        _SWAGGER_UI / "stylesheets" / "swagger-ui.css",
    )
}
"""The assets by name, so that a name from a client never reaches the file system."""


def add_docs_page(api: web.Application) -> None:
    """Serve the page beside the contract, at ``docs``."""
    api.router.add_get("/docs", _page, name=DOCS)
    api.router.add_get("/docs/{name}", _asset, name=DOCS_ASSET)


async def _page(request: web.Request) -> web.FileResponse:
    return web.FileResponse(_OWN / "index.html", headers=HEADERS)


async def _asset(request: web.Request) -> web.FileResponse:
    path = _ASSETS.get(request.match_info["name"])
    if path is None:
        raise web.HTTPNotFound
    return web.FileResponse(path, headers=HEADERS)
