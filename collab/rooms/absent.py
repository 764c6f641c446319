"""The text members that have left a room and may return."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from collab.merge.text_peer import TextPeer

RETURN_TIMEOUT: Final = 120.0
"""Seconds for which the views of a member that left are kept."""
MAX_ABSENT: Final = 64
"""Members whose views are kept in one room; beyond that the first that left is dropped."""


class AbsentPeers:
    """The peers of members that have left one room, by the ids of the members.

    Times are monotonic, in seconds.
    """

    def __init__(self) -> None:
        self._peers: dict[str, tuple[TextPeer, float]] = {}  # in the order in which they left

    def __len__(self) -> int:
        return len(self._peers)

    def __iter__(self) -> Iterator[TextPeer]:
        return (peer for peer, _ in self._peers.values())

    def add(self, id: str, peer: TextPeer, now: float) -> None:
        """Keep the peer of a member that leaves now."""
        self._peers[id] = peer, now
        if len(self._peers) > MAX_ABSENT:
            del self._peers[next(iter(self._peers))]

    def pop(self, id: str) -> TextPeer | None:
        """Remove and return the peer of a member that has returned; None if it is not known."""
        peer, _ = self._peers.pop(id, (None, 0.0))
        return peer

    def expire(self, now: float) -> None:
        """Drop the peers of members that left more than `RETURN_TIMEOUT` ago."""
        for id, (_, left_at) in list(self._peers.items()):
            if left_at >= now - RETURN_TIMEOUT:
                break
            del self._peers[id]

    def clear(self) -> None:
        """Drop all peers."""
        self._peers.clear()
