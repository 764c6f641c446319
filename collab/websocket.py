"""How a node ends a WebSocket whose client still has something to say."""

from __future__ import annotations

import contextlib

from aiohttp import web

MAX_REASON = 120
"""Bytes of the reason for a close, in a frame that has 125."""
RESTART = 1012
"""Close code of a node that shuts down: clients connect again."""


async def announce_close(ws: web.WebSocketResponse, code: int, reason: str) -> None:
    """Send the Close frame; the connection stays until the client answers with its own.

    aiohttp's `close` would throw away what comes until then. Nothing can be written afterwards. It
    leans on a private attribute of aiohttp 3.14 (tests/unit/test_engine.py).
    """
    if ws._writer is not None and not ws.closed:
        with contextlib.suppress(OSError):
            await ws._writer.close(code, reason.encode()[:MAX_REASON])
