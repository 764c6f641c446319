"""The deleted parts of a document: neither texts nor state vectors show them.

Ranges are half-open, in clocks of the client that inserted what they cover. The ranges of one
client are sorted, and neither overlap nor touch.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from .clocks import read_state_vector
from .cursor import varuint
from .replica import Replica
from .update_reader import survey

Ranges = dict[int, list[tuple[int, int]]]
"""For each client: ``[(start, end), ...]``."""


def normalized(ranges: Iterable[tuple[int, int, int]]) -> Ranges:
    """Return ``(client, start, end)`` tuples, in any order and perhaps overlapping, as `Ranges`."""
    found: Ranges = {}
    for client, start, end in sorted(ranges):
        own = found.setdefault(client, [])
        if own and start <= own[-1][1]:
            own[-1] = own[-1][0], max(own[-1][1], end)
        else:
            own.append((start, end))
    return found


def deleted(replica: Replica) -> Ranges:
    """Return what is deleted in a replica, in the text and in all other types."""
    update = replica.diff_since(replica.state_vector())  # nothing is newer: deletions only
    return normalized(survey(update).deleted)


def inserted(replica: Replica, but: Iterable[bytes] = ()) -> Ranges:
    """Return all that was inserted in a replica, deleted or not, except by the updates ``but``."""
    kept = normalized(run for update in but for run in survey(update).runs)
    found: Ranges = {}
    for client, end in read_state_vector(replica.state_vector()).items():
        bounds = [0, *(clock for run in kept.get(client, ()) for clock in run), end]
        pairs = zip(bounds[::2], bounds[1::2], strict=True)
        if own := [(start, stop) for start, stop in pairs if start < stop]:
            found[client] = own
    return found


def covers(ranges: Ranges, parts: Ranges) -> bool:
    """Whether ``ranges`` contain all of ``parts``."""
    return all(
        _covers(ranges.get(client, []), start, end)
        for client, own in parts.items()
        for start, end in own
    )


def _covers(own: list[tuple[int, int]], start: int, end: int) -> bool:
    at = bisect_right(own, start, key=lambda run: run[0]) - 1
    return at >= 0 and end <= own[at][1]


def deletion(ranges: Ranges) -> bytes:
    """Return the update that deletes ``ranges``; a replica must hold them to apply it."""
    pieces = [varuint(0), varuint(len(ranges))]
    for client, own in ranges.items():
        pieces += varuint(client), varuint(len(own))
        for start, end in own:
            pieces += varuint(start), varuint(end - start)
    return b"".join(pieces)
