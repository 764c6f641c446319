"""What became of the letters that people typed on one server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.storm.page import Page

SETTLED = 1.0
"""Seconds after which a letter should be on every screen of its room."""


@dataclass(slots=True)
class Tally:
    """The counts of one server, over all its rooms."""

    rooms: int = 0
    typed: int = 0
    lost: int = 0
    risen: int = 0
    """Letters that are there twice, or were taken back and are there."""
    apart: int = 0
    """Rooms whose people look at different texts."""
    notes: list[str] = field(default_factory=list)
    """What else went wrong."""

    @property
    def kept(self) -> bool:
        """Whether every letter is there once and every room has one text."""
        return not (self.lost or self.risen or self.apart or self.notes)

    def count(self, pages: Sequence[Page], texts: Sequence[str]) -> None:
        """Count a room at its end; ``texts`` are the screens and what the server has."""
        typed, deleted = _letters(pages)
        stored = Counter(texts[-1])
        kept = typed - deleted
        self._add(len(typed), len(kept - stored.keys()), stored, kept, typed)
        self.apart += len(set(texts)) > 1

    def watch(self, pages: Sequence[Page], now: float) -> None:
        """Count a room while people type: only letters that have had the time to arrive.

        A letter that is on no screen is lost.
        """
        before = now - SETTLED
        typed, deleted = _letters(pages, before)
        moving = {letter for page in pages for letter in page.deleted} - deleted
        kept = typed - deleted - moving
        screens = [
            [letter for letter in page.screen if letter in typed and letter not in moving]
            for page in pages
        ]
        shown = Counter[str]()
        for screen in screens:
            shown |= Counter(screen)
        everything = {letter for page in pages for letter in page.typed}
        self._add(len(everything), len(kept - shown.keys()), shown, kept, typed)
        self.apart += any(screen != screens[0] for screen in screens)

    def _add(
        self, typed: int, lost: int, there: Counter[str], kept: set[str], known: set[str]
    ) -> None:
        self.rooms += 1
        self.typed += typed
        self.lost += lost
        self.risen += sum(
            count > (letter in kept) for letter, count in there.items() if letter in known
        )


def _letters(pages: Sequence[Page], before: float = float("inf")) -> tuple[set[str], set[str]]:
    """Return the letters that were typed, and those that were taken back, ``before`` a time."""
    typed = {key for page in pages for key, at in page.typed.items() if at < before}
    deleted = {key for page in pages for key, at in page.deleted.items() if at < before}
    return typed, deleted
