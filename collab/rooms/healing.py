"""A room whose keys in Redis are damaged, written anew by a node that has the whole document."""

from __future__ import annotations

import logging
import secrets

from collab.errors import StoreUnavailable
from collab.merge.errors import MergeError
from collab.rooms.examination import Mend, examine_steps
from collab.rooms.follower import Follower
from collab.rooms.journal_state import Phase
from collab.rooms.slices import in_slices
from collab.store.mending import CODE, ENDS, JOURNAL, Contents, Mending, NewJournal, NewRoom
from collab.store.records import ROOM, ZERO, Entry
from collab.store.store import Store

log = logging.getLogger(__name__)


def knows_all(follower: Follower) -> bool:
    """Whether a node has the document of a room, and may write what Redis has of it anew.

    A node that is loading the room has nothing, and one that found no journal has only what its own
    members have typed since. After the deadline the room is over, and its keys are not its own.
    """
    return (
        follower.state.phase is Phase.FOLLOWING
        and follower.epoch is not None
        and not follower.expired
    )


async def heal(follower: Follower, store: Store, contents: Contents) -> None:
    """Replace the room's keys by this node's whole document, as after a loss.

    Entries of others that this node had not applied yet are applied first, as far as they can be.
    The damaged keys are kept under other names. Raises StoreUnavailable if Redis accepts nothing,
    or if the room has changed since it was inspected: then the journal is read again.
    """
    found = await in_slices(examine_steps(contents))
    if all(each.mend in (Mend.NOTHING, Mend.EXPIRY) for each in found.findings):
        raise StoreUnavailable("the room was mended, or has changed")
    for entry in _news(follower, found.epoch, found.entries):
        try:
            edit = follower.replica.apply_update(entry.update)
        except MergeError:
            continue  # it is kept under another name; its author has it, and writes it again
        follower.show(edit)
    follower.commit_whole()
    epoch, commit = secrets.token_hex(8), follower.start_commit()
    journal = NewJournal(epoch, ROOM, b"", ZERO, [(None, *each) for each in commit.updates])
    parts = (
        CODE + JOURNAL + (ENDS if any(each.mend is Mend.ENDS for each in found.findings) else "")
    )
    new = NewRoom(commit.text, journal, commit.ttl)
    answer = await Mending(store).mend(contents, parts, new)
    if answer is None:
        raise StoreUnavailable("the room has changed while it was mended")
    follower.epoch, follower.last = epoch, ZERO
    follower.handle_committed(answer)
    store.damage.forget(follower.room)
    log.warning("a damaged room was written anew", extra={"room": follower.room})


def _news(follower: Follower, epoch: str | None, entries: list[Entry]) -> list[Entry]:
    """Return the entries that this node has not applied, if they are those of its own journal."""
    same = epoch == follower.epoch
    if epoch is None:  # the head is lost: does the stream have this node's last entry?
        same = any(entry.id == follower.last for entry in entries)
    return [entry for entry in entries if entry.id > follower.last] if same else []
