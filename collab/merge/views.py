"""Which text a member was looking at when it sent another.

A text member sends whole texts and shows whole texts. To merge what it sends, the node must know
which text the member changed. Engine.IO gives the clock for that: a client answers every PING in
order, and handles what lies between two of them in between. So each PING stands for the receives
written before it, and its PONG confirms them (`text_peer`); see `Views` for what follows.

The transform is Jupiter's (Nichols et al., 1995), one server and one client, with whole texts in
place of operations and PONGs in place of sequence numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Final, NamedTuple

from .choice import choose, is_clear
from .delta import Delta, transform
from .diff import diff
from .lateness import LATE_WINDOW, Habit, Pasts
from .splice import Splice, edit_size
from .trail import Trail, View

MAX_RETYPED: Final = 16
"""Code points of a text that a page may replace wholly by one edit. One that returns with nothing
of a longer text has mounted again, and shows nothing else."""


class Outcome(NamedTuple):
    """What a change was.

    ``delta`` is the edit to apply to the replica. ``echo`` says that the member sent back what it
    was showing, so that there is nothing to store or send on. ``needs_receive`` says that what the
    member shows when all on its way has arrived isn't the merged text. ``guessed`` says that there
    was more than one view it could be an edit of, and the smallest edit decided; ``late`` that it
    was an edit of a text that a receive had replaced.
    """

    delta: Delta
    echo: bool
    needs_receive: bool
    guessed: bool
    late: bool


class Views:
    """The texts that one member may be looking at.

    They are its *screen*, the latest text that it is known to have shown, with its own way to the
    replica; *others* that it may be showing in place of the screen; and the *receives* written
    since, in order. A change is an edit of one of them.

    Receives are numbered. The last one that was *confirmed* is what the member surely has; it may
    have those up to the last one *reached*, for it has answered the PING before that.

    Where several texts are possible, the smallest edit decides. If it does not decide clearly, the
    member may show something else than is believed: the merged text is sent to it whatever it
    shows, and a receive that was chosen stays possible until the next change.

    A page may also be *late*: many render after their handler has returned, when all marks are
    answered. A key in between changes the text before, and the page goes on with that. So what a
    receive has replaced stays possible for a moment, as the *past*, if a change clearly was made
    there.

    A client may also keep changes back, and answer PINGs meanwhile (see `Turns`). Of the receives
    that were on their way by then, it may have changed the text before.

    Times are monotonic, in seconds.
    """

    __slots__ = (
        "_confirmed",
        "_first_confirmed",
        "_habit",
        "_others",
        "_pasts",
        "_reached",
        "_screen",
        "_trail",
        "_unsure",
    )

    def __init__(self, screen: View, habit: Habit) -> None:
        """Start with what the member shows now, before anything is written to it.

        ``habit`` is that of its site.
        """
        self._habit = habit
        self._screen = screen
        self._others: list[View] = []
        self._pasts = Pasts()
        self._trail = Trail()
        self._confirmed = 0
        self._reached = 0
        self._first_confirmed: float | None = None
        self._unsure = False

    @classmethod
    def blank(cls, text: str, habit: Habit) -> Views:
        """Return the views of a page that shows nothing, in a room with ``text``."""
        return cls(View("", Delta.of(text)), habit)

    def advance(self, delta: Delta, now: float) -> None:
        """Follow the replica, which was edited by others: two compositions, a few in doubt."""
        if delta.is_identity:
            return
        self._pasts.forget(now)
        self._follow(delta)
        self._screen = self._screen.advanced(delta)

    def _follow(self, delta: Delta) -> None:
        self._others = [view.advanced(delta) for view in self._others]
        self._pasts.advance(delta)
        self._trail.advance(delta)

    # What it may be showing

    def offer(self, view: View) -> None:
        """Take in that the page may be showing ``view`` in place of what it is believed to show."""
        if all(view.text != other.text for other in (self._screen, *self._others)):
            self._others.append(view)

    def offer_blank(self) -> None:
        """Take in that the page may be showing nothing."""
        self.offer(View("", Delta.of(self._screen.way.apply(self._screen.text))))

    def recall(self, view: View, now: float) -> None:
        """Take in that the page may have shown ``view`` when it came: see `is_known`."""
        if self._first_confirmed is None:
            self.offer(view)
        else:
            # It is a guess, and is believed only where a text that was replaced long ago would be.
            self._pasts.add([view], now - 2 * LATE_WINDOW)

    def is_known(self, now: float) -> bool:
        """Whether the member shows what this node has written to it."""
        first = self._first_confirmed
        return first is not None and now - first > LATE_WINDOW

    @property
    def final_text(self) -> str | None:
        """What the member shows once all that was written to it has arrived; ``None`` in doubt.

        If it isn't the replica's text, the member is owed a receive.
        """
        if self._unsure:
            return None
        last = self._trail.last_text
        if last is not None:
            return last
        return None if self._others else self._screen.text

    # What it receives

    @property
    def under_way(self) -> int:
        """How many receives are on their way, as far as is known."""
        return len(self._trail)

    def write(self, text: str) -> int:
        """Take in that ``text``, the replica's, is written as a receive; return its number."""
        self._unsure = False
        return self._trail.append(text)

    def confirm(self, confirmed: int, reached: int, now: float) -> bool:
        """Take in that the member has the receives up to ``confirmed``; return whether that is new.

        It may have those up to ``reached``.
        """
        self._reached = max(self._reached, reached)
        if confirmed <= self._confirmed:
            return False
        self._confirmed = confirmed
        view = self._trail.pop_through(confirmed)
        if view is not None:
            if self._first_confirmed is None:
                self._first_confirmed = now
            self._pasts.forget(now)
            self._pasts.add((*self._others, self._screen), now)
            self._screen = view
            self._others = []
        return True

    # What it sends

    def change(self, text: str, now: float, kept_since: float | None) -> Outcome:
        """Take in the member's text as it arrives, and return what it did.

        The client may have kept it back since the time ``kept_since``, if there is one: it may be
        an edit of what the page showed before receives that were confirmed meanwhile.

        The caller applies the outcome's delta to the replica, and tells everybody *else's* views of
        it by `advance`; this member's are right already.
        """
        self._unsure &= len(self._trail) > 0
        self._pasts.forget(now if kept_since is None else min(now, kept_since))
        candidates = self._candidates()
        base, splices = self._base(candidates, text, kept=kept_since is not None)
        late = self._pasts.find(
            base.text, splices, text, now, habit=self._habit, kept_since=kept_since
        )
        if late is not None:
            # It may also have put the receive in place of what it sent.
            self._others.append(base)
            base, splices = late
        # In a tie what is there comes first: a letter typed behind one that a stale receive hid
        # belongs behind it.
        way, delta = transform(base.way, Delta.from_splices(splices))
        if self._habit.lateness < LATE_WINDOW:
            self._pasts.clear()
        else:  # so slow a page may put back what it showed before this change
            self._pasts.add([self._screen], now)
        self._follow(delta)
        self._screen = View(text, way)
        return Outcome(
            delta,
            echo=not splices,
            needs_receive=way.apply(text) != self.final_text,
            guessed=len(candidates) > 1,
            late=late is not None,
        )

    def _candidates(self) -> list[tuple[int, str]]:
        """Return what the member may have been looking at, newest first, by number.

        0 is no receive on its way: the screen, which comes last, and others in its place.
        """
        views = [*self._trail.texts(self._reached)]
        views += [(0, view.text) for view in reversed(self._others)]
        views.append((0, self._screen.text))
        return views

    def _base(
        self, candidates: list[tuple[int, str]], text: str, *, kept: bool
    ) -> tuple[View, list[Splice]]:
        """Choose the view that ``text`` is an edit of, let go of those before it, say the edit."""
        if len(candidates) == 1:
            return self._screen, diff(self._screen.text, text)
        others, self._others = self._others, []
        index, splices = choose(text, [candidate for _, candidate in candidates])
        number, chosen = candidates[index]
        base = self._trail.pop_through(number) if number else None
        if base is not None:
            older = [candidate for _, candidate in candidates[index + 1 :]]
            if not is_clear(chosen, edit_size(splices), text, older):
                self._others = [base]
            return base, splices
        # Was it of a receive all the same, that receive is no longer on its way to the screen.
        newer = [candidate for number, candidate in candidates if number]
        self._unsure |= bool(newer) and not is_clear(chosen, edit_size(splices), text, newer)
        place = len(candidates) - 1 - index  # 0 is the screen, 1 the first of the others
        if kept:
            self._others = others[place:]  # a receive may have replaced it after it was typed
        return (others[place - 1] if place else self._screen), splices

    # Leaving and coming back

    def reconnected(self) -> None:
        """Take in that the member is back on another connection: what was on its way may be lost.

        So may be what it sent last: it shows that, and will send it with its next change. That it
        has mounted again may be lost too.
        """
        self._unsure = True
        self._others = [*self._others, *reversed(self._trail.views())]
        if len(self._screen.text) > MAX_RETYPED:
            self.offer_blank()
        self._trail.clear()
        self._confirmed = self._reached = self._trail.last

    @classmethod
    def restored(cls, views: Sequence[View], delta: Delta, habit: Habit, *, known: bool) -> Views:
        """Return the views of a member that was on another node.

        ``views`` and ``known`` are what `views` and `is_known` returned there, and ``delta`` is
        the way from the text that the replica had there to the one that it has here.
        """
        *others, screen = (view.advanced(delta) for view in views)
        restored = cls(screen, habit)
        restored._others = others[::-1]
        if known:
            restored._first_confirmed = -inf
        return restored

    def views(self) -> list[View]:
        """Return all that the member may be showing, newest first."""
        return [*self._trail.views(), *reversed(self._others), self._screen]

    def check(self, replica_text: str) -> None:
        """Assert that every view's way leads to the replica's text; for tests."""
        for text, way in (*self.views(), *(past.view for past in self._pasts)):
            assert way.apply(text) == replica_text
        assert self._confirmed <= self._reached <= self._trail.last
