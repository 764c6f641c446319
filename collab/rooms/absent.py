"""The text members of a room that have left and may come back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from collab.merge.text_peer import TextPeer

RETURN_TIMEOUT: Final = 120.0
"""Seconds for which the views of a member that left wait for its return."""
MAX_ABSENT: Final = 64
"""Members whose views wait in one room; those that have been away for longest give way."""


class AbsentPeers:
    """What the members of one room that have left may be showing, by their ids.

    Times are monotonic, in seconds.
    """

    def __init__(self) -> None:
        self._peers: dict[str, tuple[TextPeer, float]] = {}  # in the order in which they left

    def __iter__(self) -> Iterator[TextPeer]:
        return (peer for peer, _ in self._peers.values())

    def add(self, id: str, peer: TextPeer, now: float) -> None:
        """Keep the peer of a member that leaves now."""
        self._peers[id] = peer, now
        if len(self._peers) > MAX_ABSENT:
            del self._peers[next(iter(self._peers))]

    def pop(self, id: str) -> TextPeer | None:
        """Return the peer of a member that is back, and keep it no longer; None if not known."""
        peer, _ = self._peers.pop(id, (None, 0.0))
        return peer

    def expire(self, now: float) -> None:
        """Drop the peers of members that have been away for too long."""
        for id, (_, left_at) in list(self._peers.items()):
            if left_at >= now - RETURN_TIMEOUT:
                break
            del self._peers[id]

    def clear(self) -> None:
        """Drop all."""
        self._peers.clear()
