"""Watches the grant of a connected client: warns before it expires, and says when it has."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from collab.access.grant import Grant

WARNING: Final = 60.0
"""Seconds before a token expires at which its client is told so."""
MAX_SLEEP: Final = 3600.0
"""Seconds after which the clock is read again: it may be set meanwhile."""


class Expiry:
    """Calls ``expiring`` with the seconds left, `WARNING` before the end, and then ``expired``.

    Neither is called before the loop's next step, or after `close`.
    """

    __slots__ = ("_expired", "_expiring", "_timer")

    def __init__(self, expiring: Callable[[float], None], expired: Callable[[], None]) -> None:
        self._expiring = expiring
        self._expired = expired
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, grant: Grant) -> None:
        """Watch a grant, instead of the last one."""
        self.close()
        if grant.expires is not None:
            self._check_in(0.0, grant.expires, warned=False)

    def close(self) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check_in(self, seconds: float, expires: float, *, warned: bool) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(min(seconds, MAX_SLEEP), self._check, expires, warned)

    def _check(self, expires: float, warned: bool) -> None:
        left = expires - time.time()
        if left <= 0:
            self._timer = None
            self._expired()
        elif left > WARNING:
            self._check_in(left - WARNING, expires, warned=False)
        else:
            self._check_in(left, expires, warned=True)
            if not warned:
                self._expiring(left)
