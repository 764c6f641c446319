"""Match PONGs with PINGs: PONGs carry no number, but a client answers PINGs in order."""

from __future__ import annotations

from collections.abc import Callable

OnPong = Callable[[], None]
"""Called when the client has answered a certain PING."""


class Pings:
    """All unanswered PINGs of one client, oldest first: heartbeats, marks and others."""

    __slots__ = ("_unanswered",)

    def __init__(self) -> None:
        # A list: few wait, and an empty deque takes 0.6 kB of each idle connection.
        self._unanswered: list[OnPong | None] = []

    def add(self, on_pong: OnPong | None) -> None:
        """Add a PING when the transport gets it. ``on_pong`` is ``None`` for a heartbeat."""
        self._unanswered.append(on_pong)

    def handle_pong(self) -> None:
        """Call the oldest PING's ``on_pong``. A PONG that answers no PING is ignored."""
        if self._unanswered and (on_pong := self._unanswered.pop(0)) is not None:
            on_pong()

    def clear(self) -> None:
        """Forget all PINGs: their PONGs will not come."""
        self._unanswered.clear()
