"""Which text a member was looking at when it sent another.

A text member sends whole texts and shows whole texts. To merge what it sends, the node must know
which text the member changed. Engine.IO gives the clock for that: a client answers every PING in
order, and handles what lies between two of them in between. So each PING stands for the receives
written before it, and its PONG confirms them; see `Views` for what follows.

The transform is Jupiter's (Nichols et al., 1995), one server and one client, with whole texts in
place of operations and PONGs in place of sequence numbers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import inf
from typing import Final, NamedTuple

from .choice import choose, is_clear
from .delta import Delta, compose, transform
from .diff import diff
from .lateness import LATE, Habit, Past, late_edit
from .splice import Splice, edit_size
from .trail import Trail, View

MAX_UNCONFIRMED_VIEWS: Final = 32
"""Receives that may be on their way to one member. Each keeps a text of up to the code size alive;
at 20 receives a second, 32 cover a round trip of a second and a half."""
TYPING_WINDOW: Final = 30.0
"""Seconds after its last change for which a member counts as typing: longer than a pause for
thought. It may have many receives on their way then; a member that only reads has one at a time."""
NO_ECHO: Final = 2
"""Receives that a member must have got without sending one back, to be sent more at a time."""
VERY_LATE: Final = 1.0
"""Seconds for which a page may go on showing what a receive has replaced: its machine may be busy,
and what it sends may have to wait on its way."""
MAX_PAST: Final = 8
"""Texts that a page may go on showing: at 20 receives a second it has had no more within `LATE`."""
HOLD: Final = 1.0
"""Seconds for which a member that comes back is left to speak first, if it was typing: it may show
a letter that its broken connection has lost, and a receive would overwrite it. So is one that may
keep changes back, after each of its own, if it is not known before that nothing waits."""
RETYPED: Final = 16
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
    """The texts that one member may be looking at, and what may be written to it.

    They are its *screen*, the latest text that it is known to have shown, with its own way to the
    replica; *others* that it may be showing in place of the screen; and the *receives* written
    since, in order. A change is an edit of one of them.

    The ledger holds one number per PING on its way: how many receives were written before it. The
    last number that came back is what the member surely has; the first still out bounds what it
    may have, for had it handled a receive behind that PING, it would have answered the PING before.

    Where several texts are possible, the smallest edit decides. If it does not decide clearly, the
    member may show something else than is believed: the merged text is sent to it whatever it
    shows, and a receive that was chosen stays possible until the next change.

    A page may also be *late*: many render after their handler has returned, when all marks are
    answered. A key in between changes the text before, and the page goes on with that. So what a
    receive has replaced stays possible for a moment, as the *past*, if a change clearly was made
    there.

    A client may also keep changes back until others are acknowledged, and answer marks meanwhile.
    To one that may, nothing is written after a change until it is known that nothing waits (see
    `Turns`). Of the receives that were on their way by then, it may have changed the text before.

    Times are monotonic, in seconds.
    """

    __slots__ = (
        "_confirmed",
        "_first_confirmed",
        "_habit",
        "_held",
        "_is_back",
        "_ledger",
        "_others",
        "_owed",
        "_past",
        "_quiet_until",
        "_screen",
        "_trail",
        "_typed",
        "_unechoed",
        "_unsure",
        "_written",
        "may_wait",
    )

    def __init__(self, screen: View, habit: Habit) -> None:
        """Start with what the member shows now, before anything is written to it.

        ``habit`` is that of its site.
        """
        self.may_wait = False
        self._habit = habit
        self._screen = screen
        self._others: list[View] = []
        self._past: deque[Past] = deque(maxlen=MAX_PAST)
        self._trail = Trail()
        self._ledger: deque[int] = deque()
        self._written = 0
        self._confirmed = 0
        self._first_confirmed: float | None = None
        self._typed: float | None = None
        self._unsure = False
        self._owed = False
        self._held = False
        self._is_back = False
        self._unechoed = 0
        self._quiet_until: float | None = None

    @classmethod
    def blank(cls, text: str, habit: Habit) -> Views:
        """Return the views of a page that shows nothing, in a room with ``text``."""
        return cls(View("", Delta.of(text)), habit)

    def advance(self, delta: Delta, now: float) -> None:
        """Follow the replica, which was edited by others: two compositions, a few in doubt."""
        if delta.is_identity:
            return
        self._forget_past(now)
        self._follow(delta)
        self._screen = _onward(self._screen, delta)

    def _follow(self, delta: Delta) -> None:
        self._others = [_onward(view, delta) for view in self._others]
        for _ in range(len(self._past)):
            view, since = self._past.popleft()
            self._past.append(Past(_onward(view, delta), since))
        self._trail.advance(delta)

    # What it may be showing

    def mount(self, text: str, *, owed: bool) -> None:
        """Take in that a page joins, or joins again on one connection: it may be blank.

        It is until it has the room's ``text``; ``owed`` says that the room has one, which is to be
        written to it whatever it shows.
        """
        if not self._is_back:
            self.release()
        self.offer(View("", Delta.of(text)))
        self._owed |= owed

    def resend(self) -> None:
        """Let the room's text be written to the member whatever it shows."""
        self._owed = True

    def offer(self, view: View) -> None:
        """Take in that the page may be showing ``view`` in place of what it is believed to show."""
        if all(view.text != other.text for other in (self._screen, *self._others)):
            self._others.append(view)

    def hold(self) -> None:
        """Write nothing to the member until `release`, its next change, or until it joins."""
        self._quiet_until = inf

    def release(self) -> None:
        """End a `hold`."""
        self._quiet_until = None

    def held_for(self, now: float) -> float | None:
        """Return for how many seconds more a receive is held back that would have been written.

        None if there is none, or if only the member can end it.
        """
        if not self._held or self._quiet_until is None or self._quiet_until == inf:
            return None
        return max(0.0, self._quiet_until - now)

    def recall(self, view: View, now: float) -> None:
        """Take in that the page may have shown ``view`` when it came: see `is_known`."""
        if self._first_confirmed is None:
            self.offer(view)
        else:
            self._past.append(Past(view, now))

    def is_known(self, now: float) -> bool:
        """Whether the member shows what this node has written to it, or what it sent.

        One that does not may be showing a text from before its connection.
        """
        first = self._first_confirmed
        return self._typed is not None or (first is not None and now - first > LATE)

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

    # What is written to it

    def next_receive(self, text: str, now: float) -> str | None:
        """Return the text to write to the member now; None if there is none, or it must wait.

        ``text`` is the replica's. What is returned counts as written, between two marks: write
        PING, receive, PING, with nothing in between.
        """
        if text == self.final_text and not self._owed:
            return None
        self._held = not self._may_receive(now)
        if self._held:
            return None
        self._owed = self._unsure = False
        self.ping()
        self._written += 1
        self._trail.append(self._written, text)
        self.ping()
        return text

    def _may_receive(self, now: float) -> bool:
        """Whether a receive may be written, or must wait until a PONG or a change.

        A member that has not typed lately has one on its way at a time. Its first change could
        else be an edit of any of several, and most of what was lost in simulations was lost there.
        So has one that may be sending back what it receives: a client that takes several messages
        from one packet (Node's) answers all their marks first, and its echo of the first would look
        like somebody's undoing of the others.
        """
        if self._quiet_until is not None and now < self._quiet_until:
            return False
        several = self.is_typing(now) and self._unechoed >= NO_ECHO and not self.may_wait
        return len(self._trail) < (MAX_UNCONFIRMED_VIEWS if several else 1)

    def is_typing(self, now: float) -> bool:
        """Whether the member has typed lately."""
        return self._typed is not None and now - self._typed < TYPING_WINDOW

    def ping(self) -> None:
        """Enter a PING as it goes to the transport: any PONG tells how far a member is."""
        self._ledger.append(self._written)

    def pong(self, now: float) -> bool:
        """Take in a PONG; return whether to try again to write what has to wait.

        A PONG to no PING of the ledger means nothing.
        """
        if self._ledger:
            confirmed, self._confirmed = self._confirmed, self._ledger.popleft()
            self._unechoed += self._confirmed > confirmed
            self._settle(self._confirmed, now)
        if self._is_back:
            self._is_back = False
            self._quiet_until = now + HOLD if self.is_typing(now) else None
        held, self._held = self._held, False
        return held

    def _settle(self, number: int, now: float) -> None:
        """Let go of what the member no longer shows, having received ``number``."""
        view = self._trail.leave(number)
        if view is not None:
            if self._first_confirmed is None:
                self._first_confirmed = now
            self._forget_past(now)
            self._past.extend(Past(gone, now) for gone in (*self._others, self._screen))
            self._screen = view
            self._others = []

    def _forget_past(self, now: float) -> None:
        while self._past and self._past[0].since <= now - VERY_LATE:
            self._past.popleft()

    # What it sends

    def change(self, text: str, now: float, *, kept_since: float | None = None) -> Outcome:
        """Take in the member's text as it arrives, and return what it did.

        The client may have kept it back since the time ``kept_since``, if there is one: it may be
        an edit of what the page showed before receives that were confirmed meanwhile.

        The caller applies the outcome's delta to the replica, and tells everybody *else's* views of
        it by `advance`; this member's are right already.
        """
        self._typed = now
        self._is_back = False
        self.release()
        self._unsure &= len(self._trail) > 0
        self._forget_past(now if kept_since is None else min(now, kept_since))
        candidates = self._candidates()
        base, splices = self._base(candidates, text, kept=kept_since is not None)
        late = late_edit(self._past, base.text, splices, text, self._habit, now)
        if late is None and kept_since is not None:
            kept = [Past(view, now) for view, since in self._past if since >= kept_since]
            late = late_edit(kept, base.text, splices, text, Habit(), now)
        if late is not None:
            # It may also have put the receive in place of what it sent.
            self._others.append(base)
            base, splices = late
        # In a tie what is there comes first: a letter typed behind one that a stale receive hid
        # belongs behind it.
        way, delta = transform(base.way, Delta.from_splices(splices))
        if self._habit.lateness < LATE:
            self._past.clear()
        else:  # so slow a page may put back what it showed before this change
            self._past.append(Past(self._screen, now))
        if self.may_wait:
            self._quiet_until = now + HOLD
        self._follow(delta)
        self._screen = View(text, way)
        if not splices:
            self._unechoed = 0
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
        views = [*self._trail.texts(self._ledger[0] if self._ledger else self._written)]
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
        base = self._trail.leave(number) if number else None
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

    def returned(self) -> None:
        """Take in that the member is back on another connection: what was on its way may be lost.

        So may be what it sent last: it shows that, and will send it with its next change. Nothing
        is written to it before it has sent what it kept, which a PONG tells; one that was typing
        has a moment more. That it has mounted again may be lost too.
        """
        self._unsure = True
        self._others = [*self._others, *reversed(self._trail.views())]
        if len(self._screen.text) > RETYPED:
            self.offer(View("", Delta.of(self._screen.way.apply(self._screen.text))))
        self._trail = Trail()
        self._ledger.clear()
        self._confirmed = self._written
        self._is_back = self._held = True
        self.may_wait = False
        self.hold()

    @classmethod
    def taken_over(
        cls, views: Sequence[View], onward: Delta, habit: Habit, *, known: bool
    ) -> Views:
        """Return the views of a member that was on another node.

        ``views`` and ``known`` are what `views` and `is_known` returned there, and ``onward`` is
        the way from the text that the replica had there to the one that it has here.
        """
        *others, screen = (_onward(view, onward) for view in views)
        taken = cls(screen, habit)
        taken._others = others[::-1]
        if known:
            taken._first_confirmed = -inf
        return taken

    def has_typed(self, now: float) -> None:
        """Take in that the member was typing, on another node."""
        self._typed = now

    def views(self) -> list[View]:
        """Return all that the member may be showing, newest first."""
        return [*self._trail.views(), *reversed(self._others), self._screen]

    def check(self, replica_text: str) -> None:
        """Assert that every view's way leads to the replica's text; for tests."""
        for text, way in (*self.views(), *(past.view for past in self._past)):
            assert way.apply(text) == replica_text
        assert len(self._trail) <= MAX_UNCONFIRMED_VIEWS
        assert list(self._ledger) == sorted(self._ledger)


def _onward(view: View, delta: Delta) -> View:
    return View(view.text, compose(view.way, delta))
