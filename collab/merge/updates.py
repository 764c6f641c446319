"""Several Yjs updates as one, without a document to apply them to."""

from __future__ import annotations

from collections.abc import Iterable

from pycrdt import merge_updates


def merged(updates: Iterable[bytes]) -> bytes:
    """Return one update for several, given in their order; b'' for none."""
    parts = [update for update in updates if update]
    return parts[0] if len(parts) == 1 else merge_updates(*parts) if parts else b""
