"""The pure half of a text member: what its page may be showing, and what is written to it when.

Each receive is written between two PINGs. The first says, when it is answered, that the client has
all receives before this one, and may have this one; the second, that it has it. For had the client
handled a receive behind a PING, it would have answered that PING before.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

from .delta import Delta
from .lateness import Habit
from .pings import OnPong
from .trail import View
from .turns import Turn
from .views import Outcome, Views
from .window import MAX_UNCONFIRMED_VIEWS, Window


class ReceiveLine(Protocol):
    """The way to one text member's page: each call says that something is due, not what."""

    def receive_due(self) -> None:
        """A receive is to be written when the client can take it: ask `TextPeer.next_receive`."""

    def receive_due_in(self, seconds: float) -> None:
        """Let ``receive_due`` be called in so many seconds, unless it already will be."""


class Receive(NamedTuple):
    """A PING, a receive and a PING, to be written now with nothing in between.

    ``before`` and ``behind`` are to be called when the one and the other PING are answered.
    """

    before: OnPong
    text: str
    behind: OnPong


class TextPeer:
    """A text member as its node knows it: its views, and whether it may be written to.

    What arrives from the client, and what others do to the replica, goes in; when a receive is due
    the ``line`` is told, and fetches it. ``clock`` returns monotonic seconds.
    """

    __slots__ = ("_clock", "_held", "_owed", "_views", "_window", "line")

    def __init__(self, views: Views, line: ReceiveLine, clock: Callable[[], float]) -> None:
        self.line = line
        self._views = views
        self._clock = clock
        self._window = Window()
        self._owed = False
        self._held = False

    @classmethod
    def blank(
        cls, text: str, habit: Habit, line: ReceiveLine, clock: Callable[[], float]
    ) -> TextPeer:
        """Return the peer for a page that shows nothing, in a room with ``text``."""
        return cls(Views.blank(text, habit), line, clock)

    @classmethod
    def restored(
        cls, views: Views, line: ReceiveLine, clock: Callable[[], float], *, typing: bool
    ) -> TextPeer:
        """Return the peer for a member that was on another node; ``typing`` if it was typing."""
        peer = cls(views, line, clock)
        if typing:
            peer._window.typed(clock())
        peer.reconnected(line)
        return peer

    # What others do

    def advance(self, delta: Delta) -> None:
        """Follow the replica, which was edited by others."""
        self._views.advance(delta, self._clock())
        self.line.receive_due()

    # What the client does

    def mount(self, *, owed: bool) -> None:
        """Take in that a page joins, or joins again on one connection: it may be blank.

        It is until it has the room's text; ``owed`` says that the room has one, which is to be
        written to it whatever it shows.
        """
        self._window.mounted()
        self._views.offer_blank()
        self._owed |= owed
        self.line.receive_due()

    def change(self, text: str, turn: Turn) -> Outcome:
        """Take in the member's text as it arrives, and return what it did.

        The caller applies the outcome's delta to the replica, and tells everybody *else's* peer of
        it by `advance`; this member's views are right already.
        """
        now = self._clock()
        outcome = self._views.change(text, now, turn.kept_since)
        self._window.changed(now, echo=outcome.echo, may_wait=turn.may_wait)
        if outcome.needs_receive:
            self.line.receive_due()
        return outcome

    def idle(self) -> None:
        """Take in that the client keeps no change back (see `Turns`)."""
        if self._window.idle():
            self.line.receive_due()

    def reconnected(self, line: ReceiveLine) -> None:
        """Handle the member's reconnection; ``line`` leads to its new connection.

        No receive is written before the member has sent the changes that its client kept, which
        `handle_pong` reports. A member that was typing gets another `HOLD_SECONDS` after that.
        """
        self.line = line
        self._views.reconnected()
        self._window.reconnected()
        self._held = True

    # What is written to it

    def next_receive(self, text: str) -> Receive | None:
        """Return what to write to the member now; None if there is nothing, or it must wait.

        ``text`` is the replica's. What is returned counts as written.
        """
        if text == self._views.final_text and not self._owed:
            return None
        now = self._clock()
        self._held = self._views.under_way >= self._window.size(now)
        if self._held:
            wait = self._window.opens_in(now)
            if wait is not None:
                self.line.receive_due_in(wait)
            return None
        self._owed = False
        number = self._views.write(text)
        before = partial(self._confirm, number - 1, number)
        return Receive(before, text, partial(self._confirm, number, number))

    def _confirm(self, confirmed: int, reached: int) -> None:
        now = self._clock()
        if self._views.confirm(confirmed, reached, now):
            self._window.confirmed()
        self._resume(now)

    def handle_pong(self) -> None:
        """Take in the answer to a PING that was written with no receive.

        What the client had kept while it had no connection has come before it.
        """
        self._resume(self._clock())

    def _resume(self, now: float) -> None:
        self._window.handle_pong(now)
        if self._held:
            self._held = False
            self.line.receive_due()

    def resend(self) -> None:
        """Let the room's text be written to the member whatever it shows."""
        self._owed = True
        self.line.receive_due()

    # What the member may have shown before it came

    def is_known(self) -> bool:
        """Whether the member shows what this node has written to it, or what it sent.

        One that does not may be showing a text from before its connection.
        """
        return self._window.has_typed or self._views.is_known(self._clock())

    def hold(self) -> None:
        """Write nothing to the member before `recall`, its next change, or until it joins."""
        self._window.close()

    def recall(self, view: View) -> None:
        """Take in that the page may have shown ``view`` when it came: see `is_known`."""
        self._window.open()
        self._views.recall(view, self._clock())

    # What goes with it to another node

    def is_typing(self) -> bool:
        """Whether the member has typed lately."""
        return self._window.is_typing(self._clock())

    def views(self) -> list[View]:
        """Return all that the member may be showing, newest first."""
        return self._views.views()

    @property
    def final_text(self) -> str | None:
        """What the member shows once all that was written to it has arrived; None in doubt."""
        return self._views.final_text

    def check(self, replica_text: str) -> None:
        """Assert that every view's way leads to the replica's text; for tests."""
        self._views.check(replica_text)
        assert self._views.under_way <= MAX_UNCONFIRMED_VIEWS
