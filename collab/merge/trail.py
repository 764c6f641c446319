"""Texts that a member may be looking at, and the delta from each to the replica's present text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from .delta import IDENTITY, Delta, compose

MAX_OPS: Final = 1024
"""Operations of a view's delta. A page that does not answer for a long time has a few dozen. Each
edit of a room is composed with the deltas of all its members' views, in up to 0.1 ms."""


class View(NamedTuple):
    """A text, and the delta from it to the replica's present text."""

    text: str
    to_present: Delta

    def advanced(self, delta: Delta) -> View:
        """Return the view after an edit of the replica by ``delta``."""
        return View(self.text, _compose(self.text, self.to_present, delta))


def _compose(text: str, first: Delta, then: Delta) -> Delta:
    """Return the delta of ``first``, an edit of ``text``, followed by ``then``: see `MAX_OPS`."""
    delta = compose(first, then)
    return delta if len(delta.ops) <= MAX_OPS else delta.coarse(text)


@dataclass(slots=True)
class _Step:
    """A text, and the delta from it to the next one, or to the replica if it is the newest."""

    number: int
    text: str
    delta: Delta


class Trail:
    """Texts that the replica had at certain times, oldest first, with ascending numbers, no gaps.

    Each step leads to the next one, so an edit of the replica costs one composition however many
    texts there are: only the delta of the newest step grows.
    """

    __slots__ = ("_last", "_steps")

    def __init__(self) -> None:
        self._last = 0
        self._steps: list[_Step] = []  # few, and an empty deque takes 0.6 kB of each member

    def __len__(self) -> int:
        return len(self._steps)

    @property
    def last(self) -> int:
        """The number of the newest text that was ever appended; 0 if there was none."""
        return self._last

    @property
    def last_text(self) -> str | None:
        """The newest text, if there is any."""
        return self._steps[-1].text if self._steps else None

    def append(self, text: str) -> int:
        """Append the replica's present text; return its number."""
        self._last += 1
        self._steps.append(_Step(self._last, text, IDENTITY))
        return self._last

    def clear(self) -> None:
        """Drop all texts. The numbers of later texts continue."""
        self._steps.clear()

    def advance(self, delta: Delta) -> None:
        """Follow an edit of the replica by ``delta``."""
        if self._steps:
            newest = self._steps[-1]
            newest.delta = _compose(newest.text, newest.delta, delta)

    def pop_through(self, number: int) -> View | None:
        """Drop the texts up to and including ``number``; return the newest of them, if any."""
        steps = self._steps
        dropped: _Step | None = None
        while steps and steps[0].number <= number:
            dropped = steps.pop(0)
        if dropped is None:
            return None
        delta = dropped.delta
        for step in steps:
            delta = _compose(dropped.text, delta, step.delta)
        return View(dropped.text, delta)

    def texts(self) -> list[str]:
        """Return all texts, newest first."""
        return [step.text for step in reversed(self._steps)]

    def numbered(self, number: int) -> Iterator[tuple[int, str]]:
        """Yield ``(number, text)`` of the texts up to and including ``number``, newest first."""
        for step in reversed(self._steps):
            if step.number <= number:
                yield step.number, step.text

    def views(self) -> list[View]:
        """Return the views of all texts, newest first: this costs one composition for each."""
        views: list[View] = []
        delta = IDENTITY
        for step in reversed(self._steps):
            delta = _compose(step.text, step.delta, delta)
            views.append(View(step.text, delta))
        return views
