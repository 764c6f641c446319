"""One text member by hand: its peer, the replica's text, and the packets between."""

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
    """One member and the text of the replica it is a member of; packets go by hand."""

    def __init__(self, text: str, shown: str | None = None, habit: Habit | None = None) -> None:
        self.text = text
        shown = text if shown is None else shown
        self.now = 0.0
        self.due = False
        self.wait: float | None = None
        self.pings = Pings()
        self.views = Views(View(shown, Delta.from_splices(diff(shown, text))), habit or Habit())
        self.peer = TextPeer(self.views, self, lambda: self.now)

    def receive_due(self) -> None:
        self.due = True

    def receive_due_in(self, seconds: float) -> None:
        self.wait = seconds

    def others(self, text: str) -> None:
        """Somebody else makes the replica's text ``text``."""
        self.peer.advance(Delta.from_splices(diff(self.text, text)))
        self.text = text
        self.peer.check(text)

    def receive(self) -> str | None:
        """Write the member what it is owed, if it may have it now."""
        self.wait = None
        receive = self.peer.next_receive(self.text)
        if receive is None:
            return None
        self.pings.add(receive.before)
        self.pings.add(receive.behind)
        return receive.text

    def mark(self) -> None:
        """Write the member a PING and nothing else."""
        self.pings.add(self.peer.handle_pong)

    def pong(self, times: int = 1) -> bool:
        """Let the member answer so many PINGs; return whether to try again to write."""
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

    def come_back(self) -> None:
        """Let the member come back on another connection."""
        self.pings.clear()
        self.peer.reconnected(self)


def typing(text: str) -> Desk:
    """A member that has typed, at a replica that now has ``text``."""
    desk = Desk(text[:-1])
    desk.change(text)
    return desk


def kept_back() -> Desk:
    """A member that has typed ``1``, ``2`` and ``3``, of which the node knows the first.

    Somebody else's ``Z`` arrived before the acknowledgement of that.
    """
    desk = typing("a")
    desk.others("aZ")
    assert desk.receive() == "aZ"
    desk.change("1a")
    assert desk.text == "1aZ"
    desk.now += PAST_WINDOW / 2
    desk.pong(2)
    return desk
