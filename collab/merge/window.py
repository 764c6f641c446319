"""How many receives may be on their way to a text member, and from when on."""

from __future__ import annotations

from math import inf
from typing import Final

MAX_UNCONFIRMED_VIEWS: Final = 32
"""Receives that may be on their way to one member. Each keeps a text of up to the code size alive;
at 20 receives a second, 32 cover a round trip of a second and a half."""
TYPING_WINDOW: Final = 30.0
"""Seconds after its last change for which a member counts as typing: longer than a pause for
thought. It may have many receives on their way then; a member that only reads has one at a time."""
MIN_UNECHOED: Final = 2
"""Receives that a member must have got without sending one back, to be sent more at a time."""
HOLD_SECONDS: Final = 1.0
"""Seconds for which a member that comes back is left to speak first, if it was typing: it may show
a letter that its broken connection has lost, and a receive would overwrite it. So is one that may
keep changes back, after each of its own, if it is not known before that nothing waits."""


class Window:
    """How many receives one member may have on their way, from what it has sent and answered.

    A member that has not typed lately has one on its way at a time. Its first change could else be
    an edit of any of several, and most of what was lost in simulations was lost there. So has one
    that may be sending back what it receives: a client that takes several messages from one packet
    (Node's) answers all their marks first, and its echo of the first would look like somebody's
    undoing of the others. So has one whose next change may wait for an acknowledgement (`Turns`).

    The window may be closed: until a time, or until the member does something.

    Times are monotonic, in seconds.
    """

    __slots__ = ("_is_back", "_may_wait", "_opens_at", "_typed_at", "_unechoed")

    def __init__(self) -> None:
        self._opens_at = -inf
        self._typed_at = -inf
        self._unechoed = 0
        self._may_wait = False
        self._is_back = False

    def size(self, now: float) -> int:
        """Return how many receives may be on their way; 0 while the window is closed."""
        if now < self._opens_at:
            return 0
        several = self.is_typing(now) and self._unechoed >= MIN_UNECHOED and not self._may_wait
        return MAX_UNCONFIRMED_VIEWS if several else 1

    def opens_in(self, now: float) -> float | None:
        """Return in how many seconds a closed window opens.

        None if it is open, or if only the member can open it.
        """
        return self._opens_at - now if now < self._opens_at < inf else None

    @property
    def has_typed(self) -> bool:
        """Whether the member has ever typed."""
        return self._typed_at > -inf

    def is_typing(self, now: float) -> bool:
        """Whether the member has typed lately."""
        return now - self._typed_at < TYPING_WINDOW

    def typed(self, now: float) -> None:
        """Take in that the member types."""
        self._typed_at = now

    def close(self) -> None:
        """Close the window until `open`, the member's next change, or until it joins."""
        self._opens_at = inf

    def open(self) -> None:
        """Open the window."""
        self._opens_at = -inf

    def mounted(self) -> None:
        """Take in that a page joins. One that is back has first to send what it kept."""
        if not self._is_back:
            self.open()

    def changed(self, now: float, *, echo: bool, may_wait: bool) -> None:
        """Take in a change; the next one may wait in the client if it ``may_wait``."""
        self.typed(now)
        self._is_back = False
        self._may_wait = may_wait
        if echo:
            self._unechoed = 0
        self._opens_at = now + HOLD_SECONDS if may_wait else -inf

    def confirmed(self) -> None:
        """Take in that the member has got a receive."""
        self._unechoed += 1

    def handle_pong(self, now: float) -> None:
        """Take in a PONG. A member that is back has sent what it kept before it."""
        if self._is_back:
            self._is_back = False
            self._opens_at = now + HOLD_SECONDS if self.is_typing(now) else -inf

    def idle(self) -> bool:
        """Take in that the client keeps nothing back; return whether it may have before."""
        if self._may_wait:
            self.open()
        return self._may_wait

    def reconnected(self) -> None:
        """Close the window for a member on another connection, until it has answered a mark."""
        self._is_back = True
        self._may_wait = False
        self.close()
