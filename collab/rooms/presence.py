"""Presence in one room on a node: who is notified of which change of the roster, and how often."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TYPE_CHECKING, Protocol

from collab.merge.awareness import State
from collab.rooms.members import MemberLine, Members
from collab.rooms.pacing import Pacer
from collab.rooms.person import Person
from collab.rooms.roster import Roster
from collab.store.channel import PresenceReport

if TYPE_CHECKING:
    from collab.rooms.text_members import TextMember

STATES_INTERVAL = 0.1
"""Seconds between two messages with states. A cursor that moves with every key then costs ten
messages a second instead of thirty, and y-websocket echoes each of them."""
PEOPLE_INTERVAL = 0.15
"""Seconds between two lists of people to the text members, if there are few. The first change of a
quiet room is sent at once."""
MAX_LISTED_PER_SECOND = 20_000
"""Entries, in all lists together, that a node sends a second to the text members of one room: about
2 MB. Every member gets the whole list, so the cost of a list grows with the square of the room: in
one of 1,000, a member in 50 ms gets its list."""
LISTED_AT_ONCE = 3000
"""Entries that may be sent at once: all lists of a room of 50."""
FEW_PEOPLE = 50
"""Members up to whom a list is always made anew. In a larger room all lists of an interval are the
same: to make one of 1,000 takes 3 ms, and hundreds who come would each get one of their own."""
MAX_MADE_PER_SECOND = 4000
"""Entries, in all lists that a node makes of one large room: one of 1,000 each quarter second."""
REPORT_INTERVAL = 0.1
"""Seconds between two reports of a room to the other nodes, however many members come and go."""

MAX_REPORTED_PER_SECOND = 100
"""Members, in all full reports together, that a node reports a second: a member that is alone on a
node, and comes and goes, makes the other nodes report all of theirs each time."""


class PresenceLine(MemberLine, Protocol):
    """The connection to a member that receives a list of people."""

    def presence_due(self) -> None:
        """Schedule a list to be written; `Presence.people` returns it."""


class AwarenessLine(MemberLine, Protocol):
    """The connection to a member that receives states."""

    def awareness_due(self, clients: Collection[int]) -> None:
        """Schedule the states of ``clients`` to be written; `Presence.states` returns them."""


class Presence:
    """The members of a room as they see each other.

    ``members`` are the members on this node; ``publish`` sends a message to the other nodes, and
    returns whether Redis took it. What happens in a quiet room is passed on at once; what follows
    within an interval is passed on together, so that a room costs a bounded amount.
    """

    def __init__(
        self,
        node: str,
        interval: float,
        members: Members,
        publish: Callable[[bytes], Awaitable[bool]],
    ) -> None:
        self._roster = Roster(node, interval)
        self._publish = publish
        self._members = members
        self._loop = asyncio.get_running_loop()
        self._people: tuple[Person, ...] | None = None
        self._message: str | None = None
        self._lists: Pacer[PresenceLine] = Pacer(
            _presence_due, MAX_LISTED_PER_SECOND, LISTED_AT_ONCE
        )
        self._states_pause: asyncio.TimerHandle | None = None
        self._people_pause: asyncio.TimerHandle | None = None
        self._report_due = self._full_due = self._ask_due = False
        self._no_full_before = 0.0
        self._reporting: asyncio.Task[None] | None = None
        self._closed = False
        self._closing: asyncio.Event | None = None  # while reports are published

    def people(self) -> tuple[Person, ...]:
        """Return the room's members on all nodes."""
        if self._people is None:
            self._people = tuple(self._roster.people())
        return self._people

    def message(self, encode: Callable[[Sequence[Person]], str]) -> str:
        """Return what ``encode`` makes of the room's members, once for all who get it.

        In a large room it may be as old as the last lists: then further ones are due soon.
        """
        if self._message is None:
            self._message = encode(self.people())
        return self._message

    def name(self, id: str) -> str:
        """Return the name of a member on this node, for presence and for the journal."""
        return self._roster.name(id)

    def color(self, id: str) -> str:
        """Return the color of a member on this node, for the journal; '' if it has left."""
        return self._roster.color(id)

    def clients(self) -> set[int]:
        """Return the clients that have a state."""
        return self._roster.clients()

    def states(self, clients: Collection[int]) -> bytes:
        """Return an awareness update about ``clients``."""
        return self._roster.states(clients)

    def entered(self, id: str, name: str, *, introduce: bool) -> None:
        """Show a member that has entered.

        If ``introduce``, the node makes a state for the member; otherwise the member sends one.
        """
        self._roster.enter(id, name)
        if introduce:
            self._roster.introduce(id)
        self._report(ask=len(self._members) == 1)
        if self._people_pause is not None and id in self._members.text and self._is_small:
            self._message = None
            self._list(self._members.text[id])  # the others get their list with the next
        self._notify_members()

    def left(self, id: str) -> None:
        """Stop showing a member, which has left."""
        self._roster.leave(id)
        self._report()
        self._notify_members()

    def set_state(self, id: str, client: int, state: State | None, clock: int) -> None:
        """Set the state that a member has sent."""
        first = not self._roster.shows(client)
        returns = self._roster.set_state(id, client, state, clock)
        if returns:
            self._roster.renew_quietly()
            self._members.yjs[id].line.awareness_due(self.clients())
        if first or returns:  # the other nodes do not know yet which member the client is
            self._report(ask=returns)
        self._notify_members()

    def apply(self, report: PresenceReport) -> None:
        """Apply the report of another node."""
        asks = self._roster.apply(report, self._loop.time())
        if asks and self._members:
            self._roster.renew_quietly()
            self._report(full=True)
        self._notify_members()

    def heartbeat(self, *, ask: bool = False) -> None:
        """Report this node's members to the other nodes; drop the members of silent nodes.

        Yjs members get a message in any case, because y-websocket closes a silent connection.
        ``ask`` requests the reports of the other nodes, some of which this node may have missed.
        """
        self._roster.expire(self._loop.time())
        self._roster.renew()
        if self._members:
            self._report(full=True, ask=ask)
        self._notify_members()
        for member in self._members.yjs.values():
            member.line.awareness_due(())

    async def close(self) -> None:
        """Stop notifying, and wait until the last reports are published.

        Without the last one the other nodes would show members that left until
        `MAX_MISSED_REPORTS` intervals are over.
        """
        for pause in (self._states_pause, self._people_pause):
            if pause is not None:
                pause.cancel()
        self._lists.close()
        self._closed = True
        if self._closing is not None:
            self._closing.set()
        if self._reporting is not None:
            await asyncio.wait([self._reporting])

    # The members here

    def _notify_members(self) -> None:
        if self._closed:
            return
        if self._roster.people_changed:
            self._people = None
            if self._is_small:
                self._message = None
            if self._people_pause is None:
                self._send_people()
        if self._roster.changed and self._states_pause is None:
            self._send_states()

    def _send_people(self) -> None:
        self._roster.people_changed = False
        self._message = None
        for member in self._members.text.values():
            self._list(member)
        pause = max(PEOPLE_INTERVAL, len(self._roster) / MAX_MADE_PER_SECOND)
        self._people_pause = self._loop.call_later(pause, self._end_people_pause)

    @property
    def _is_small(self) -> bool:
        return len(self._roster) <= FEW_PEOPLE

    def _list(self, member: TextMember) -> None:
        """Let a member get the list when it is its turn: the newest then."""
        self._lists.due(member.line, len(self._roster))

    def _end_people_pause(self) -> None:
        self._people_pause = None
        self._notify_members()

    def _send_states(self) -> None:
        roster = self._roster
        changed, roster.changed = roster.changed, set()
        for member in self._members.yjs.values():
            member.line.awareness_due(changed)
        if roster.has_changes and roster.has_others:
            self._report()
        self._states_pause = self._loop.call_later(STATES_INTERVAL, self._end_states_pause)

    def _end_states_pause(self) -> None:
        self._states_pause = None
        self._notify_members()

    # The other nodes

    def _report(self, *, full: bool = False, ask: bool = False) -> None:
        """Report soon what has changed here, or all members if ``full`` or ``ask``.

        Nothing more is reported of a room that has been closed: it was ended on all nodes, and its
        members leave.
        """
        if self._closed and self._reporting is None:
            return
        self._report_due = True
        self._full_due |= full or ask
        self._ask_due |= ask
        if self._reporting is None:
            self._reporting = asyncio.create_task(self._publish_reports())

    async def _publish_reports(self) -> None:
        """Publish reports, one at a time, until the other nodes have been told everything.

        Two reports under way at once could arrive in the wrong order, and then one is ignored.
        """
        self._closing = closing = asyncio.Event()
        if self._closed:
            closing.set()
        try:
            while self._report_due:
                self._report_due = False
                if (report := self._next_report()) is not None:
                    # A difference without the one before would be wrong until the next heartbeat.
                    self._full_due |= not await self._publish(report.pack())
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(REPORT_INTERVAL):
                        await closing.wait()
        finally:
            self._reporting = self._closing = None

    def _next_report(self) -> PresenceReport | None:
        """Return what to report now; None if there is nothing new."""
        roster = self._roster
        if self._full_due:
            now = self._loop.time()
            if now >= self._no_full_before or self._closed:
                self._no_full_before = now + len(self._members) / MAX_REPORTED_PER_SECOND
                ask, self._full_due, self._ask_due = self._ask_due, False, False
                return roster.report(ask=ask)
            self._report_due = True  # it is still due
        return roster.changes() if roster.has_changes else None


def _presence_due(line: PresenceLine) -> None:
    line.presence_due()
