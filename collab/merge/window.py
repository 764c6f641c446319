"""How many receives may be on their way to a text member, and when none may."""

from __future__ import annotations

from math import inf
from typing import Final

MAX_UNCONFIRMED_VIEWS: Final = 32
"""Receives that may be on their way to one member. Each keeps in memory a text of up to the maximal
code size; at 20 receives a second, 32 receives cover a round trip of 1.5 seconds."""
MAX_UNCONFIRMED_LENGTH: Final = 1 << 20
"""Characters that may be on their way to one member, if it is more than one text: a member that
answers no PING does not cost a node more. 32 receives of 32 kB are on their way at once, and 4 of
256 kB."""
TYPING_WINDOW: Final = 30.0
"""Seconds after its last change for which a member counts as typing: longer than a pause for
thought. A member that is typing may have many receives on their way, a member that only reads has
one at a time."""
MIN_UNECHOED: Final = 2
"""Receives that a member must have got without sending one back before several may be on their
way."""
HOLD_SECONDS: Final = 1.0
"""Seconds for which a reconnected member that was typing gets no receive, so that it can send a
change first: its page may show a letter that the broken connection has lost, and a receive would
overwrite the letter. So does a member that has reconnected and that no node knows. The same holds
after each change of a client that may keep changes back, until it is known that no change waits."""


class Window:
    """Computes how many receives one member may have on their way, from its changes and PONGs.

    Three kinds of members have one receive on its way at a time:

    - A member that has not typed lately. Its first change could otherwise be an edit of any of
      several receives; most of the losses in simulations happened there.
    - A member that may echo its receives. A client that reads several messages from one packet, as
      in Node, answers all their marks first, and its echo of the first receive would look like an
      undoing of the others.
    - A member whose next change may wait for an acknowledgement (`Turns`).

    The window may be closed, so that no receive may be written: until a certain time, or until an
    event of the member.

    Times are monotonic, in seconds.
    """

    __slots__ = (
        "_held_until", "_is_reconnecting", "_may_wait", "_opens_at", "_typed_at", "_unechoed",
    )  # fmt: skip

    def __init__(self) -> None:
        self._opens_at = -inf
        self._held_until = -inf
        self._typed_at = -inf
        self._unechoed = 0
        self._may_wait = False
        self._is_reconnecting = False

    def size(self, now: float, length: int = 0) -> int:
        """Return how many receives may be on their way; 0 while the window is closed.

        ``length`` is the number of characters of the text that the next one would have.
        """
        if now < self._opens_at:
            return 0
        several = self.is_typing(now) and self._unechoed >= MIN_UNECHOED and not self._may_wait
        if not several:
            return 1
        return max(1, min(MAX_UNCONFIRMED_VIEWS, MAX_UNCONFIRMED_LENGTH // max(1, length)))

    def opens_in(self, now: float) -> float | None:
        """Return in how many seconds a closed window opens.

        None if it is open, or if only an event of the member opens it.
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
        """Record that the member types."""
        self._typed_at = now

    def close(self) -> None:
        """Close the window until `open`, the member's next change, or until it joins."""
        self._opens_at = inf

    def open(self) -> None:
        """Open the window."""
        self._opens_at = -inf

    def mounted(self) -> None:
        """Handle that a page joins. After a reconnection the window stays closed until a PONG.

        The client must first send the changes that it kept.
        """
        if not self._is_reconnecting:
            self._opens_at = self._held_until

    def hold(self, now: float) -> None:
        """Close the window for `HOLD_SECONDS`, or until a change, even if the page joins."""
        self._opens_at = self._held_until = now + HOLD_SECONDS

    def changed(self, now: float, *, echo: bool, may_wait: bool) -> None:
        """Handle a change; ``may_wait`` tells whether the next one may wait in the client."""
        self.typed(now)
        self._is_reconnecting = False
        self._may_wait = may_wait
        if echo:
            self._unechoed = 0
        self._opens_at = now + HOLD_SECONDS if may_wait else -inf

    def confirmed(self) -> None:
        """Record that the member has got a receive."""
        self._unechoed += 1

    def handle_pong(self, now: float) -> None:
        """Handle a PONG. After a reconnection the client has sent its kept changes before it."""
        if self._is_reconnecting:
            self._is_reconnecting = False
            self._opens_at = now + HOLD_SECONDS if self.is_typing(now) else -inf

    def handle_idle(self) -> bool:
        """Handle that the client keeps nothing back; return whether it may have done so before."""
        if self._may_wait:
            self.open()
        return self._may_wait

    def reconnected(self) -> None:
        """Close the window after a reconnection, until the member has answered a mark."""
        self._is_reconnecting = True
        self._may_wait = False
        self.close()
