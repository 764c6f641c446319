"""Which text a member was looking at when it sent another.

A text member sends whole texts and shows whole texts. To merge what it sends, one must know what it
was sent from. Engine.IO gives the clock for that: a client answers every PING in order, and handles
what lies between two of them in between. So each PING stands for the receives written before it,
and its PONG confirms them; see `Views` for what follows.

The transform is Jupiter's (Nichols et al., 1995), one server and one client, with whole texts in
place of operations and PONGs in place of sequence numbers.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from .delta import Delta, compose, transform
from .diff import diff
from .splice import Splice, edit_size
from .trail import Trail, View, nearest

MAX_UNCONFIRMED_VIEWS: Final = 32
"""Receives that may be on their way to one member. Each keeps a text of up to the code size alive;
at 20 receives a second, 32 cover a round trip of a second and a half."""

TYPING_WINDOW: Final = 30.0
"""Seconds after its last change for which a member counts as typing: longer than a pause for
thought. It may have many receives on their way then; a member that only reads has one at a time."""


class Stamp(NamedTuple):
    """What a member had surely received (``low``), and may have received (``high``), by number."""

    low: int
    high: int


class Outcome(NamedTuple):
    """What a change was.

    ``delta`` is the edit to apply to the replica. ``echo`` says that the member sent back what it
    was showing, so that there is nothing to store or send on. ``needs_receive`` says that what the
    member shows when all on its way has arrived isn't the merged text. ``guessed`` says that there
    was more than one view it could be an edit of, and the smallest edit decided.
    """

    delta: Delta
    echo: bool
    needs_receive: bool
    guessed: bool


class Parked:
    """The views of a member that left, kept for its return. To follow an edit costs two
    compositions, however many views there are."""

    __slots__ = ("_screen", "_trail")

    def __init__(self, screen: View, trail: Trail) -> None:
        self._screen = screen
        self._trail = trail

    def advance(self, delta: Delta) -> None:
        """Follow the replica, which was edited by ``delta``."""
        self._screen = View(self._screen.text, compose(self._screen.way, delta))
        self._trail.advance(delta)

    def views(self) -> list[View]:
        """Return what the member may be showing, newest first."""
        return [*self._trail.views(), self._screen]


class Views:
    """The texts one member may be looking at.

    They are its *screen*, the latest text it is known to have shown, with its own way to the
    replica; and the *receives* written since, in order. A change is an edit of one of them.

    The ledger holds one number per PING on its way: how many receives were written before it. The
    last number that came back is what the member surely has; the first still out bounds what it
    may have, for had it handled a receive behind that PING, it would have answered the PING before.

    Where the two differ, the smallest edit decides. If it does not decide clearly, the member may
    show something else than is believed: the merged text is sent to it whatever it shows, and a
    receive that was chosen stays a candidate as the *doubted* view until the next change.
    """

    __slots__ = (
        "_arrived",
        "_confirmed",
        "_doubted",
        "_ledger",
        "_screen",
        "_trail",
        "_typed",
        "_unsure",
        "_written",
    )

    def __init__(self, screen: View) -> None:
        """Start with what the member shows now, before anything is written to it.

        A member that shows nothing is `View("", Delta.of(replica_text))`, one that comes back has
        the view it comes back with.
        """
        self._screen = screen
        self._doubted: View | None = None
        self._unsure = False
        self._trail = Trail()
        self._ledger: deque[int] = deque()
        self._written = 0
        self._confirmed = 0
        self._arrived = 0
        self._typed: float | None = None

    def advance(self, delta: Delta) -> None:
        """Follow the replica, which was edited by others: two compositions, in doubt three."""
        if delta.is_identity:
            return
        self._screen = View(self._screen.text, compose(self._screen.way, delta))
        if self._doubted is not None:
            self._doubted = View(self._doubted.text, compose(self._doubted.way, delta))
        self._trail.advance(delta)

    def began_with(self, screen: View) -> None:
        """Correct what the member showed before anything was written to it."""
        assert not self._confirmed, "the member shows a receive by now"
        self._screen = screen

    @property
    def confirmed(self) -> int:
        """How many receives the member has surely got."""
        return self._confirmed

    @property
    def underway(self) -> int:
        """How many receives the member may not have got yet."""
        return len(self._trail)

    def may_receive(self, now: float) -> bool:
        """Whether a receive may be written, or must wait until `pong` or `change` frees a view.

        A member that has not typed lately has one on its way at a time. Its first change could
        else be an edit of any of several, and most of what was lost in simulations was lost there.
        ``now`` is monotonic, in seconds.
        """
        typing = self._typed is not None and now - self._typed < TYPING_WINDOW
        return len(self._trail) < (MAX_UNCONFIRMED_VIEWS if typing else 1)

    @property
    def final_text(self) -> str | None:
        """What the member shows once all that was written to it has arrived; ``None`` in doubt.

        If it isn't the replica's text, the member is owed a receive.
        """
        if self._unsure:
            return None
        last = self._trail.last_text
        if last is None and self._doubted is None:
            return self._screen.text
        return last

    def written(self, text: str) -> None:
        """Enter a receive of ``text``, the replica's present text, as it goes to the transport.

        It goes between two marks: write PING, receive, PING, with nothing in between. The PINGs
        are entered too.
        """
        self._unsure = False
        self.ping()
        self._written += 1
        self._trail.append(self._written, text)
        self.ping()

    def ping(self) -> None:
        """Enter another PING as it goes to the transport: any PONG tells how far a member is."""
        self._ledger.append(self._written)

    def pong(self) -> None:
        """Take in a PONG. One to no PING of the ledger means nothing."""
        if not self._ledger:
            return
        self._confirmed = self._ledger.popleft()
        if not self._arrived:
            self._settle(self._confirmed)

    def stamp(self) -> Stamp:
        """Say what the member may have been looking at; to be called as a change *arrives*.

        Every stamp goes to `change` or to `discard`, in the order of the stamps: until then no view
        that it may need is let go.
        """
        self._arrived += 1
        return Stamp(self._confirmed, self._ledger[0] if self._ledger else self._written)

    def discard(self, stamp: Stamp) -> None:
        """Let go of a stamp whose change is refused."""
        self._settle(stamp.low)
        self._handled()

    def change(self, stamp: Stamp, text: str, now: float) -> Outcome:
        """Take in the member's text and return what it did.

        The caller applies the outcome's delta to the replica, and tells everybody *else's* views of
        it by `advance`; this member's are right already. ``now`` is monotonic, in seconds.
        """
        self._typed = now
        self._settle(stamp.low)
        views = self._candidates(stamp.high)
        base, splices = self._base(views, text)
        # In a tie what is there comes first: a letter typed behind one that a stale receive hid
        # belongs behind it.
        way, delta = transform(base.way, Delta.from_splices(splices))
        self._screen = View(text, way)
        if self._doubted is not None:
            self._doubted = View(self._doubted.text, compose(self._doubted.way, delta))
        self._trail.advance(delta)
        needs_receive = way.apply(text) != self.final_text
        outcome = Outcome(delta, not splices, needs_receive, guessed=len(views) > 1)
        self._handled()
        return outcome

    def park(self) -> Parked:
        """Return the views of a member that leaves, when all it sent is handled.

        This object is done with then.
        """
        return Parked(self._screen, self._trail)

    def check(self, replica_text: str) -> None:
        """Assert that every view's way leads to the replica's text; for tests."""
        doubted = [] if self._doubted is None else [self._doubted]
        for text, way in self.park().views() + doubted:
            assert way.apply(text) == replica_text
        assert len(self._trail) <= MAX_UNCONFIRMED_VIEWS
        assert list(self._ledger) == sorted(self._ledger)

    def _candidates(self, high: int) -> list[tuple[int, str]]:
        """Return what the member may have been looking at, newest first, by number.

        0 is no receive on its way.
        """
        views = [*self._trail.texts(high)]
        if self._doubted is not None:
            views.append((0, self._doubted.text))
        views.append((0, self._screen.text))
        return views

    def _base(self, views: list[tuple[int, str]], text: str) -> tuple[View, list[Splice]]:
        """Choose the view that ``text`` is an edit of, let go of those before it, say the edit."""
        doubted, self._doubted = self._doubted, None
        if len(views) == 1:
            return self._screen, diff(self._screen.text, text)
        index, splices = _chosen(text, [candidate for _, candidate in views])
        number, chosen = views[index]
        base = self._trail.leave(number) if number else None
        if base is not None:
            older = [candidate for _, candidate in views[index + 1 :]]
            if not _is_clear(chosen, edit_size(splices), text, older):
                self._doubted = base
            return base, splices
        # Was it of a receive all the same, that receive is no longer on its way to the screen.
        newer = [candidate for number, candidate in views if number]
        self._unsure |= bool(newer) and not _is_clear(chosen, edit_size(splices), text, newer)
        if doubted is not None and index == len(views) - 2:
            return doubted, splices
        return self._screen, splices

    def _settle(self, number: int) -> None:
        """Let go of what the member no longer shows, having received ``number``."""
        view = self._trail.leave(number)
        if view is not None:
            self._screen = view
            self._doubted = None

    def _handled(self) -> None:
        self._arrived -= 1
        if not self._arrived:
            self._settle(self._confirmed)


def _chosen(text: str, candidates: list[str]) -> tuple[int, list[Splice]]:
    """Return which of the candidates, newest first, ``text`` is an edit of, and the edit.

    What is equal to one is an echo of the newest such. Else, of equally small edits, it is the one
    of the oldest: in the moment in which a receive arrives nobody can have seen it, and who takes
    back a letter takes back their own.
    """
    if text in candidates:
        return candidates.index(text), []
    index, splices = nearest(text, reversed(candidates))
    return len(candidates) - 1 - index, splices


def _is_clear(chosen: str, size: int, text: str, others: list[str]) -> bool:
    """Whether ``text``, at ``size`` from ``chosen``, was not made from one of the other texts.

    Had it been made from ``chosen``, any other would be as far from it as both steps together.
    """
    if not size:
        return True
    index, splices = nearest(text, others)
    return edit_size(splices) >= size + edit_size(diff(others[index], chosen))
