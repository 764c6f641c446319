"""Presence in one room on a node: who is notified of which change of the roster, and how often."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

from collab.merge.awareness import State
from collab.rooms.members import MemberLine, Members
from collab.rooms.person import Person
from collab.rooms.roster import Roster
from collab.store.channel import PresenceReport

STATES_INTERVAL = 0.1
"""Seconds between two messages with states. A cursor that moves with every key then costs ten
messages a second instead of thirty, and y-websocket echoes each of them."""


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

    ``members`` are the members on this node; ``publish`` sends a message to the other nodes.
    """

    def __init__(
        self,
        node: str,
        interval: float,
        members: Members,
        publish: Callable[[bytes], Awaitable[None]],
    ) -> None:
        self._roster = Roster(node, interval)
        self._publish = publish
        self._members = members
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._publishing: set[asyncio.Future[None]] = set()

    def people(self) -> list[Person]:
        """Return the room's members on all nodes."""
        return self._roster.people()

    def name(self, id: str) -> str:
        """Return the name of a member on this node, for presence and for the journal."""
        return self._roster.name(id)

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
        self._publish_report(ask=len(self._members) == 1)
        self._notify_members()

    def left(self, id: str) -> None:
        """Stop showing a member, which has left."""
        self._roster.leave(id)
        self._publish_report(ask=False)
        self._notify_members()

    def set_state(self, id: str, client: int, state: State | None, clock: int) -> None:
        """Set the state that a member has sent."""
        first = not self._roster.shows(client)
        returns = self._roster.set_state(id, client, state, clock)
        if returns:
            self._roster.renew(0)
        if first or returns:  # the other nodes do not know yet which member the client is
            self._publish_report(ask=returns)
        self._notify_members()

    def apply(self, report: PresenceReport) -> None:
        """Apply the report of another node."""
        asks = self._roster.apply(report, self._loop.time())
        if asks and self._members:
            self._roster.renew(0)
            self._publish_report(ask=False)
        self._notify_members()

    def heartbeat(self) -> None:
        """Report this node's members to the other nodes; drop the members of silent nodes.

        Yjs members get a message in any case, because y-websocket closes a silent connection.
        """
        self._roster.expire(self._loop.time())
        self._roster.renew()
        if self._members:
            self._publish_report(ask=False)
        self._notify_members()
        for member in self._members.yjs.values():
            member.line.awareness_due(())

    async def close(self) -> None:
        """Stop notifying, and wait until the last reports are published.

        Without the last one the other nodes would show members that left until
        `MAX_MISSED_REPORTS` intervals are over.
        """
        if self._pause is not None:
            self._pause.cancel()
        if self._publishing:
            await asyncio.wait(self._publishing)

    def _notify_members(self) -> None:
        roster = self._roster
        if roster.people_changed:
            roster.people_changed = False
            for member in self._members.text.values():
                member.line.presence_due()
        if roster.changed and self._pause is None:
            self._send_states()
            self._pause = self._loop.call_later(STATES_INTERVAL, self._end_pause)

    def _end_pause(self) -> None:
        self._pause = None
        self._notify_members()

    def _send_states(self) -> None:
        roster = self._roster
        changed, roster.changed = roster.changed, set()
        for member in self._members.yjs.values():
            member.line.awareness_due(changed)
        if roster.changed_here and roster.has_others:
            self._send(roster.changes())

    def _publish_report(self, *, ask: bool) -> None:
        self._send(self._roster.report(ask=ask))

    def _send(self, report: PresenceReport) -> None:
        publishing = asyncio.ensure_future(self._publish(report.pack()))
        self._publishing.add(publishing)
        publishing.add_done_callback(self._publishing.discard)
