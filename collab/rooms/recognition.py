"""Finds what a page was showing that sends its first text and that no node knows.

Many pages keep their text when their connection breaks, and the user goes on typing. To merge such
a text as an edit of an empty text would insert all of it a second time. It is merged as an edit of
the nearest text that the room had or that another member shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from collab.merge.diff import edit_distance
from collab.merge.trail import Trail, View
from collab.rooms.journal import Journal
from collab.rooms.search import Found, Searches, nearest_text


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
    found = await _nearest_past(code, journal, searches)
    max_distance = len(code) if found is None else found.distance
    view = await _nearest_shown(code, lambda: (start, *shown()), searches, max_distance)
    if view is not None:
        return view
    (at_start,) = start.views()
    if found is None:
        return at_start
    return View(found.text, found.delta_to(at_start.text)).advanced(at_start.to_present)


async def _nearest_past(code: str, journal: Journal, searches: Searches) -> Found | None:
    """Return the text in the room's history that is nearest to ``code``.

    None if the present text is as near.
    """
    text = journal.replica.text
    distance = edit_distance(text, code, len(text) + len(code))
    reading = await journal.read()
    if not distance:
        return None
    return await nearest_text(code, reading, searches, max_distance=distance - 1)


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
