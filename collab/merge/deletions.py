"""Which parts of a document are deleted, or are to be: neither texts nor state vectors tell.

Ranges are half-open, in clocks of the client that inserted what they cover; those of one client
neither overlap nor touch, and are in order.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from .replica import Replica
from .survey import read_state_vector, survey, varuint

Ranges = dict[int, list[tuple[int, int]]]
"""Of each client: ``[(start, end), ...]``."""


def normalized(ranges: Iterable[tuple[int, int, int]]) -> Ranges:
    """Return ``(client, start, end)`` in any order, overlapping or not, as `Ranges`."""
    found: Ranges = {}
    for client, start, end in sorted(ranges):
        own = found.setdefault(client, [])
        if own and start <= own[-1][1]:
            own[-1] = own[-1][0], max(own[-1][1], end)
        else:
            own.append((start, end))
    return found


def deleted(replica: Replica) -> Ranges:
    """Return what a replica has deleted, in the text and in all other types."""
    alone = replica.diff_since(replica.state_vector())  # nothing is newer, so: deletions only
    return normalized(survey(alone).deleted)


def inserted(replica: Replica, but: Iterable[bytes] = ()) -> Ranges:
    """Return all that a replica holds, deleted or not, without what the updates ``but`` insert."""
    kept = normalized(run for update in but for run in survey(update).runs)
    found: Ranges = {}
    for client, end in read_state_vector(replica.state_vector()).items():
        bounds = [0, *(clock for run in kept.get(client, ()) for clock in run), end]
        pairs = zip(bounds[::2], bounds[1::2], strict=True)
        if own := [(start, stop) for start, stop in pairs if start < stop]:
            found[client] = own
    return found


def covers(ranges: Ranges, parts: Ranges) -> bool:
    """Whether all of ``parts`` lies in ``ranges``."""
    return all(
        _covers(ranges.get(client, []), start, end)
        for client, own in parts.items()
        for start, end in own
    )


def _covers(own: list[tuple[int, int]], start: int, end: int) -> bool:
    at = bisect_right(own, start, key=lambda run: run[0]) - 1
    return at >= 0 and end <= own[at][1]


def deletion(ranges: Ranges) -> bytes:
    """Return the update that deletes ``ranges``; a replica that takes it must hold them."""
    pieces = [varuint(0), varuint(len(ranges))]
    for client, own in ranges.items():
        pieces += varuint(client), varuint(len(own))
        for start, end in own:
            pieces += varuint(start), varuint(end - start)
    return b"".join(pieces)
