"""The names of what is in Redis. The braces are a hash tag: a room lives in one cluster slot."""

from __future__ import annotations

PROBE = "collab:probe:"
"""A node's own channel, on which it listens for itself, and its own key, to try whether Redis takes
writes."""
ANSWERS_CHANNEL = "collab:answers:"
"""A node's own channel, on which it gets the answers to what it has asked the others."""
CLAIMS_CHANNEL = "collab:claims"
"""All nodes' channel, on which they are asked for members that come back to another node."""


def departed_key(member: str) -> str:
    """Return the key of what a member left behind; ``member`` is a digest of its pid."""
    return f"collab:departed:{member}"


def room_keys(room: str) -> tuple[str, str, str]:
    """Return the keys of a room: the snapshot, the journal, the journal's head."""
    return f"code_{room}", f"journal:{{code_{room}}}", f"journal-head:{{code_{room}}}"


def script_keys(room: str) -> tuple[str, str, str, str]:
    """Return the keys that every script is given: ``room_keys``, then ``ends_key``."""
    return (*room_keys(room), ends_key(room))


def ends_key(room: str) -> str:
    """Return the key of the list of a room's ends, by random names, newest first."""
    return f"journal-ended:{{code_{room}}}"


def room_channel(room: str) -> str:
    """Return the pub/sub channel of a room."""
    return f"room:{{code_{room}}}"
