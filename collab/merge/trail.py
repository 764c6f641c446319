"""Texts that a member may be looking at, and the delta from each to the replica's present text."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from .delta import IDENTITY, Delta, compose


class View(NamedTuple):
    """A text, and the delta from it to the replica's present text."""

    text: str
    to_present: Delta

    def advanced(self, delta: Delta) -> View:
        """Return the view after an edit of the replica by ``delta``."""
        return View(self.text, compose(self.to_present, delta))


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
        self._steps: deque[_Step] = deque()

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
            newest.delta = compose(newest.delta, delta)

    def pop_through(self, number: int) -> View | None:
        """Drop the texts up to and including ``number``; return the newest of them, if any."""
        steps = self._steps
        dropped: _Step | None = None
        while steps and steps[0].number <= number:
            dropped = steps.popleft()
        if dropped is None:
            return None
        delta = dropped.delta
        for step in steps:
            delta = compose(delta, step.delta)
        return View(dropped.text, delta)

    def texts(self, number: int) -> Iterator[tuple[int, str]]:
        """Yield ``(number, text)`` of the texts up to and including ``number``, newest first."""
        for step in reversed(self._steps):
            if step.number <= number:
                yield step.number, step.text

    def views(self) -> list[View]:
        """Return the views of all texts, newest first: this costs one composition for each."""
        views: list[View] = []
        delta = IDENTITY
        for step in reversed(self._steps):
            delta = compose(step.delta, delta)
            views.append(View(step.text, delta))
        return views
