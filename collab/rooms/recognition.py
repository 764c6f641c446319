"""Finds what a page was showing that sends its first text and that no node knows.

Many pages keep their text when their connection breaks, and the user goes on typing. To merge such
a text as an edit of an empty text would insert all of it a second time. It is merged as an edit of
the nearest text that the room had or that another member shows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Protocol

from collab.merge.delta import compose
from collab.merge.diff import diff, edit_distance
from collab.merge.trail import Trail, View
from collab.merge.unseen import inserted_and_deleted, without
from collab.rooms.journal import Journal
from collab.rooms.search import Found, Searches, shown_text


class Shown(Protocol):
    """Something that has views of texts: a member, or one that has left."""

    def texts(self) -> list[str]:
        """Return the texts of the views."""

    def views(self) -> list[View]:
        """Return the views, which costs much more."""


async def nearest_view(
    code: str,
    start: Trail,
    journal: Journal,
    searches: Searches,
    shown: Callable[[], Iterable[Shown]],
) -> View:
    """Return the view that a page which now sends ``code`` was most likely showing.

    ``start`` has the room's present text, and follows the replica from now on. ``shown`` returns
    the other members and the members that have left. Present members count because a broken
    connection can seem open for a minute: the page may be one of them. Raises StoreUnavailable,
    because any guess without the room's history would be unsafe.
    """
    found = await _shown_text(code, journal, searches)
    if found is None:
        (at_start,) = start.views()
        return at_start
    view = await _nearest_shown(code, lambda: (start, *shown()), searches, found.distance - 1)
    if view is not None:
        # What it has and the room has not stored yet is as new as can be.
        unseen = inserted_and_deleted(diff(found.text, view.text), diff(view.text, code))
        text, back = without(view.text, (range(index, index + 1) for index in unseen))
        return View(text, compose(back, view.to_present))
    (at_start,) = start.views()
    return View(found.text, found.delta_to(at_start.text)).advanced(at_start.to_present)


async def _shown_text(code: str, journal: Journal, searches: Searches) -> Found | None:
    """Return what the page was showing as far as the room's history tells.

    None if ``code`` is the present text, or if there is no history.
    """
    text = journal.replica.text
    distance = edit_distance(text, code, len(text) + len(code))
    assert distance is not None
    reading = await journal.read()
    if not distance:
        return None
    # The present text is mostly in the journal. If it is not yet, all others may be farther.
    return await shown_text(code, reading, searches, max_distance=distance) or await shown_text(
        code, reading, searches, max_distance=sys.maxsize
    )


async def _nearest_shown(
    code: str, shown: Callable[[], Iterable[Shown]], searches: Searches, max_distance: int
) -> View | None:
    """Return the shown view nearest to ``code``; None if it is farther than ``max_distance``."""
    nearest: str | None = None
    distance = max_distance + 1
    async with searches.turn() as slices:
        for text in {text for each in shown() for text in each.texts()}:
            found = edit_distance(text, code, distance - 1)
            if found is not None:
                nearest, distance = text, found
            await slices.pause()
    # Meanwhile the views have advanced, and some may be gone.
    for each in shown():
        if nearest in each.texts():
            return next(view for view in each.views() if view.text == nearest)
    return None
