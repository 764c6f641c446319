"""How a node's replica and a room's journal become one again, whatever happened to either."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable

from collab.merge.deletions import deletion, inserted
from collab.merge.delta import Delta
from collab.merge.replica import Replica
from collab.rooms.follower import Follower
from collab.rooms.history import add_up, earlier_state, same, share_authors
from collab.rooms.journal_state import Event, Phase, Work
from collab.rooms.pending import SEVERAL
from collab.store.records import ROOM, STARTER, ZERO, Commit, Reading, Refused, Update
from collab.store.store import Store

log = logging.getLogger(__name__)


class Recovery:
    """Reads a room's journal, begins one where there is none, and mends what differs.

    ``on_end`` is called when somebody has ended the room. All methods raise StoreUnavailable; what
    they did not finish can be done again.
    """

    def __init__(self, follower: Follower, store: Store, on_end: Callable[[], None]) -> None:
        self._follower = follower
        self._store = store
        self._on_end = on_end
        self._known_ends: frozenset[str] | None = None
        self._last_end = ""

    async def catch_up(self) -> None:
        """Read the journal behind the last entry that was applied, and apply what is there."""
        await self._read(self._follower.epoch)

    async def reload(self) -> None:
        """Read the whole journal, and mend what differs."""
        await self._read(None)

    async def check(self) -> None:
        """Compare with Redis; what is to be done about a difference becomes due."""
        self._follower.compare(await self._store.check(self._follower.room))

    async def settle(self) -> None:
        """Set the snapshot, which lacks entries or was written over.

        Redis refuses if the journal has moved on: whoever moved it owes the next settle.
        """
        follower = self._follower
        if follower.epoch is not None:
            await self._store.settle(
                follower.room, follower.epoch, follower.last, follower.replica.text
            )

    async def _read(self, known: str | None) -> None:
        follower = self._follower
        reading = await self._store.read(follower.room, known, follower.last)
        if self._is_end(reading):
            return
        if reading.epoch is None:
            await self._begin(reading)
            return
        if reading.complete:
            self._adopt(reading.epoch, reading)
        else:
            follower.apply_entries(reading.entries)
            if Work.RELOAD not in follower.state.due:
                follower.advance_to(reading.tail)
        follower.set_deadline(reading.deadline)

    def _is_end(self, reading: Reading) -> bool:
        """Whether the room was ended since it was loaded here: nothing more is written then.

        Whatever is in Redis now is another room of its name.
        """
        if self._known_ends is None:
            self._known_ends = frozenset(reading.ends)
        self._last_end = reading.ends[0] if reading.ends else ""
        if self._known_ends.issuperset(reading.ends):
            return False
        self._follower.state.on(Event.ENDED)
        self._on_end()
        return True

    def _adopt(self, epoch: str, reading: Reading) -> None:
        """Follow a journal of which this node did not know all, or that has lost entries.

        If it has nothing in common with what is here, one of the two is over. Before the deadline
        that is what the journal held before this node's last entry, and the starter that a node
        without the room began it with: Redis has come back older. After it, it is what is here.
        Over is over to the last character and key: of what two texts share by chance each holder
        would keep a copy. It is deleted by an ordinary edit, so that Yjs members follow.
        """
        follower = self._follower
        held = follower.epoch is not None
        journal = add_up(follower.room, reading.base, reading.entries)
        if follower.state.phase is Phase.LOADING:
            follower.replica = journal
        elif not held or epoch == follower.epoch or share_authors(journal, follower.replica):
            follower.apply(journal.state())
        elif follower.expired:
            mine = [update.update for update in follower.waiting.updates]
            follower.apply(deletion(inserted(follower.replica, but=mine)))
            follower.apply(journal.state())
        else:
            over = inserted(earlier_state(follower.room, reading, follower.last))
            follower.apply(journal.state())
            follower.apply(deletion(over))
        follower.epoch, follower.last = epoch, reading.tail
        follower.state.on(Event.FOLLOWED)
        if same(journal, follower.replica):
            follower.waiting.drop_updates()
        elif held:
            log.warning("the journal lacks what is here", extra={"room": follower.room})
            follower.commit_whole()

    async def _begin(self, reading: Reading) -> None:
        """There is no journal: begin one, if there is something to begin it with.

        Before the deadline it was lost, and whatever text is there is of no account: it is what was
        lost, or an older starter. After it a text is a new starter.
        """
        follower = self._follower
        code, held = reading.code, follower.epoch is not None
        if held and not follower.expired:
            follower.commit_whole()
            await self._begin_with_what_waits(code)
        elif code is not None and not (held and code == follower.replica.text.encode()):
            await self._begin_with_starter(code)
        elif follower.waiting:
            if held or not follower.waiting.updates:  # '' is a text
                follower.commit_whole()
            await self._begin_with_what_waits(code)
        elif code is None:
            follower.state.on(Event.EXPIRED)

    async def _begin_with_starter(self, code: bytes) -> None:
        """Make the first entry from a text that somebody put into an empty room.

        It must not be in the replica before it is in Redis: of two nodes that do this at once one
        is refused and drops its own, or the room would hold the text twice.
        """
        follower = self._follower
        text = code.decode("utf-8", errors="replace")
        first = Replica()
        update = first.edit(Delta.of(text)) if text else first.state()
        commit = Commit([Update(SEVERAL, update)], update, text, follower.ttl)
        await self._store.start(
            follower.room, secrets.token_hex(8), code, STARTER, commit, known_end=self._last_end
        )
        follower.state.on(Event.MISSED)  # whoever began it, it is read like anybody's

    async def _begin_with_what_waits(self, expected: bytes | None) -> None:
        """Make the first entries from all that waits; ``expected`` is the code that is there."""
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
