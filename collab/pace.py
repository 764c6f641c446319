"""The rate limit of one client: a token bucket that delays events, and refuses only abuse."""

from __future__ import annotations


class Pace:
    """The generic cell rate algorithm: ``rate`` events a second, with bursts of twice as many.

    Times are monotonic seconds, which the caller passes in. ``max_slowed`` is how many seconds a
    client may be delayed without a break.
    """

    __slots__ = ("_allowance", "_max_slowed", "_next", "_period", "_slowed_since")

    def __init__(self, rate: int, max_slowed: float) -> None:
        self._period = 1 / rate
        self._allowance = 2.0
        self._max_slowed = max_slowed
        self._next = float("-inf")
        self._slowed_since: float | None = None

    def passes(self, now: float) -> bool:
        """Whether `wait` would let an event pass without a delay."""
        return self._next + self._period <= now

    def wait(self, now: float) -> float | None:
        """Return how many seconds to delay this event, or None to refuse it.

        Events are refused after ``max_slowed`` seconds of delays without a break: somebody who
        types makes breaks.
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

    def is_full(self, now: float) -> bool:
        """Whether the client may make a whole burst at once."""
        return self._next <= now - self._allowance
