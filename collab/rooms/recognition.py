"""What a page was showing that sends its first text, and that no node knows.

Many pages keep their text when their connection breaks, and go on typing. What they send is no edit
of nothing: that would put all of it there twice. It is taken for an edit of the nearest text that
the room had, or that another member shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from collab.merge.delta import Delta, compose
from collab.merge.diff import diff, edit_distance
from collab.merge.trail import Trail, View
from collab.rooms.journal import Journal
from collab.rooms.search import Found, Searches, nearest_text


async def nearest_view(
    code: str,
    start: Trail,
    journal: Journal,
    searches: Searches,
    shown: Callable[[], Iterable[View]],
) -> View:
    """Return the view that a page was most likely showing that now sends ``code``.

    ``start`` has the room's present text, and follows the replica from now on. ``shown`` returns
    what others show, or showed when they left: those that are here count, for a connection that
    broke can seem open for a minute. Raises StoreUnavailable: without the room's history nothing
    may be guessed.
    """
    found = await _nearest_past(code, journal, searches)
    max_distance = len(code) if found is None else found.distance
    view = await _nearest_shown(code, lambda: (*start.views(), *shown()), searches, max_distance)
    if view is not None:
        return view
    (at_start,) = start.views()
    if found is None:
        return at_start
    way = compose(found.way, Delta.from_splices(diff(found.tail, at_start.text)))
    return View(found.text, way).advanced(at_start.way)


async def _nearest_past(code: str, journal: Journal, searches: Searches) -> Found | None:
    """Return the text in the room's history that is nearest to ``code``.

    None if the present one is as near.
    """
    text = journal.replica.text
    distance = edit_distance(text, code, len(text) + len(code))
    reading = await journal.read()
    if not distance:
        return None
    return await nearest_text(code, reading, searches, max_distance=distance - 1)


async def _nearest_shown(
    code: str, shown: Callable[[], Iterable[View]], searches: Searches, max_distance: int
) -> View | None:
    """Return the shown view nearest to ``code``; None if it is farther than ``max_distance``."""
    nearest: str | None = None
    distance = max_distance + 1
    async with searches.turn():
        for text in {view.text for view in shown()}:
            found = edit_distance(text, code, distance - 1)
            if found is not None:
                nearest, distance = text, found
            await searches.pause()
    # The views went on meanwhile, and some may have gone.
    return next((view for view in shown() if view.text == nearest), None)
