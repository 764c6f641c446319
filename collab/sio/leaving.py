"""How a node that drains sends the client of an Engine.IO session to another node."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from engineio.packet import Packet

from collab.errors import Draining
from collab.sio.packets import UNKNOWN_PACKET
from collab.wire.websocket import RESTART, WebSocket

SILENCE_TIMEOUT: Final = 0.5
"""Seconds without a request after which a polling client that is sent away has nothing to say."""
ANSWER_TIMEOUT: Final = 0.5
"""Seconds that a client which is sent away has to answer, before the node goes on regardless."""


class Leaving:
    """How far one session has come on its way to another node.

    ``begun`` says that the client is to be sent away, ``over`` that its session has ended; whoever
    handles a polling client's POST sets ``posted``.
    """

    def __init__(self) -> None:
        self.begun = False
        self.over = asyncio.Event()
        self.posted = asyncio.Event()

    async def send_away(
        self, ws: WebSocket, ping_packet: Callable[[Callable[[], None]], Packet]
    ) -> None:
        """Tell the client of a WebSocket to go, in a way in which it keeps what it emits meanwhile.

        A Close frame comes too early: from then on until the connection has ended, `ws` and
        browsers discard what socket.io-client, which believes itself connected, sends. At a packet
        of no known type engine.io-client itself ends the session at once. That packet goes alone:
        `ws` hands on all frames of one segment together, and socket.io-client would keep the
        receives among them for after its next connect. Other clients are sent the Close frame.
        """
        answered = asyncio.Event()
        with contextlib.suppress(OSError, RuntimeError):
            await ws.send_messages([ping_packet(answered.set).encode()])
            await _wait_for(ANSWER_TIMEOUT, answered)
            await ws.send_messages([UNKNOWN_PACKET])
            await _wait_for(ANSWER_TIMEOUT, self.over)
        if not self.over.is_set():
            await ws.announce_close(RESTART, str(Draining()))

    async def wait_for_last_post(self) -> None:
        """Wait for the moment to tell a polling client to go.

        What it has not put into a request when it hears of it, it throws away. It has put
        everything into one right after the answer to the one before, or if it has nothing to say.
        """
        self.posted.clear()
        await _wait_for(SILENCE_TIMEOUT, self.posted)

    def end_soon(self) -> None:
        """End a polling session that is over, when requests that overtook each other are here."""
        asyncio.get_running_loop().call_later(SILENCE_TIMEOUT, self.over.set)


async def _wait_for(seconds: float, event: asyncio.Event) -> None:
    """Wait until ``event`` is set, for ``seconds`` at the most."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
