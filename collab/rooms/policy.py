"""Who may write. Each door asks when a member joins."""

from __future__ import annotations

from collections.abc import Callable

MayWrite = Callable[[str, str], bool]
"""Given a room's name and a member's, says whether it may write there, or only read."""


def everybody(room: str, member: str) -> bool:
    """Let all members write."""
    return True
