"""How a draining node sends the client of an Engine.IO session to another node."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from collab.errors import Draining
from collab.sio.packets import UNKNOWN_PACKET
from collab.wire.websocket import RESTART, WebSocket

SILENCE_TIMEOUT: Final = 0.5
"""Seconds without a request after which a polling client counts as having nothing to send."""
ANSWER_TIMEOUT: Final = 0.5
"""Seconds that the client has to answer each step, before the node goes on without the answer."""


class Leaving:
    """The progress of one session's move to another node, from its begin.

    ``over`` is set when the session has ended, and ``posted`` when a POST of a polling client has
    been handled.
    """

    def __init__(self) -> None:
        self.over = asyncio.Event()
        self.posted = asyncio.Event()

    async def send_away(
        self, ws: WebSocket, ping_packet: Callable[[Callable[[], None]], str]
    ) -> None:
        """End a WebSocket session so that the client keeps the events that it emits meanwhile.

        A Close frame would come too early: between it and the end of the connection, `ws` and
        browsers discard what socket.io-client sends, which believes that it is connected. After a
        packet of an unknown type engine.io-client itself ends the session at once. That packet is
        sent alone: `ws` delivers all frames of one segment together, and socket.io-client would
        handle the receives among them only after its next connect. Clients that ignore the packet
        are sent the Close frame.
        """
        answered = asyncio.Event()
        with contextlib.suppress(OSError, RuntimeError):
            await ws.send_messages([ping_packet(answered.set)])
            await _wait_for(ANSWER_TIMEOUT, answered)
            await ws.send_messages([UNKNOWN_PACKET])
            await _wait_for(ANSWER_TIMEOUT, self.over)
        if not self.over.is_set():
            await ws.announce_close(RESTART, str(Draining()))

    async def wait_for_last_post(self) -> None:
        """Wait for the right moment to end a polling client's session.

        The client discards the events that it has not put into a request by then. It has put all
        events into a request right after the response to the request before, and when it has been
        silent for `SILENCE_TIMEOUT`.
        """
        self.posted.clear()
        await _wait_for(SILENCE_TIMEOUT, self.posted)

    def end_soon(self) -> None:
        """End a polling session a little later: requests may have overtaken each other."""
        asyncio.get_running_loop().call_later(SILENCE_TIMEOUT, self.over.set)


async def _wait_for(seconds: float, event: asyncio.Event) -> None:
    """Wait until ``event`` is set, for ``seconds`` at most."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
