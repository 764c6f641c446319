"""How fast one client may go: a token bucket that slows, and says no only to abuse."""

from __future__ import annotations


class Pace:
    """A generic cell rate bucket: ``rate`` events a second, twice as many at once.

    Times are monotonic seconds, given by the caller.
    """

    __slots__ = ("_allowance", "_max_slowed", "_next", "_period", "_slowed_since")

    def __init__(self, rate: int, max_slowed: float) -> None:
        self._period = 1 / rate
        self._allowance = 2.0
        self._max_slowed = max_slowed
        self._next = float("-inf")
        self._slowed_since: float | None = None

    def wait(self, now: float) -> float | None:
        """Return how many seconds to hold this event back, None if it is to be refused.

        It is refused when the client has been held back for so long without a break that it is
        not typing.
        """
        self._next = max(self._next, now - self._allowance) + self._period
        delay = self._next - now
        if delay <= 0:
            self._slowed_since = None
            return 0.0
        if self._slowed_since is None:
            self._slowed_since = now
        if now - self._slowed_since > self._max_slowed:
            self._next -= self._period
            return None
        return delay
