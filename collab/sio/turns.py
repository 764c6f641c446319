"""Clients that send a change only when the one before is acknowledged.

socket.io-client does so with its option ``retries``. A change waits in such a client, and PONGs
don't: it comes behind the PONGs of receives that it was not made from. What waited is sent in the
moment in which the acknowledgement arrives. A PING is written before each acknowledgement, and
changes that have waited come right behind its PONG; those of people come at any time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

AT_ONCE: Final = 0.01
"""Seconds within which a WebSocket brings what a client sends together."""
SOON: Final = 9 * AT_ONCE
"""Seconds after a PONG in which people's changes are counted, to compare: eight come in it for one
that comes at once."""
MIN_WAITED: Final = 3
"""Changes right behind such a PONG that are no chance, if as many did not come soon after one."""
IDLE: Final = 3 * AT_ONCE
"""Seconds after such a PONG in which nothing comes from a client that keeps nothing back."""


class Turns:
    """Whether one client's changes wait for acknowledgements.

    One that sends a change before the acknowledgement of another has arrived does not wait, and is
    written no more PINGs for it.
    """

    __slots__ = (
        "_answered",
        "_at_once",
        "_clock",
        "_on_idle",
        "_overlaps",
        "_since",
        "_soon",
        "_took",
    )

    def __init__(self, clock: Callable[[], float], on_idle: Callable[[], None]) -> None:
        """``clock`` is monotonic, in seconds; ``on_idle`` is called when nothing waits any more."""
        self._clock = clock
        self._on_idle = on_idle
        self._overlaps = False
        self._since: float | None = None
        self._answered = 0.0
        self._took = 0.0
        self._at_once = 0
        self._soon = 0

    @property
    def waits(self) -> bool:
        """Whether the client's changes wait."""
        return not self._overlaps and self._at_once >= max(MIN_WAITED, self._soon)

    def change(self) -> bool:
        """Take in a change; return whether it has waited."""
        now = self._clock()
        self._overlaps |= self._since is not None
        if self._overlaps:
            return False
        self._since = now
        if self._took < 2 * AT_ONCE:
            return False  # hardly anybody types as fast as that
        at_once = now - self._answered < AT_ONCE
        self._at_once += at_once
        self._soon += not at_once and now - self._answered < SOON
        return at_once and self.waits

    def acknowledging(self) -> Callable[[], None] | None:
        """Return what the PONG to a PING before an acknowledgement is to call.

        None if no PING is to be written.
        """
        return None if self._overlaps or self._since is None else self._acknowledged

    def _acknowledged(self) -> None:
        if self._since is not None:
            self._answered = self._clock()
            self._took = self._answered - self._since
            self._since = None
            if self.waits:
                asyncio.get_running_loop().call_later(IDLE, self._idle)

    def _idle(self) -> None:
        if self._since is None:
            self._on_idle()
