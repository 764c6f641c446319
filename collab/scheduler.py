"""The fair scheduler of clients' messages: who has a short queue, and has used least, is next.

Flows without a queue come before flows with one, as in FQ-CoDel (RFC 8290, section 4.2), and within
the same length those with the smallest usage, as in fair queueing.
"""

from __future__ import annotations

import asyncio
import heapq
from itertools import count
from typing import Final

SLICE: Final = 0.005
"""Seconds of handling messages in one round of the event loop, if each message takes less."""
UNKNOWN_COST: Final = 0.0005
"""Seconds that are expected of a message while nothing is known of its client's."""
FEW: Final = 4
"""A client with fewer messages behind one has no queue: a typist's have up to two PONGs behind."""
MAX_QUEUED: Final = 4 * FEW
"""Messages behind one of the same client beyond which more make no difference."""


class Scheduler:
    """Lets the messages of all clients be handled in slices, one in each round of the event loop.

    While there is little to do, a message is handled at once. When a slice is used up, all other
    messages wait for later rounds. First are those of clients that have few further messages
    ready, and of these, of clients that will have used least (`Meter.used_after`). So a client
    that types waits for one costly message of others, not for all that hundreds of connections
    have sent.
    """

    def __init__(self) -> None:
        self.is_free = True
        """Whether a message may be handled at once."""
        self.arrived = 0.0
        """When the message arrived that is being handled, in monotonic seconds; 0.0 between two."""
        self._worked = 0.0
        self._waiting: list[tuple[int, float, int, float, asyncio.Future[None]]] = []
        self._numbers = count()

    def add(self, busy: float) -> None:
        """Count ``busy`` seconds, for which a message was handled."""
        self._worked += busy
        if self._worked >= SLICE and self.is_free:
            self._schedule()

    def turn(self, used: float, busy: float, *, queued: int) -> asyncio.Future[None]:
        """Return a Future that is done when a message may be handled.

        ``queued`` is how many messages of the client are ready behind it: those with fewer than
        `FEW` are first, and of these those with the smallest ``used``: when the client's budgets
        will be full again after the message. ``busy`` is how many seconds it takes, probably.
        """
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        rank = min(queued, MAX_QUEUED) // FEW
        heapq.heappush(self._waiting, (rank, used, next(self._numbers), busy, turn))
        if self.is_free:
            self._schedule()
        return turn

    def _schedule(self) -> None:
        self.is_free = False
        asyncio.get_running_loop().call_soon(self._begin_slice)

    def _begin_slice(self) -> None:
        self.is_free = True
        self._worked = expected = 0.0
        while self._waiting and expected < SLICE:
            *_, busy, turn = heapq.heappop(self._waiting)
            if not turn.done():  # its client may have disconnected
                turn.set_result(None)
                expected += busy
        if self._waiting:
            self._schedule()
