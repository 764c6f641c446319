"""Which PING a PONG answers: PONGs carry no number, but a client answers PINGs in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

OnPong = Callable[[], None]
"""What a PING stands for: it is called when the client has answered that PING."""


class Pings:
    """All PINGs on their way to one client, oldest first: heartbeats, marks and others."""

    __slots__ = ("_unanswered",)

    def __init__(self) -> None:
        self._unanswered: deque[OnPong | None] = deque()

    def add(self, on_pong: OnPong | None) -> None:
        """Enter a PING as it goes to the transport; ``None`` stands for a heartbeat."""
        self._unanswered.append(on_pong)

    def handle_pong(self) -> None:
        """Take in a PONG. One that answers no PING means nothing."""
        if self._unanswered and (on_pong := self._unanswered.popleft()) is not None:
            on_pong()

    def clear(self) -> None:
        """Forget all PINGs: their answers will not come."""
        self._unanswered.clear()
