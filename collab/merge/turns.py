"""Clients that send a change only after the previous one was acknowledged.

socket.io-client does this with its option ``retries``. Such a client keeps changes back, but not
PONGs: a change may arrive after the PONGs of receives that it was not made from.

Two PINGs detect whether changes wait. The first is written right before an acknowledgement, the
second when the first is answered. The client sends a waiting change at the moment when the
acknowledgement arrives, so the change arrives before the second PONG. (It need not arrive before
the first: a polling client handles everything in one response before it sends a waiting change.)
The node writes no receives until the second PONG tells that nothing waits. Some changes arrive
between the two PONGs by chance, without having waited. A change that arrives before the first PONG
was sent before the previous change was acknowledged: that client does not wait, and gets no more
of these PINGs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from .pings import OnPong

MIN_UNDISTURBED: Final = 32
"""Successive changes that had not waited, after which changes count as not waiting: the client's
acknowledgements arrive faster than a person types."""
SLOW_SECONDS: Final = 0.05
"""Seconds from a change to its acknowledgement above which later changes may wait again."""


class Turn(NamedTuple):
    """Whether an event may have waited in the client.

    The client may have kept the event back since ``kept_since`` (monotonic, in seconds); ``None``
    if it did not. ``may_wait`` tells whether the client's next event may wait.
    """

    kept_since: float | None
    may_wait: bool


UNDELAYED: Final = Turn(None, may_wait=False)
"""The turn of an event that was sent at once, by a client that keeps nothing back."""


class Turns:
    """Detects whether one client's changes wait for acknowledgements, and until when."""

    __slots__ = (
        "_clock",
        "_number",
        "_on_idle",
        "_overlaps",
        "_ping",
        "_sent",
        "_since",
        "_unanswered",
        "_undisturbed",
    )

    def __init__(
        self,
        clock: Callable[[], float],
        ping: Callable[[OnPong], None],
        on_idle: Callable[[], None],
    ) -> None:
        """Create the detector for one client.

        ``clock`` returns monotonic seconds. ``ping`` writes a PING, and calls its argument when the
        client answers that PING. ``on_idle`` is called when no change waits any more.
        """
        self._clock = clock
        self._ping = ping
        self._on_idle = on_idle
        self._overlaps = False
        self._unanswered = False
        self._number = 0
        self._sent = 0.0
        self._since: float | None = None
        self._undisturbed = 0

    @property
    def may_wait(self) -> bool:
        """Whether the next of the client's changes may wait."""
        return not self._overlaps and self._undisturbed < MIN_UNDISTURBED

    def handle_event(self) -> Turn:
        """Handle an event of the client when it arrives, and return its turn."""
        if self._overlaps:
            return UNDELAYED
        return Turn(self._kept_since(), self.may_wait)

    def _kept_since(self) -> float | None:
        now = self._clock()
        if self._unanswered:
            self._overlaps = True
            self._unanswered = False
            self._on_idle()
            return None
        self._unanswered = True
        self._number += 1
        self._sent = now
        since = self._since
        if since is None:
            self._since = now
        else:
            self._undisturbed = 0
        return since

    def before_acknowledgement(self) -> OnPong | None:
        """Handle that an event will now be acknowledged.

        Returns the ``on_pong`` of a PING that the caller must write before the acknowledgement;
        None if it must write none.
        """
        if self._overlaps or not self._unanswered:
            return None
        if self._clock() - self._sent > SLOW_SECONDS:
            self._undisturbed = 0
        if not self.may_wait:
            self._unanswered = False
            self._since = None
            return None
        return self._handle_pong

    def _handle_pong(self) -> None:
        if self._unanswered:
            self._unanswered = False
            self._ping(partial(self._handle_idle_pong, self._number))

    def _handle_idle_pong(self, number: int) -> None:
        if number == self._number and not self._overlaps:
            self._since = None
            self._undisturbed += 1
            self._on_idle()
