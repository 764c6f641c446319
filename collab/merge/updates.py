"""Merge Yjs updates, and cut them, without applying them to a document."""

from __future__ import annotations

from collections.abc import Iterable

from pycrdt import get_update, merge_updates

from .errors import refusals


def merged(updates: Iterable[bytes]) -> bytes:
    """Return one update that merges ``updates``, which are in order; b'' if there are none."""
    parts = [update for update in updates if update]
    return parts[0] if len(parts) == 1 else merge_updates(*parts) if parts else b""


def unknown(update: bytes, state_vector: bytes) -> bytes:
    """Return the part of ``update`` that a document with ``state_vector`` lacks.

    Raises `BadUpdate` if pycrdt cannot read the update.
    """
    with refusals():
        return get_update(update, state_vector)
