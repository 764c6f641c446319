"""Clients that send a change only when the one before is acknowledged.

socket.io-client does so with its option ``retries``. A change waits in such a client, and PONGs
don't: it comes behind the PONGs of receives that it was not made from.

Whether something waits is told by two PINGs. The first is written right before an acknowledgement,
the second when the first is answered. What waited is sent in the moment in which the
acknowledgement arrives, so that it comes before the second's PONG. (Not before the first's: a
client that polls handles all that comes in one answer before it sends what waited.) Nothing is
written to a client until that PONG says that nothing waits. People's changes come there now and
then, by chance. One that comes before the first PONG was sent while the one before was not
acknowledged: that client does not wait, and is written no more PINGs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from .pings import OnPong

MIN_UNDISTURBED: Final = 32
"""Changes in a row of which none had waited, after which none is taken to wait: people do not type
as fast as this link answers."""
SLOW_SECONDS: Final = 0.05
"""Seconds until an acknowledgement after which changes may wait all the same."""


class Turn(NamedTuple):
    """What is known of an event as it arrives.

    The client may have kept it back since the time ``kept_since``, if there is one (monotonic, in
    seconds); then others may have waited before it. The next one ``may_wait``, or is known not to.
    """

    kept_since: float | None
    may_wait: bool


UNDELAYED: Final = Turn(None, may_wait=False)
"""Of an event that was sent at once, by a client that keeps nothing back."""


class Turns:
    """Whether one client's changes wait for acknowledgements, and until when."""

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
        """``clock`` is monotonic, in seconds; ``on_idle`` is called when nothing waits any more.

        ``ping`` writes a PING, and calls what it was given when that is answered.
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
        """Take in an event of the client, as it arrives."""
        kept_since = self._kept_since()
        return Turn(kept_since, self.may_wait)

    def _kept_since(self) -> float | None:
        now = self._clock()
        if self._overlaps:
            return None
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
        """Take in that an event is acknowledged; return what the PONG to a PING before is to call.

        None if no PING is to be written.
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
