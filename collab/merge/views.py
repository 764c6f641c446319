"""Determine which text a member was looking at when it sent another.

A text member sends whole texts and shows whole texts. To merge a text that the member sends, the
node must know which text the member changed. Engine.IO gives a clock for this: a client answers
all PINGs and handles all receives in the order in which they were written. So a PONG confirms the
receives written before its PING (`text_peer`); see `Views` for the consequences.

The transform is Jupiter's (Nichols et al., 1995), one server and one client, with whole texts in
place of operations and PONGs in place of sequence numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Final, NamedTuple

from .choice import choose, is_clear
from .delta import IDENTITY, Delta, compose, transform
from .differ import Differ
from .doubt import doubtful, sparing
from .lateness import LATE_WINDOW, Habit, Pasts
from .splice import Splice, edit_size
from .trail import Trail, View

MAX_RETYPED: Final = 16
"""Code points of a text that one edit may replace wholly. If a page reconnects and has nothing left
of a longer text, it has mounted again, blank."""


class Outcome(NamedTuple):
    """The outcome of a change.

    ``delta`` is the edit to apply to the replica. ``echo`` tells that the member sent back the text
    that it was showing, so there is nothing to store or publish. ``needs_receive`` tells that the
    member will not show the merged text when all its receives have arrived. ``guessed`` tells that
    several views were possible, and the smallest edit decided; ``late`` that the change was an edit
    of a text that a receive had replaced.
    """

    delta: Delta
    echo: bool
    needs_receive: bool
    guessed: bool
    late: bool


class Views:
    """The texts that one member may be looking at.

    They are the *screen*, the latest text that it is known to have shown; *others* that it may be
    showing in place of the screen; and the *receives* written since, in order. Each has its own
    delta to the replica. A change is an edit of one of them.

    Receives are numbered. The member surely has the receives up to the last *confirmed* one. It may
    have those up to the last *reached* one, because it has answered the PING before that.

    If several texts are possible, the smallest edit decides. If it does not decide clearly, the
    member may show another text than the node believes: then the merged text is sent to the member
    in any case, and a receive that was chosen remains possible until the next change.

    A page may also be *late*: many pages render after their handler has returned, when all marks
    are answered. A key pressed before the rendering changes the old text, and the page keeps the
    result. So a text that a receive has replaced remains possible for a moment, as one of the
    *pasts*, for a change that was clearly made from it.

    A client may also keep changes back, and answer PINGs meanwhile (see `Turns`). Such a change may
    be an edit of a text that a receive, confirmed meanwhile, has replaced.

    Times are monotonic, in seconds.
    """

    __slots__ = (
        "_caret",
        "_confirmed",
        "_first_confirmed",
        "_habit",
        "_others",
        "_pasts",
        "_reached",
        "_returned",
        "_screen",
        "_trail",
        "_unsure",
    )

    def __init__(self, screen: View, habit: Habit) -> None:
        """Start with the text that the member shows before its first receive.

        ``habit`` is that of the member's site.
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
        self._returned = False
        self._caret = 0
        """Where the member's last edit ended, as far as that edit tells."""

    @classmethod
    def blank(cls, text: str, habit: Habit) -> Views:
        """Return the views of a page that shows nothing, in a room with ``text``."""
        return cls(View("", Delta.of(text)), habit)

    def advance(self, delta: Delta, now: float) -> None:
        """Follow an edit of the replica by others: two compositions, or more if uncertain."""
        if delta.is_identity:
            return
        self._pasts.forget(now)
        self._follow(delta)
        self._screen = self._screen.advanced(delta)

    def _follow(self, delta: Delta) -> None:
        if self._others:
            self._others = [view.advanced(delta) for view in self._others]
        self._pasts.advance(delta)
        self._trail.advance(delta)

    # What the page may be showing

    def offer(self, view: View) -> None:
        """Add ``view`` to the texts that the page may be showing in place of the screen."""
        if all(view.text != other.text for other in (self._screen, *self._others)):
            self._others.append(view)

    def offer_blank(self) -> None:
        """Add the empty text to the texts that the page may be showing."""
        self.offer(View("", Delta.of(self._screen.to_present.apply(self._screen.text))))

    def offer_former(self, view: View, now: float) -> None:
        """Add ``view`` to the texts that the page may have shown when it joined: see `is_known`."""
        if self._first_confirmed is None:
            self.offer(view)
        else:
            self._pasts.add([view], now, former=True)

    def is_known(self, now: float) -> bool:
        """Whether the member shows a text that this node has written to it."""
        first = self._first_confirmed
        return first is not None and now - first > LATE_WINDOW

    @property
    def final_text(self) -> str | None:
        """The text that the member shows once all its receives have arrived; None if uncertain.

        If it isn't the replica's text, a receive is due.
        """
        if self._unsure:
            return None
        last = self._trail.last_text
        if last is not None:
            return last
        return None if self._others else self._screen.text

    # Receives

    @property
    def under_way(self) -> int:
        """The number of receives that are not confirmed."""
        return len(self._trail)

    def write(self, text: str) -> int:
        """Record that the replica's ``text`` is written as a receive; return its number."""
        self._unsure = False
        return self._trail.append(text)

    def confirm(self, confirmed: int, reached: int, now: float) -> bool:
        """Record that the member has the receives up to ``confirmed``; return whether that is new.

        The member may have the receives up to ``reached``.
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

    # Changes

    def change(self, text: str, now: float, kept_since: float | None) -> Outcome:
        """Handle a text that the member has sent, and return its outcome.

        The client may have kept the text back since ``kept_since``, if that is not None. Then it
        may be an edit of a text that receives, confirmed meanwhile, have replaced.

        The caller applies the outcome's delta to the replica, and passes it to the views of all
        *other* members by `advance`; this member's views have followed it already.
        """
        self._unsure &= len(self._trail) > 0
        self._pasts.forget(now if kept_since is None else min(now, kept_since))
        diff = Differ(self._caret)
        candidates = self._candidates() if self._others or len(self._trail) else []
        if len(candidates) > 1:
            base, splices = self._choose(candidates, text, diff, kept=kept_since is not None)
        else:
            base, splices = self._screen, diff(self._screen.text, text)
        late = self._pasts.find(
            base.text, splices, text, now, diff, habit=self._habit, kept_since=kept_since
        )
        if late is not None:
            # The page may also have shown the receive afterwards, in place of what it sent.
            self._others.append(base)
            base, splices = late
        edit, spared = Delta.from_splices(splices), IDENTITY
        if self._returned and late is None:
            # What the page was perhaps not showing stays, and it gets that with the next receive.
            others = [candidate for _, candidate in candidates]
            kept = doubtful(base.text, splices, text, others, diff)
            edit, spared = sparing(base.text, splices, kept)
        self._returned = False
        # Where both insert at one place, the replica's text comes first: a letter typed after one
        # that a stale receive hid belongs after it.
        to_present, delta = transform(base.to_present, edit)
        if self._habit.lateness < LATE_WINDOW:
            self._pasts.clear()
        else:  # so slow a page may show the screen again after this change
            self._pasts.add([self._screen], now)
        self._follow(delta)
        to_present = compose(spared, to_present)
        self._screen = View(text, to_present)
        self._caret = splices[-1].start + len(splices[-1].insert) if splices else 0
        return Outcome(
            delta,
            echo=not splices,
            needs_receive=to_present.apply(text) != self.final_text,
            guessed=len(candidates) > 1,
            late=late is not None,
        )

    def _candidates(self) -> list[tuple[int, str]]:
        """Return ``(number, text)`` of all that the member may have been looking at, newest first.

        The number is a receive's, or 0 for the others and for the screen, which is last.
        """
        views = [*self._trail.numbered(self._reached)]
        views += [(0, view.text) for view in reversed(self._others)]
        views.append((0, self._screen.text))
        return views

    def _choose(
        self, candidates: list[tuple[int, str]], text: str, diff: Differ, *, kept: bool
    ) -> tuple[View, list[Splice]]:
        """Choose the view that ``text`` is an edit of, drop older views, return it and the edit."""
        others, self._others = self._others, []
        index, splices = choose(text, [candidate for _, candidate in candidates], diff)
        number, chosen = candidates[index]
        base = self._trail.pop_through(number) if number else None
        if base is not None:
            older = [candidate for _, candidate in candidates[index + 1 :]]
            if not is_clear(chosen, edit_size(splices), text, older, diff):
                self._others = [base]
            return base, splices
        # If the text was made from a receive after all, that receive has reached the screen.
        newer = [candidate for number, candidate in candidates if number]
        self._unsure |= bool(newer) and not is_clear(chosen, edit_size(splices), text, newer, diff)
        place = len(candidates) - 1 - index  # 0 is the screen, 1 the first of the others
        if kept:
            self._others = others[place:]  # a receive may have replaced it after it was typed
        return (others[place - 1] if place else self._screen), splices

    # Reconnecting

    def reconnected(self) -> None:
        """Handle the member's reconnection: everything that was on its way may be lost.

        The member's last change may be lost too: the page shows that text, and will send it with
        its next change. The event that the page has mounted again may also be lost.
        """
        self._unsure = True
        self._returned = True
        self._others = [*self._others, *reversed(self._trail.views())]
        if len(self._screen.text) > MAX_RETYPED:
            self.offer_blank()
        self._trail.clear()
        self._confirmed = self._reached = self._trail.last

    @classmethod
    def restored(cls, views: Sequence[View], delta: Delta, habit: Habit, *, known: bool) -> Views:
        """Return the views of a member that was on another node.

        ``views`` and ``known`` are the results of `views` and `is_known` there. ``delta`` leads
        from the replica's text there, at that time, to the replica's present text here.
        """
        *others, screen = (view.advanced(delta) for view in views)
        restored = cls(screen, habit)
        restored._others = others[::-1]
        if known:
            restored._first_confirmed = -inf
        return restored

    def texts(self) -> list[str]:
        """Return all texts that the member may be showing, newest first."""
        others = [view.text for view in reversed(self._others)]
        return [*self._trail.texts(), *others, self._screen.text]

    def views(self) -> list[View]:
        """Return all views that the member may be showing, newest first."""
        return [*self._trail.views(), *reversed(self._others), self._screen]

    def check(self, replica_text: str) -> None:
        """Assert that the delta of every view leads to the replica's text; for tests."""
        for text, delta in (*self.views(), *(past.view for past in self._pasts)):
            assert delta.apply(text) == replica_text
        assert self._confirmed <= self._reached <= self._trail.last
