"""Texts that somebody may be looking at, and the way from each to the replica's present text."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from .delta import IDENTITY, Delta, compose


class View(NamedTuple):
    """A text, and the delta from it to the replica's present text."""

    text: str
    way: Delta

    def advanced(self, delta: Delta) -> View:
        """Return the view when the replica was edited by ``delta``."""
        return View(self.text, compose(self.way, delta))


@dataclass(slots=True)
class _Step:
    """A text, and the delta from it to the next one, or to the replica if it is the newest."""

    number: int
    text: str
    delta: Delta


class Trail:
    """The replica's texts at certain moments, oldest first, numbered upwards without gaps.

    They form a chain, so an edit of the replica costs one composition however many texts there
    are: the newest step grows, the others are fixed.
    """

    __slots__ = ("_last", "_steps")

    def __init__(self) -> None:
        self._last = 0
        self._steps: deque[_Step] = deque()

    def __len__(self) -> int:
        return len(self._steps)

    @property
    def last(self) -> int:
        """The number of the newest text that was ever entered; 0 if there was none."""
        return self._last

    @property
    def last_text(self) -> str | None:
        """The newest text, if there is any."""
        return self._steps[-1].text if self._steps else None

    def append(self, text: str) -> int:
        """Enter the replica's present text; return its number."""
        self._last += 1
        self._steps.append(_Step(self._last, text, IDENTITY))
        return self._last

    def clear(self) -> None:
        """Drop all texts. Those that come later are numbered on."""
        self._steps.clear()

    def advance(self, delta: Delta) -> None:
        """Follow the replica, which was edited by ``delta``."""
        if self._steps:
            newest = self._steps[-1]
            newest.delta = compose(newest.delta, delta)

    def pop_through(self, number: int) -> View | None:
        """Drop the texts up to and including ``number``; return the last one dropped, if any."""
        steps = self._steps
        dropped: _Step | None = None
        while steps and steps[0].number <= number:
            dropped = steps.popleft()
        if dropped is None:
            return None
        way = dropped.delta
        for step in steps:
            way = compose(way, step.delta)
        return View(dropped.text, way)

    def texts(self, number: int) -> Iterator[tuple[int, str]]:
        """Yield ``(number, text)`` of those up to ``number``, newest first."""
        for step in reversed(self._steps):
            if step.number <= number:
                yield step.number, step.text

    def views(self) -> list[View]:
        """Return all of them, newest first, each with its whole way: one composition each."""
        views: list[View] = []
        way = IDENTITY
        for step in reversed(self._steps):
            way = compose(step.delta, way)
            views.append(View(step.text, way))
        return views
