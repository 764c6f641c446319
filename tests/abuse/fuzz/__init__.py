"""Random inputs at each wire, most of them mutated from what real clients send."""

from __future__ import annotations

from tests.abuse.attack import Attack, by_name
from tests.abuse.fuzz import http, socketio, yjs

GENEROUS = {
    "COLLAB_MAX_CHANGES_PER_SECOND": "100000",
    "COLLAB_MAX_BYTES_PER_SECOND": "1000000000",
    "COLLAB_MAX_OVER_BUDGET": "3600",
    "COLLAB_MAX_UNCONNECTED": "1000000",
    "COLLAB_MAX_NEW_ROOMS": "1000000",
    "COLLAB_MAX_WRITTEN_BYTES": "10000000000",
}
"""Limits that let the inputs in: what is refused at the entrance tests nothing behind it."""

FUZZERS = by_name(
    Attack(act, 1000, 100_000, hears=False, is_fuzz=True, settings=GENEROUS)
    for act in (
        socketio.fuzzed_packets,
        socketio.fuzzed_posts,
        socketio.fuzzed_events,
        yjs.fuzzed_frames,
        http.fuzzed_requests,
    )
)
