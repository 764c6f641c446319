"""The pure half of a text member: which texts its page may show, and when it gets which receive.

Each receive is written between two PINGs. The PONG to the first tells that the client has all
earlier receives, and may have this one; the PONG to the second tells that it has this one. The
reason is that a client answers each PING before it handles a receive that comes after it.
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
    """The line to one text member's page. Its calls tell that a receive is due, not which one."""

    def receive_due(self) -> None:
        """Write `TextPeer.next_receive` as soon as the transport can send it."""

    def receive_due_to_reader(self) -> None:
        """Do the same as ``receive_due``, or later: the member has not typed lately."""

    def receive_due_in(self, seconds: float) -> None:
        """Call ``receive_due`` in ``seconds``, unless such a call is already scheduled."""


class Receive(NamedTuple):
    """A PING, a receive and a PING, to be written now with nothing in between.

    The caller calls ``before`` when the client answers the first PING, ``behind`` when it answers
    the second.
    """

    before: OnPong
    text: str
    behind: OnPong


class TextPeer:
    """The state of a text member on its node: its views, and its window of receives.

    The methods handle the client's events and the edits that others make in the replica. When a
    receive is due, the peer notifies ``line``, which then calls `next_receive`. ``clock`` returns
    monotonic seconds.
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
        """Return the peer of a page that shows nothing, in a room with ``text``."""
        return cls(Views.blank(text, habit), line, clock)

    @classmethod
    def restored(
        cls, views: Views, line: ReceiveLine, clock: Callable[[], float], *, typing: bool
    ) -> TextPeer:
        """Return the peer of a member that was on another node; ``typing`` if it was typing."""
        peer = cls(views, line, clock)
        if typing:
            peer._window.typed(clock())
        peer.reconnected(line)
        return peer

    # What others do

    def advance(self, delta: Delta) -> None:
        """Follow an edit of the replica by others."""
        now = self._clock()
        self._views.advance(delta, now)
        if self._window.is_typing(now):
            self.line.receive_due()
        elif self._views.under_way:
            self._held = True  # the window of a reader: its next receive is due with the PONG
        else:
            self.line.receive_due_to_reader()

    # What the client does

    def mount(self, *, owed: bool) -> None:
        """Handle that a page joins, or joins again on the same connection: it may be blank.

        ``owed`` tells that the room has a text, which is then written to the page whatever the page
        is believed to show.
        """
        self._window.mounted()
        self._views.offer_blank()
        self._owed |= owed
        self.line.receive_due()

    def hold(self) -> None:
        """Give a page that has come back, and that no node knows, time to send a change first.

        Its page may show what the broken connection has lost; a receive would overwrite it.
        """
        self._window.hold(self._clock())

    def change(self, text: str, turn: Turn) -> Outcome:
        """Handle a text that the member has sent, and return its outcome.

        The caller applies the outcome's delta to the replica, and passes it to the peers of all
        *other* members by `advance`; this member's views have followed it already.
        """
        now = self._clock()
        outcome = self._views.change(text, now, turn.kept_since)
        self._window.changed(now, echo=outcome.echo, may_wait=turn.may_wait)
        if outcome.needs_receive:
            self.line.receive_due()
        return outcome

    def handle_idle(self) -> None:
        """Handle that the client keeps no change back (see `Turns`)."""
        if self._window.handle_idle():
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
        """Return the receive to write now; None if none is due, or if it must wait.

        ``text`` is the replica's. The caller must write the returned receive: it counts as written.
        """
        if text == self._views.final_text and not self._owed:
            return None
        now = self._clock()
        self._held = self._views.under_way >= self._window.size(now, len(text))
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
        """Handle the PONG to a PING that was written without a receive.

        A client sends the changes that it kept while it had no connection before this PONG.
        """
        self._resume(self._clock())

    def _resume(self, now: float) -> None:
        self._window.handle_pong(now)
        if self._held:
            self._held = False
            if self._window.is_typing(now):
                self.line.receive_due()
            else:
                self.line.receive_due_to_reader()

    def resend(self) -> None:
        """Write the room's text to the member, whatever the member is believed to show."""
        self._owed = True
        self.line.receive_due()

    # What the member may have shown before it joined

    def is_known(self) -> bool:
        """Whether the member shows a text that this node has written to it, or that it has sent.

        Otherwise the member may show a text from before its connection.
        """
        return self._window.has_typed or self._views.is_known(self._clock())

    def withhold_receives(self) -> None:
        """Write no receives until `offer_former` is called, or the member joins or sends a text."""
        self._window.close()

    def offer_former(self, view: View) -> None:
        """Add ``view`` to the texts that the page may have shown when it joined: see `is_known`."""
        self._window.open()
        self._views.offer_former(view, self._clock())

    # What another node needs to restore the member

    def is_typing(self) -> bool:
        """Whether the member has typed lately."""
        return self._window.is_typing(self._clock())

    def texts(self) -> list[str]:
        """Return all texts that the member may be showing, newest first."""
        return self._views.texts()

    def views(self) -> list[View]:
        """Return all views that the member may be showing, newest first."""
        return self._views.views()

    @property
    def final_text(self) -> str | None:
        """The text that the member shows once all its receives have arrived; None if uncertain."""
        return self._views.final_text

    def check(self, replica_text: str) -> None:
        """Assert that the delta of every view leads to the replica's text; for tests."""
        self._views.check(replica_text)
        assert self._views.under_way <= MAX_UNCONFIRMED_VIEWS
