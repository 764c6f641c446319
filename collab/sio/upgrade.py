"""How a polling client switches an Engine.IO session to a WebSocket."""

from __future__ import annotations

import asyncio
from typing import Final

from collab.sio import packets as eio
from collab.wire.frames import Message
from collab.wire.outbox import Outbox
from collab.wire.websocket import Closed, WebSocket

UPGRADE_TIMEOUT: Final = 10.0
"""Seconds that an upgrade may take: meanwhile each poll is answered, and sent again, at once."""


class Upgrade:
    """The progress of one session's upgrade.

    ``settled`` is clear while the client switches: nothing is sent then.
    """

    def __init__(self, outbox: Outbox[Message]) -> None:
        self.settled = asyncio.Event()
        self.settled.set()
        self._outbox = outbox

    async def complete(self, ws: WebSocket) -> bool:
        """Let the client switch to ``ws``; return whether it did, within `UPGRADE_TIMEOUT`."""
        try:
            return await self._switch(ws)
        finally:
            self.settled.set()

    async def _switch(self, ws: WebSocket) -> bool:
        try:
            async with asyncio.timeout(UPGRADE_TIMEOUT):
                if await ws.read() != "2probe":
                    return False
                # The client switches when it has this answer and no poll is open, so from now on
                # no poll may wait. Before, polls go on: a WebSocket that hangs must not stop the
                # session.
                self.settled.clear()
                await ws.send_messages(["3probe"])
                self._outbox.put_slot("noop", eio.noop)
                return await ws.read() == "5"
        except (TimeoutError, OSError, Closed):
            return False
