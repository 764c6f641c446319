"""Brings a node's replica and a room's journal together again after any kind of loss."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence

from collab.errors import RoomUnreadable
from collab.merge.deletions import deletion, inserted
from collab.merge.delta import Delta
from collab.merge.replica import Replica
from collab.merge.steps import finish
from collab.rooms.follower import Follower
from collab.rooms.healing import heal, knows_all
from collab.rooms.history import (
    add_up_steps,
    earlier_state,
    same,
    share_authors,
    starter_text,
)
from collab.rooms.journal_state import Event, Phase, Work
from collab.rooms.pending import SEVERAL
from collab.rooms.slices import in_slices
from collab.store.checks import Checks
from collab.store.mending import Mending
from collab.store.records import ROOM, STARTER, ZERO, Commit, Reading, Refused, Update
from collab.store.store import Store

log = logging.getLogger(__name__)


class Recovery:
    """Reads a room's journal, begins one if there is none, and repairs differences.

    ``on_end`` is called when somebody has ended the room. All methods raise StoreUnavailable, and
    can then be called again.
    """

    def __init__(
        self, follower: Follower, store: Store, checks: Checks, on_end: Callable[[], None]
    ) -> None:
        self._follower = follower
        self._store = store
        self._checks = checks
        self._on_end = on_end
        self._known_ends: frozenset[str] | None = None
        self._last_end = ""

    async def catch_up(self) -> None:
        """Read the journal behind the last entry that was applied, and apply the entries."""
        await self._read(self._follower.epoch)

    async def reload(self) -> None:
        """Read the whole journal, and repair differences."""
        await self._read(None)

    async def check(self) -> None:
        """Compare with Redis; the work to repair a difference becomes due."""
        self._follower.compare(await self._checks.read())

    async def settle(self) -> None:
        """Set the snapshot, which lacks entries or was overwritten.

        Redis refuses if the journal has a new entry: the node that appended it then has to settle.
        """
        follower = self._follower
        if follower.epoch is not None:
            await self._store.settle(
                follower.room, follower.epoch, follower.last, follower.replica.text
            )

    async def _read(self, known: str | None) -> None:
        with self._store.damage.watch(self._follower.room):
            await self._read_and_apply(known)
        self._store.damage.forget(self._follower.room)

    async def _read_and_apply(self, known: str | None) -> None:
        follower = self._follower
        reading = await self._store.read(follower.room, known, follower.last)
        if self._is_end(reading.ends):
            return
        if reading.epoch is None:
            await self._begin(reading)
            return
        if reading.complete:
            room, base, entries = follower.room, reading.base, reading.entries
            # Only while the room is being loaded nothing else happens in it. Later, the replica has
            # what the journal lacks.
            if follower.state.phase is Phase.LOADING:
                journal = await in_slices(add_up_steps(room, base, entries, reading.digest))
            else:
                journal = finish(add_up_steps(room, base, entries, exact=True))
            self._adopt(reading.epoch, reading, journal)
        else:
            follower.apply_entries(reading.entries)
            if Work.RELOAD not in follower.state.due:
                follower.advance_to(reading.tail)
        follower.set_deadline(reading.deadline)

    async def heal(self) -> None:
        """Write the room anew after its keys were damaged, if this node has the whole document.

        Raises StoreUnavailable if it could not, for any reason.
        """
        if not knows_all(self._follower):
            raise RoomUnreadable(self._follower.room, "this node does not have the document")
        contents = await Mending(self._store).inspect(self._follower.room)
        if not self._is_end(contents.end_names()):
            await heal(self._follower, self._store, contents)

    def _is_end(self, ends: Sequence[str]) -> bool:
        """Whether somebody has ended the room since it was loaded here.

        If so, nothing is written any more: what is in Redis now is another room of the same name.
        """
        if self._known_ends is None:
            self._known_ends = frozenset(ends)
        self._last_end = ends[0] if ends else ""
        if self._known_ends.issuperset(ends):
            return False
        self._follower.state.on(Event.ENDED)
        self._on_end()
        return True

    def _adopt(self, epoch: str, reading: Reading, journal: Replica) -> None:
        """Follow a journal that this node knew only in part, or that has lost entries.

        ``journal`` is the document that it adds up to.

        If the journal and the replica have nothing in common, one of the two is outdated. Before
        the deadline the journal is: Redis came back with an older state. Its entries up to this
        node's last entry are outdated, and so is a starter with which a node without the room
        began it. After the deadline the replica is outdated. All outdated content is deleted, even
        if both texts share a part by chance: otherwise each holder would keep a copy of that part.
        An ordinary edit deletes it, so that Yjs members follow.
        """
        follower = self._follower
        held = follower.epoch is not None
        if follower.state.phase is Phase.LOADING:
            follower.replica = journal
        elif not held or epoch == follower.epoch or share_authors(journal, follower.replica):
            follower.apply(journal.state())
        elif follower.expired:
            mine = [update.update for update in follower.waiting.updates]
            follower.apply(deletion(inserted(follower.replica, but=mine)))
            follower.apply(journal.state())
        else:
            outdated = inserted(earlier_state(follower.room, reading, follower.last))
            follower.apply(journal.state())
            follower.apply(deletion(outdated))
        follower.epoch, follower.last = epoch, reading.tail
        follower.state.on(Event.FOLLOWED)
        if journal is follower.replica or same(journal, follower.replica):
            follower.waiting.drop_updates()
        elif held:
            log.warning(
                "the journal lacks a part of this node's replica", extra={"room": follower.room}
            )
            follower.commit_whole()

    async def _begin(self, reading: Reading) -> None:
        """Begin a journal, if the node has updates or Redis has a starter; there is no journal.

        Before the deadline the journal was lost, and a text in ``code_{room}`` is ignored: it is a
        copy of the lost text, or an older starter. After the deadline it is a new starter.
        """
        follower = self._follower
        code, held = reading.code, follower.epoch is not None
        if held and not follower.expired:
            follower.commit_whole()
            await self._begin_with_what_waits(code)
        elif code is not None and not (held and code == follower.replica.text.encode()):
            await self._begin_with_starter(code)
        elif follower.waiting:
            if held or not follower.waiting.updates:  # the text may be empty
                follower.commit_whole()
            await self._begin_with_what_waits(code)
        elif code is None:
            follower.state.on(Event.EXPIRED)

    async def _begin_with_starter(self, code: bytes) -> None:
        """Append the first entry, made from a starter that somebody wrote to an empty room.

        The replica must not contain the starter before Redis has the entry: if two nodes do this at
        once, Redis refuses one, which discards its entry. Otherwise the room would have the text
        twice.
        """
        follower = self._follower
        text = starter_text(code)
        first = Replica()
        update = first.edit(Delta.of(text)) if text else first.state()
        commit = Commit([Update(SEVERAL, update)], update, text, follower.ttl)
        await self._store.start(
            follower.room, secrets.token_hex(8), code, STARTER, commit, known_end=self._last_end
        )
        follower.state.on(Event.MISSED)  # read the entry from the journal, whichever node began it

    async def _begin_with_what_waits(self, expected: bytes | None) -> None:
        """Append the updates that wait as the first entries, if the code is still ``expected``."""
        follower = self._follower
        epoch = secrets.token_hex(8)
        answer = await self._store.start(
            follower.room, epoch, expected, ROOM, follower.start_commit(), known_end=self._last_end
        )
        if isinstance(answer, Refused):
            follower.handle_refused(answer)
        else:
            follower.epoch, follower.last = epoch, ZERO
            follower.handle_committed(answer)
