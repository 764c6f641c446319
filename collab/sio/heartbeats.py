"""The heartbeats of all sessions of a node: one timer for all, not one for each."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Protocol


class Session(Protocol):
    """An Engine.IO session."""

    def send_heartbeat(self) -> None:
        """Send a PING, unless the session has ended."""


class Heartbeats:
    """Calls each session's `Session.send_heartbeat` once, ``interval`` seconds after `schedule`.

    All wait for the same time, so they are due in the order in which they were scheduled.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._due: OrderedDict[Session, float] = OrderedDict()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def schedule(self, session: Session) -> None:
        """Let a session's next heartbeat be due after one interval, and not before."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        self._due[session] = due = loop.time() + self._interval
        self._due.move_to_end(session)
        if self._timer is None:
            self._timer = loop.call_at(due, self._send)

    def discard(self, session: Session) -> None:
        """Send a session no heartbeat: it has ended."""
        self._due.pop(session, None)

    def _send(self) -> None:
        self._timer = None
        assert self._loop is not None
        now = self._loop.time()
        while self._due:
            session, due = next(iter(self._due.items()))
            if due > now:
                self._timer = self._loop.call_at(due, self._send)
                break
            del self._due[session]
            self._loop.call_soon(session.send_heartbeat)  # an error there is that session's own
