"""The names of keys and channels in Redis. Braces are a hash tag: a room is in one cluster slot."""

from __future__ import annotations

import hashlib
from functools import lru_cache

PROBE = "collab:probe:"
"""A node's own channel, on which it receives its own probes, and its own key, which it writes to
check that Redis accepts writes."""
ANSWERS_CHANNEL = "collab:answers:"
"""A node's own channel, on which other nodes answer its questions."""
CLAIMS_CHANNEL = "collab:claims"
"""The channel of all nodes, on which a node asks the others for a member that has reconnected."""
RULINGS_CHANNEL = "collab:{rulings}"
"""The channel of all nodes, on which they are told of a new ruling, and asked for tokens."""
RULINGS_LOG = "collab:{rulings}:log"
"""The key of the stream of all rulings about people's tokens, oldest first."""

STANDARD_CHANNEL = "socketio"
"""The channel to which a plain AsyncRedisManager of python-socketio publishes."""


def is_sharded(channel: str) -> bool:
    """Whether a channel is sharded in a Redis Cluster: python-socketio knows only PUBLISH."""
    return channel != STANDARD_CHANNEL


def departed_key(member: str) -> str:
    """Return the key of a departed member's state; ``member`` is a digest of its pid."""
    return f"collab:departed:{member}"


def client_key(client: str) -> str:
    """Return the key of the rooms that a client is in; ``client`` is a digest of its pid."""
    return f"collab:client:{client}"


def ruling_key(subject: str, room: str) -> str:
    """Return the key of the rulings about a subject in ``room``; "" is all rooms."""
    return f"collab:{{rulings}}:{hashlib.sha256(subject.encode()).hexdigest()}:{room}"


def room_keys(room: str) -> tuple[str, str, str]:
    """Return the keys of a room: the snapshot, the journal, the journal's head."""
    return f"code_{room}", f"journal:{{code_{room}}}", f"journal-head:{{code_{room}}}"


@lru_cache(maxsize=4096)
def script_keys(room: str) -> tuple[str, str, str, str]:
    """Return the keys that every script gets: ``room_keys``, then ``ends_key``."""
    return (*room_keys(room), ends_key(room))


def ends_key(room: str) -> str:
    """Return the key of the list of a room's ends: their random names, newest first."""
    return f"journal-ended:{{code_{room}}}"


def kept_keys(room: str) -> tuple[str, ...]:
    """Return the names under which damaged keys of a room are kept: the first, then the latest."""
    tag = f"journal-damaged:{{code_{room}}}"
    kinds = ("code", "journal", "head", "ends")
    return tuple(f"{tag}:{when}:{kind}" for when in ("first", "latest") for kind in kinds)


def room_channel(room: str) -> str:
    """Return the pub/sub channel of a room."""
    return f"room:{{code_{room}}}"


WEBHOOK_KEYS = tuple(
    f"collab:{{webhooks}}:{name}"
    for name in (
        "rooms", "states", "attended", "finals", "events", "waiting", "ready", "retries", "dead",
        "died", "bytes", "dead-bytes", "sequence",
    )
)  # fmt: skip
"""The keys of webhooks, in the order in which each of their scripts gets them. What each holds is
in docs/journal.md."""
