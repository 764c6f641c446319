"""Merge several Yjs updates into one, without applying them to a document."""

from __future__ import annotations

from collections.abc import Iterable

from pycrdt import merge_updates


def merged(updates: Iterable[bytes]) -> bytes:
    """Return one update that merges ``updates``, which are in order; b'' if there are none."""
    parts = [update for update in updates if update]
    return parts[0] if len(parts) == 1 else merge_updates(*parts) if parts else b""
