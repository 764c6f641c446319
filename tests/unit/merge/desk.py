"""One text member driven by hand: its peer, the replica's text, and the packets in between."""

from __future__ import annotations

from collab.merge.delta import Delta
from collab.merge.diff import diff
from collab.merge.lateness import PAST_WINDOW, Habit
from collab.merge.pings import Pings
from collab.merge.text_peer import TextPeer
from collab.merge.trail import View
from collab.merge.turns import Turn
from collab.merge.views import Outcome, Views


class Desk:
    """One text member, and the text of its room's replica. A test delivers each packet."""

    def __init__(self, text: str, shown: str | None = None, habit: Habit | None = None) -> None:
        self.text = text
        shown = text if shown is None else shown
        self.now = 0.0
        self.due = False
        self.due_in: float | None = None
        self.pings = Pings()
        self.views = Views(View(shown, Delta.from_splices(diff(shown, text))), habit or Habit())
        self.peer = TextPeer(self.views, self, lambda: self.now)

    def receive_due(self) -> None:
        self.due = True

    def receive_due_to_reader(self) -> None:
        self.due = True

    def receive_due_in(self, seconds: float) -> None:
        self.due_in = seconds

    def edit_by_others(self, text: str) -> None:
        """Let other members change the replica's text to ``text``."""
        self.peer.advance(Delta.from_splices(diff(self.text, text)))
        self.text = text
        self.peer.check(text)

    def receive(self) -> str | None:
        """Write the member the receive that is due, if it may be written now."""
        self.due_in = None
        receive = self.peer.next_receive(self.text)
        if receive is None:
            return None
        self.pings.add(receive.before)
        self.pings.add(receive.behind)
        return receive.text

    def ping(self) -> None:
        """Write the member a PING without a receive."""
        self.pings.add(self.peer.handle_pong)

    def pong(self, times: int = 1) -> bool:
        """Let the member answer ``times`` PINGs; return whether a receive is due then."""
        self.due = False
        for _ in range(times):
            self.pings.handle_pong()
        self.peer.check(self.text)
        return self.due

    def change(
        self, text: str, *, kept_since: float | None = None, may_wait: bool = False
    ) -> Outcome:
        self.due = False
        outcome = self.peer.change(text, Turn(kept_since, may_wait))
        assert self.due is outcome.needs_receive
        self.text = outcome.delta.apply(self.text)
        self.peer.check(self.text)
        return outcome

    def reconnect(self) -> None:
        """Let the member reconnect."""
        self.pings.clear()
        self.peer.reconnected(self)


def typing(text: str) -> Desk:
    """Return a member that has typed; the replica's text is ``text``."""
    desk = Desk(text[:-1])
    desk.change(text)
    return desk


def kept_back() -> Desk:
    """Return a member that has typed ``1``, ``2`` and ``3``; only the ``1`` has arrived.

    Another member's ``Z`` was received before the acknowledgement of the ``1``.
    """
    desk = typing("a")
    desk.edit_by_others("aZ")
    assert desk.receive() == "aZ"
    desk.change("1a")
    assert desk.text == "1aZ"
    desk.now += PAST_WINDOW / 2
    desk.pong(2)
    return desk
