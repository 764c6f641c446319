"""Engine.IO sessions that have not sent CONNECT: each has a few seconds, an address has few."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Protocol

from collab.errors import CollabError, RateLimited


class Session(Protocol):
    """An Engine.IO session."""

    address: str

    def dismiss_soon(self, problem: CollabError) -> None:
        """End the session because of ``problem``, which the client is told."""


class Unconnected:
    """All such sessions of a node.

    Of more than ``limit`` sessions of one address the oldest ends, and not the newest is refused:
    an honest client sends CONNECT within a round trip, and an address may be a campus. Each has
    ``patience`` seconds.
    """

    def __init__(self, limit: int, patience: float) -> None:
        self._limit = limit
        self._patience = patience
        self._timers: dict[Session, asyncio.TimerHandle] = {}
        self._of_address: dict[str, dict[Session, None]] = defaultdict(dict)

    def __contains__(self, session: object) -> bool:
        return session in self._timers

    def add(self, session: Session) -> None:
        """Add a session that is not connected to the default namespace."""
        if session in self._timers:
            return
        loop = asyncio.get_running_loop()
        self._timers[session] = loop.call_later(self._patience, self._expire, session)
        waiting = self._of_address[session.address]
        waiting[session] = None
        if len(waiting) > self._limit:
            oldest = next(iter(waiting))
            oldest.dismiss_soon(RateLimited("too many clients of this address are not connected"))
            self.discard(oldest)

    def discard(self, session: Session | None) -> None:
        """Remove a session that is connected, or has ended."""
        if session is None or (timer := self._timers.pop(session, None)) is None:
            return
        timer.cancel()
        waiting = self._of_address[session.address]
        del waiting[session]
        if not waiting:
            del self._of_address[session.address]

    def _expire(self, session: Session) -> None:
        session.dismiss_soon(RateLimited("the client has not sent CONNECT in time"))
        # It stays among these: its client is told so in a CONNECT_ERROR.
