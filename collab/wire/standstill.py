"""A node that stood still: first it hears what happened meanwhile, then it reads its clients.

A process may be stopped for seconds: by a hypervisor that moves it, by a machine without memory, by
SIGSTOP. Its clients leave it and are on other nodes, which asked for their views and got no answer.
When the node goes on, their last changes are in its sockets, and the questions of the other nodes
are in its pub/sub connection. Read in the wrong order, each of these changes would be in the room
twice: the client has sent it again to the other node.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from math import inf
from time import monotonic
from typing import Final, Protocol

log = logging.getLogger(__name__)

TICK: Final = 0.25
"""Seconds between two timers that show that the event loop runs."""
STOOD_STILL: Final = 1.0
"""Seconds without such a timer after which the node stood still. Another node waits so long for an
answer about a client (`CLAIM_TIMEOUT`): what takes less time is not noticed outside."""


class Held(Protocol):
    """A connection of a client."""

    def stop_for_standstill(self) -> None:
        """Read nothing more until `go_on_after_standstill`."""

    def go_on_after_standstill(self) -> None:
        """Read again, when it is the client's turn."""

    def data_received(self, data: bytes) -> None:
        """Handle what was read."""


class Standstill:
    """Notices that the node stood still, and holds all its clients back until it has caught up.

    ``late_at`` is the time (monotonic, in seconds) from which on what arrives must not be handled
    but given to `hold_back`. ``connections`` returns the open connections; ``catch_up`` hears what
    the other nodes have said meanwhile, within a bounded time.
    """

    def __init__(self) -> None:
        self.late_at = inf
        self.holding = False
        self.connections: Callable[[], Collection[Held]] = lambda: ()
        self._catch_up: Callable[[], Awaitable[None]] | None = None
        self._read: list[tuple[Held, bytes]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._catching_up: asyncio.Task[None] | None = None

    def open(self, catch_up: Callable[[], Awaitable[None]]) -> None:
        """Begin to watch the event loop."""
        self._catch_up = catch_up
        self._watch()

    async def close(self) -> None:
        """Stop watching."""
        if self._catching_up is not None:
            self._catching_up.cancel()
            await asyncio.wait([self._catching_up])
        if self._timer is not None:
            self._timer.cancel()
        self.late_at = inf

    def hold_back(self, connection: Held, data: bytes) -> None:
        """Keep what a client has sent to a node that stood still."""
        self._begin()
        self._read.append((connection, data))

    def _watch(self) -> None:
        self.late_at = monotonic() + TICK + STOOD_STILL
        self._timer = asyncio.get_running_loop().call_later(TICK, self._tick)

    def _tick(self) -> None:
        """Go on watching; the timer may be the first to show that the node stood still."""
        if monotonic() > self.late_at:
            self._begin()
        else:
            self._watch()

    def _begin(self) -> None:
        if self.holding:
            return
        self.holding = True
        late = monotonic() - self.late_at + STOOD_STILL
        log.warning("the node stood still", extra={"seconds": round(late, 1)})
        if self._timer is not None:
            self._timer.cancel()
        # In this round of the event loop each of them would otherwise read what its client has
        # sent all the time, and the node would hold more than it may.
        for connection in self.connections():
            connection.stop_for_standstill()
        self._catching_up = asyncio.create_task(self._hear_others())
        self._catching_up.add_done_callback(self._go_on)

    async def _hear_others(self) -> None:
        try:
            if self._catch_up is not None:
                await self._catch_up()
        except Exception:  # without the others' word the node still has to serve its clients
            log.exception("the node has not caught up after it stood still")

    def _go_on(self, _: asyncio.Task[None]) -> None:
        """Read all clients again, in callbacks of the event loop, as it reads them itself.

        A message is handled where it arrives, on behalf of its client's task: that is not possible
        within another task. And what one client has sent must not keep the others from being read.
        """
        self.holding = False
        self._watch()
        read, self._read = self._read, []
        loop, connections = asyncio.get_running_loop(), list(self.connections())
        still_open = set(connections)  # without those whose clients are elsewhere
        for connection, data in read:
            if connection in still_open:
                loop.call_soon(connection.data_received, data)
        for connection in connections:
            loop.call_soon(connection.go_on_after_standstill)
