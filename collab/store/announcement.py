"""What is said on a room's channel about its journal."""

from __future__ import annotations

from dataclasses import dataclass

from collab.store.store import EntryId, entry_id

MARK = b"J "
"""How an announcement begins; presence and other services' emits begin otherwise."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """A commit, as the script that made it published it.

    ``previous`` is the entry behind which it was appended, ``id`` its last entry; ``update`` is
    all its updates merged, b'' if it only refreshed the expiry.
    """

    epoch: str
    node: str
    previous: EntryId
    id: EntryId
    update: bytes

    @classmethod
    def parse(cls, message: bytes) -> Announcement:
        """Read ``J epoch node previous id\\n`` and the update. Raises ValueError."""
        header, _, update = message.partition(b"\n")
        _, epoch, node, previous, last = header.split(b" ")
        return cls(epoch.decode(), node.decode(), entry_id(previous), entry_id(last), update)
