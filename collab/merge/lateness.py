"""Late pages: they show a text for a moment after a receive has replaced it.

React, for example, renders after the ``receive`` handler has returned, when the client has already
answered all marks. A key pressed before the rendering changes the old text; the page sends the
result, and keeps it, because of two states React applies the later one last. So a text that a
receive has replaced remains a possible base of changes for a moment.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from math import inf
from typing import Final, NamedTuple

from .delta import Delta
from .diff import diff
from .differ import Diff
from .splice import Splice, edit_size
from .trail import View

LATE_WINDOW: Final = 0.1
"""Seconds after a receive in which nobody can have read and changed the text that it brought. Most
pages render within a few frames."""
PAST_WINDOW: Final = 1.0
"""Seconds for which a page may still show a text after a receive has replaced it: its machine may
be busy, and its change may be delayed on the network."""
MAX_PAST: Final = 8
"""Replaced texts that a page may still show: at 20 receives a second, a page gets fewer within
`LATE_WINDOW`."""
RENDER_WINDOW: Final = 0.05
"""Seconds within which a page that is not busy renders: three frames."""
MAX_EDITS: Final = 64
"""Edits by others that are kept for the deltas of the replaced texts, until they are composed."""
MAX_KEYSTROKE: Final = 2
"""Code points that one key inserts: editors add the closing bracket."""
MIN_LATE_CHANGES: Final = 3
"""Late changes after which the pages of a site count as late."""
MAX_PROMPT_RATIO: Final = 50
"""Prompt changes for each late one, up to which the pages of a site count as late. A page that
renders within a frame makes a late change once in about ten."""
MAX_AGES: Final = 32
"""Late changes of one site whose ages are kept."""


class Past(NamedTuple):
    """A view that a receive has replaced, and the time of that (monotonic, in seconds).

    It is ``former`` if the node never wrote it to this connection: the page may have shown it when
    it joined. Then ``since`` is the time of the guess, and says nothing about how late it renders.
    """

    view: View
    since: float
    former: bool = False

    def age(self, now: float) -> float:
        """Return the seconds for which the page has had the receive; infinite if it is unknown."""
        return inf if self.former else now - self.since


class Pasts:
    """The views that receives have replaced and that one page may still show, oldest first.

    Most of them are never asked for, and every edit by others changes the deltas of all. So the
    edits are kept, and composed only with a view that is used.
    """

    __slots__ = ("_edits", "_first", "_pasts", "_seen")

    def __init__(self) -> None:
        # Lists: these are short, and three empty deques take 2 kB of each idle member.
        self._pasts: list[Past] = []
        self._seen: list[int] = []  # of each: how many edits its delta contains
        self._edits: list[Delta] = []
        self._first = 0  # the number of the first of them

    def __iter__(self) -> Iterator[Past]:
        for (view, since, former), seen in zip(self._pasts, self._seen, strict=True):
            yield Past(self._advanced(view, seen), since, former)

    def add(self, views: Iterable[View], now: float, *, former: bool = False) -> None:
        """Add views that a receive replaces now, or that a page that came back may have shown."""
        for view in views:
            self._pasts.append(Past(view, now, former))
            self._seen.append(self._first + len(self._edits))
        if len(self._pasts) > MAX_PAST:
            del self._pasts[:-MAX_PAST], self._seen[:-MAX_PAST]

    def advance(self, delta: Delta) -> None:
        """Follow an edit of the replica by ``delta``."""
        if self._pasts:
            self._edits.append(delta)
            if len(self._edits) > MAX_EDITS:
                self._compose()

    def _compose(self) -> None:
        pasts = list(self)
        self.clear()
        for past in pasts:
            self.add([past.view], past.since, former=past.former)

    def _advanced(self, view: View, seen: int) -> View:
        for delta in self._edits[seen - self._first :]:
            view = view.advanced(delta)
        return view

    def forget(self, now: float) -> None:
        """Drop the views that a page can't show any more at the time ``now``."""
        if not (self._pasts or self._edits):
            return
        while self._pasts and self._pasts[0].since <= now - PAST_WINDOW:
            del self._pasts[0], self._seen[0]
        while self._edits and (not self._seen or self._first < self._seen[0]):
            del self._edits[0]
            self._first += 1

    def clear(self) -> None:
        """Drop all views: the page has shown another text since."""
        if self._pasts or self._edits:
            self._pasts.clear()
            self._seen.clear()
            self._edits.clear()

    def find(
        self,
        screen: str,
        splices: list[Splice],
        text: str,
        now: float,
        diff: Diff,
        *,
        habit: Habit,
        kept_since: float | None,
    ) -> tuple[View, list[Splice]] | None:
        """Return the replaced view that ``text`` was clearly made from, if any, and the edit.

        ``splices`` are the edit to ``text`` from ``screen``, the text that the page probably shows.
        If the client may have kept the text back since ``kept_since``, any view replaced since
        then may be the base too; such a change says nothing about how late its pages render.
        """
        if not self._pasts:
            return None
        late = late_edit(self._pasts, screen, splices, text, habit, now, diff)
        if late is None and kept_since is not None:
            kept = [Past(past.view, now) for past in self._pasts if past.since >= kept_since]
            late = late_edit(kept, screen, splices, text, Habit(), now, diff)
        if late is None:
            return None
        view, edit = late
        place = next(i for i, past in enumerate(self._pasts) if past.view is view)
        return self._advanced(view, self._seen[place]), edit


class Habit:
    """Statistics of how late the pages of one site render: all of them do it in the same way.

    ``prompt`` counts the changes that came soon after a receive and were clearly made from its
    text.
    """

    __slots__ = ("_ages", "_late", "prompt")

    def __init__(self) -> None:
        self.prompt = 0
        self._late = 0
        self._ages: deque[float] = deque(maxlen=MAX_AGES)

    def record_late(self, age: float) -> None:
        """Record that a page changed a text ``age`` seconds after a receive had replaced it."""
        self._late += 1
        self._ages.append(age)

    @property
    def is_prompt(self) -> bool:
        """Whether the late changes are so few that they may be due to chance."""
        return self._late * MAX_PROMPT_RATIO < self.prompt

    @property
    def lateness(self) -> float:
        """The seconds within which pages of this site render; 0 if the late changes may be chance.

        This is the 90th percentile of the ages of late changes.
        """
        if self._late < MIN_LATE_CHANGES or self.is_prompt:
            return 0.0
        return sorted(self._ages)[len(self._ages) * 9 // 10]


def late_edit(
    pasts: Sequence[Past],
    screen: str,
    splices: list[Splice],
    text: str,
    habit: Habit,
    now: float,
    diff: Diff = diff,
) -> tuple[View, list[Splice]] | None:
    """Return the view of ``pasts`` that ``text`` was clearly made from, if any, and the edit.

    ``splices`` are the edit to ``text`` from ``screen``, the text that the page probably shows.
    A past view is clearly the base if ``splices`` combine the edit from it with the undoing of all
    changes between it and the screen, at more places; or if they restore text that the receive had
    deleted. If everything is at one place, a person may have done just that on the screen, but
    hardly within the moment that the page takes to render.
    """
    usual = habit.lateness
    if edit_size(splices) == 1 and not usual:
        # The usual change, one letter: an edit of a past text with an undoing would be larger.
        habit.prompt += sum(past.age(now) < LATE_WINDOW for past in pasts)
        return None
    found: tuple[View, list[Splice]] | None = None
    smallest, found_age = edit_size(splices), inf
    for past in reversed(pasts):
        view, age = past.view, past.age(now)
        if age >= LATE_WINDOW and abs(len(text) - len(view.text)) > smallest:
            continue
        edit = diff(view.text, text)
        size = edit_size(edit)
        if age >= LATE_WINDOW and size > smallest:
            continue
        between = diff(view.text, screen)
        both = _both_delete(edit, between)
        undone = edit_size(between) - 2 * both
        if not edit or size > smallest or edit_size(splices) < size + undone:
            habit.prompt += age < LATE_WINDOW and size >= edit_size(splices) + undone
            continue
        if not undone and age >= usual:
            continue
        restored = sum(splice.end - splice.start for splice in between) - both
        if (
            (len(splices) > len(edit) and size < smallest)
            or restored > (0 if age < LATE_WINDOW else MAX_KEYSTROKE)
            or _is_plausible(edit, age, habit)
        ):
            found, smallest, found_age = (view, edit), size, age
    if found_age < inf:
        habit.record_late(found_age)
    return found


def _is_plausible(edit: list[Splice], age: float, habit: Habit) -> bool:
    """Whether ``edit`` counts as one of a view that was replaced ``age`` seconds ago.

    It could also be an edit of the screen at the same place. If the lateness of the site's pages is
    unknown, only a keystroke counts, because nobody deletes text that has just arrived and types
    in its place at once.
    """
    usual = habit.lateness
    if age < usual:
        return True
    if any(splice.start != splice.end for splice in edit):
        return False
    if usual:
        return age < LATE_WINDOW
    return age < RENDER_WINDOW and edit_size(edit) <= MAX_KEYSTROKE and not habit.is_prompt


def _both_delete(one: list[Splice], other: list[Splice]) -> int:
    """Return how many code points both of two edits of one text delete."""
    both = 0
    ours, theirs = iter(one), iter(other)
    a, b = next(ours, None), next(theirs, None)
    while a is not None and b is not None:
        both += max(0, min(a.end, b.end) - max(a.start, b.start))
        if a.end < b.end:
            a = next(ours, None)
        else:
            b = next(theirs, None)
    return both
