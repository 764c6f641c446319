"""How the connection of a Yjs client ends: the close code, the reason, and the client's mistake."""

from __future__ import annotations

from typing import Final

from aiohttp import WSCloseCode

from collab.budget import Meter
from collab.config import Config
from collab.errors import CollabError, Unauthorized
from collab.metrics import Metrics
from collab.wire.websocket import Farewell, WebSocket

TOO_LARGE: Final = 4413
"""Close code after HTTP's 413. y-websocket does not reconnect after it: that would not help."""
BAD_ROOM: Final = 4400
"""Close code after HTTP's 400. y-websocket does not reconnect after it."""
UNAUTHORIZED: Final = 4401
"""Close code after HTTP's 401: no token, or one that is not accepted. y-websocket does not
reconnect after it."""
NOT_ALLOWED: Final = 4403
"""Close code after HTTP's 403: not in this room, or removed from it. y-websocket does not reconnect
after it."""
ROOM_CLOSED: Final = 4410
"""Close code after HTTP's 410: the room has been ended. y-websocket does not reconnect after it."""
TRY_LATER: Final = 1013
"""WebSocket's close code of a client that may connect again later: the room is full, it sent too
much, or the service that verifies tokens does not answer. y-websocket connects again."""
CLOSE_TIMEOUT: Final = 3.0
"""Seconds that a client has to answer a Close frame."""


class Ended(Exception):
    """The connection must be closed, or has been, with this code and for this reason.

    ``word`` is the error code of the client's mistake, '' if it made none.
    """

    def __init__(self, code: int, reason: str, word: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.word = word


def refused(problem: CollabError) -> Ended:
    """Return how the connection of a client ends that may not, or not now, be in the room."""
    if problem.retryable:
        return Ended(TRY_LATER, str(problem), problem.code)
    if isinstance(problem, Unauthorized):
        return Ended(UNAUTHORIZED, f"{problem.reason}: {problem}", problem.code)
    return Ended(NOT_ALLOWED, str(problem), problem.code)


def new_websocket(config: Config, metrics: Metrics, meter: Meter | None = None) -> WebSocket:
    """Return a WebSocket that counts violations of the protocol and reports them to the client.

    ``meter`` is that of the client.
    """
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
        heartbeat=(config.ping_interval, config.ping_timeout),
        deflate=config.deflate,
        meter=meter,
    )


async def dismiss(ws: WebSocket, ended: Ended, metrics: Metrics) -> None:
    """Close the connection of a client that uses too much; nothing that it sends is kept."""
    metrics.errors.labels(ended.word).inc()
    await ws.dismiss((), ended.code, ended.reason)


async def close(ws: WebSocket, ended: Ended, metrics: Metrics) -> None:
    """Close a connection; count the client's mistake if the reason can still be sent."""
    if ended.word and ws.is_open:
        metrics.errors.labels(ended.word).inc()
    await ws.close_or_abort(ended.code, ended.reason)
