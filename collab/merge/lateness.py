"""Pages that go on showing a text for a moment after a receive has replaced it.

React, for one, renders after the ``receive`` handler has returned, when the client has answered all
marks. A key in between changes the text before, sends that, and stands: of two states React applies
the later one last. So what a receive has replaced stays possible for a moment.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from .delta import Delta
from .diff import diff
from .splice import Splice, edit_size
from .trail import View

LATE: Final = 0.1
"""Seconds after a receive in which nobody has read it yet, and changed what it brought. Most pages
render within a frame or a few."""
VERY_LATE: Final = 1.0
"""Seconds for which a page may go on showing what a receive has replaced: its machine may be busy,
and what it sends may have to wait on its way."""
MAX_PAST: Final = 8
"""Texts that a page may go on showing: at 20 receives a second it has had no more within `LATE`."""
FRAMES: Final = 0.05
"""Seconds within which a page that is not busy renders: three frames."""
KEYSTROKE: Final = 2
"""Code points that one key inserts: editors close brackets by themselves."""
MIN_LATE: Final = 3
"""Changes of late pages after which the pages of their site count as late."""
PROMPT: Final = 50
"""As many times the late changes may be outnumbered by prompt ones. A page that renders within a
frame is seen to be late once in about ten."""
MAX_AGES: Final = 32
"""Late changes of a site of which it is known how late they were."""


class Past(NamedTuple):
    """A view that a receive has replaced, and when (monotonic, in seconds)."""

    view: View
    since: float


class Pasts:
    """What one page may go on showing: views that receives have replaced, oldest first."""

    __slots__ = ("_pasts",)

    def __init__(self) -> None:
        self._pasts: deque[Past] = deque(maxlen=MAX_PAST)

    def __iter__(self) -> Iterator[Past]:
        return iter(self._pasts)

    def replaced(self, views: Iterable[View], now: float) -> None:
        """Enter views that a receive replaces now."""
        self._pasts.extend(Past(view, now) for view in views)

    def advance(self, delta: Delta) -> None:
        """Follow the replica, which was edited by ``delta``: one composition each."""
        for _ in range(len(self._pasts)):
            view, since = self._pasts.popleft()
            self._pasts.append(Past(view.onward(delta), since))

    def forget(self, now: float) -> None:
        """Drop what a page can't be showing any more."""
        while self._pasts and self._pasts[0].since <= now - VERY_LATE:
            self._pasts.popleft()

    def clear(self) -> None:
        """Drop all: the page has shown something else."""
        self._pasts.clear()

    def find(
        self,
        screen: str,
        splices: list[Splice],
        text: str,
        now: float,
        *,
        habit: Habit,
        kept_since: float | None,
    ) -> tuple[View, list[Splice]] | None:
        """Return the view that ``text`` clearly was made from, if there is one, and the edit.

        ``splices`` are the edit from ``screen``, what the page is believed to show. A client that
        may have kept the text back since ``kept_since`` may have made it from what was replaced
        since, which says nothing of how late its pages render.
        """
        late = late_edit(self._pasts, screen, splices, text, habit, now)
        if late is None and kept_since is not None:
            kept = [Past(view, now) for view, since in self._pasts if since >= kept_since]
            late = late_edit(kept, screen, splices, text, Habit(), now)
        return late


class Habit:
    """What the pages of one site were seen to do: all of them render in the same way.

    ``prompt`` counts changes soon after a receive that clearly were made from what it brought.
    """

    __slots__ = ("_ages", "_late", "prompt")

    def __init__(self) -> None:
        self.prompt = 0
        self._late = 0
        self._ages: deque[float] = deque(maxlen=MAX_AGES)

    def saw_late(self, age: float) -> None:
        """Take in that a page changed a text ``age`` seconds after it was replaced."""
        self._late += 1
        self._ages.append(age)

    @property
    def is_prompt(self) -> bool:
        """Whether the late changes are so few that they may be chance."""
        return self._late * PROMPT < self.prompt

    @property
    def lateness(self) -> float:
        """Within how many seconds pages of this site render; 0 as long as it may be chance."""
        if self._late < MIN_LATE or self.is_prompt:
            return 0.0
        return sorted(self._ages)[len(self._ages) * 9 // 10]


def late_edit(
    pasts: Sequence[Past],
    screen: str,
    splices: list[Splice],
    text: str,
    habit: Habit,
    now: float,
) -> tuple[View, list[Splice]] | None:
    """Return which of ``pasts`` ``text`` clearly was made from, if any, and the edit.

    ``splices`` are the edit from ``screen``, what the page is believed to show. It is clear if they
    are the edit from the past view and the undoing of all that came between, at more places; or if
    they put back what the receive had taken away. Where it is all at one place, somebody may have
    done just that, but hardly within the moment that the page takes to render.
    """
    usual = habit.lateness
    if edit_size(splices) == 1 and not usual:
        # One letter more or less, as mostly: an edit of another text and an undoing are more.
        habit.prompt += sum(now - since < LATE for _, since in pasts)
        return None
    found: tuple[View, list[Splice]] | None = None
    smallest, found_age = edit_size(splices), 0.0
    for view, since in reversed(pasts):
        age = now - since
        if age >= LATE and abs(len(text) - len(view.text)) > smallest:
            continue
        edit = diff(view.text, text)
        size = edit_size(edit)
        if age >= LATE and size > smallest:
            continue
        between = diff(view.text, screen)
        both = _both_delete(edit, between)
        undone = edit_size(between) - 2 * both
        if not edit or size > smallest or edit_size(splices) < size + undone:
            habit.prompt += age < LATE and size >= edit_size(splices) + undone
            continue
        if not undone and age >= usual:
            continue
        put_back = sum(splice.end - splice.start for splice in between) - both
        if (
            (len(splices) > len(edit) and size < smallest)
            or put_back > (0 if age < LATE else KEYSTROKE)
            or _is_believed(edit, age, habit)
        ):
            found, smallest, found_age = (view, edit), size, age
    if found is not None:
        habit.saw_late(found_age)
    return found


def _is_believed(edit: list[Splice], age: float, habit: Habit) -> bool:
    """Whether an edit is taken for one of a view that was replaced ``age`` seconds ago.

    It could also be one of the screen, at the same place. Where it is not known how late pages
    render, only a keystroke is believed, for nobody takes back what arrived this instant and types
    in its place.
    """
    usual = habit.lateness
    if age < usual:
        return True
    if any(splice.start != splice.end for splice in edit):
        return False
    if usual:
        return age < LATE
    return age < FRAMES and edit_size(edit) <= KEYSTROKE and not habit.is_prompt


def _both_delete(one: list[Splice], other: list[Splice]) -> int:
    """Return how many code points both of two edits of one text delete."""
    return sum(max(0, min(a.end, b.end) - max(a.start, b.start)) for a in one for b in other)
