"""How the connection of a Yjs client ends: with which code, why, and what counts as its mistake."""

from __future__ import annotations

from typing import Final

from aiohttp import WSCloseCode

from collab.config import Config
from collab.metrics import Metrics
from collab.wire.websocket import Farewell, WebSocket

TOO_LARGE: Final = 4413
"""Close code that y-websocket takes for final, after HTTP's 413: to come again mends nothing."""
BAD_ROOM: Final = 4400
"""Close code that y-websocket takes for final, after HTTP's 400."""
ROOM_CLOSED: Final = 4410
"""Close code, final too, after HTTP's 410: somebody has ended the room."""
CLOSE_TIMEOUT: Final = 3.0
"""Seconds a client has to answer that the connection is closed."""


class Ended(Exception):
    """The connection is to be closed, or is, with this code and for this reason.

    ``word`` is the machine word of what the client did wrong, '' if nothing.
    """

    def __init__(self, code: int, reason: str, word: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.word = word


def new_websocket(config: Config, metrics: Metrics) -> WebSocket:
    """Return a WebSocket whose client is told its violations of the WebSocket protocol."""
    violations = {
        WSCloseCode.PROTOCOL_ERROR: ("not a WebSocket frame", "bad_frame"),
        WSCloseCode.INVALID_TEXT: ("a text frame is not UTF-8", "bad_frame"),
        WSCloseCode.MESSAGE_TOO_BIG: (
            f"a frame is over {config.max_frame_bytes} bytes",
            "frame_too_large",
        ),
    }

    def farewell(code: int) -> Farewell:
        reason, word = violations[WSCloseCode(code)]
        metrics.errors.labels(word).inc()
        return Farewell(reason=reason)

    return WebSocket(
        max_message_bytes=config.max_frame_bytes,
        farewell=farewell,
        close_timeout=CLOSE_TIMEOUT,
        heartbeat=config.ping_interval,
        deflate=config.deflate,
    )


async def close(ws: WebSocket, ended: Ended, metrics: Metrics) -> None:
    """Close a connection; count what the client did wrong, if it can be told."""
    if ended.word and ws.is_open:
        metrics.errors.labels(ended.word).inc()
    await ws.close_or_abort(ended.code, ended.reason)
