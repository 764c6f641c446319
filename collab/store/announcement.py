"""What is said on a room's channel about its journal."""

from __future__ import annotations

from dataclasses import dataclass

from collab.store.records import EntryId, entry_id

MARK = b"J "
"""How an announcement begins; presence and other services' emits begin otherwise."""
END_MARK = b"E"
"""How a room's end is announced; the list of its ends says whether it was one's own."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """A commit, as the script that made it published it.

    ``previous`` is the entry behind which it was appended, ``id`` its last entry; ``ttl`` is how
    many seconds the room lives from then on; ``update`` is all its updates merged, b'' if it only
    refreshed the expiry. ``writer`` is the `Store.writer` that it came through.
    """

    epoch: str
    writer: str
    previous: EntryId
    id: EntryId
    ttl: float
    update: bytes

    @classmethod
    def parse(cls, message: bytes) -> Announcement:
        """Read ``J epoch writer previous id ttl\\n`` and the update. Raises ValueError."""
        header, _, update = message.partition(b"\n")
        _, epoch, writer, previous, last, ttl = header.split(b" ")
        return cls(
            epoch.decode(), writer.decode(), entry_id(previous), entry_id(last),
            int(ttl) / 1000, update,
        )  # fmt: skip
