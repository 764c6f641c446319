"""The members of a room on all nodes, and the state that each one shows: the rules, without I/O.

Each node reports its own members, and applies the reports of the others. The node makes a state for
each text member; a Yjs member sends its own. The journal never contains states.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from collab.merge.awareness import AwarenessStates, State
from collab.rooms.person import Person, default_color
from collab.store.channel import PresenceReport, ReportedMember

MAX_MISSED_REPORTS = 3
"""Intervals without a report after which a node's members count as gone."""
RENEW_INTERVAL = 18.0
"""Seconds after which an unchanged state is sent again: Yjs drops a state after 30 seconds, and a
browser tab in the foreground sends its own every 15 to 18."""
CLOCK_TTL = 120.0
"""Seconds for which the clock of a client that left is kept: the client may return with it."""


@dataclass(slots=True, eq=False)
class _Member:
    """A member on this node or another.

    ``name`` is the name with which the member joined; it is used while its state contains none.
    ``client`` is its client id in awareness, if the member has sent one. ``claim`` is the time at
    which it did, in an order on which all nodes agree. ``clock`` is the clock of ``state``.
    """

    id: str
    name: str
    node: str
    client: int | None = None
    claim: int = 0
    clock: int = 0
    state: State | None = None
    person: Person = field(init=False)

    def __post_init__(self) -> None:
        self.person = Person.showing(None, self.id, self.name, self.node)

    def show(self, state: State | None) -> bool:
        """Use name and color of the shown state; return whether they changed."""
        person = Person.showing(state, self.id, self.name, self.node)
        changed, self.person = person != self.person, person
        return changed

    def reported(self) -> ReportedMember:
        """Return the member as a report to other nodes contains it."""
        return ReportedMember(self.id, self.name, self.client, self.claim, self.clock, self.state)


@dataclass(slots=True)
class _Node:
    """Another node: the time and the number of its last report, and its members."""

    name: str
    reported: float
    at: int = 0
    members: dict[str, _Member] = field(default_factory=dict)


class Roster:
    """The people of one room, and their states. The caller passes times, in monotonic seconds.

    The state of a client id is that of the member that claimed the id first, until that member
    leaves; the state of another member with the same client id waits. The shown states depend only
    on the known members: nodes that know the same members show the same states, whichever reports
    they have missed before.

    ``changed`` has the clients whose states must be sent to Yjs members, and ``people_changed``
    says that text members need a new list. The caller that sends these clears them.
    """

    def __init__(self, node: str, interval: float) -> None:
        """``interval`` is the time between two reports of a node, in seconds."""
        self._node = node
        self._timeout = MAX_MISSED_REPORTS * interval
        self._here: dict[str, _Member] = {}
        self._elsewhere: dict[str, _Node] = {}
        self._claims: dict[int, list[_Member]] = {}
        self._at = 0
        self._states = AwarenessStates()
        self._unreported: set[str] = set()
        self._gone: set[str] = set()
        self.changed: set[int] = set()
        self.people_changed = False

    @property
    def has_changes(self) -> bool:
        """Whether members here have changed, entered or left since the last report."""
        return bool(self._unreported or self._gone)

    @property
    def has_others(self) -> bool:
        """Whether there are members on other nodes."""
        return any(node.members for node in self._elsewhere.values())

    def __len__(self) -> int:
        """How many members the room has."""
        return len(self._here) + sum(len(node.members) for node in self._elsewhere.values())

    def people(self) -> list[Person]:
        """Return all members, in the same order on every node."""
        return sorted(
            (member.person for member in self._everybody()),
            key=lambda person: (person.name, person.id),
        )

    def _everybody(self) -> Iterator[_Member]:
        yield from self._here.values()
        for node in self._elsewhere.values():
            yield from node.members.values()

    def name(self, id: str) -> str:
        """Return the name of a member on this node."""
        return self._here[id].person.name

    def color(self, id: str) -> str:
        """Return the color of a member on this node, '' if it has left."""
        member = self._here.get(id)
        return member.person.color if member else ""

    def clients(self) -> set[int]:
        """Return all clients that have a state."""
        return self._states.clients()

    def shows(self, client: int) -> bool:
        """Whether a client has a state."""
        return self._states.has_state(client)

    def states(self, clients: Iterable[int]) -> bytes:
        """Return an awareness update about ``clients``: their states, or that they have none."""
        return self._states.encode(clients)

    # Members here

    def enter(self, id: str, name: str) -> None:
        """Add a member of this node."""
        self._here[id] = _Member(id, name, self._node)
        self._unreported.add(id)
        self.people_changed = True

    def introduce(self, id: str) -> None:
        """Make a state for a member that sends none, in an unused color if there is one."""
        taken = {member.person.color for member in self._everybody() if member.id != id}
        user = {"name": self._here[id].name, "color": default_color(id, taken)}
        self.set_state(id, secrets.randbits(32), {"user": user})

    def leave(self, id: str) -> None:
        """Remove a member of this node."""
        member = self._here.pop(id, None)
        if member is not None:
            self._unreported.discard(id)
            self._gone.add(id)
            self._forget(member)

    def set_state(self, id: str, client: int, state: State | None, clock: int = 0) -> bool:
        """Set the state of a member here, None for no state, with the member's own clock.

        The caller makes sure that a member keeps the client id that it sent first. Returns whether
        the client has been here before: then it has dropped the states of the others but keeps
        their clocks, so that they must be sent again with new clocks.
        """
        member = self._here[id]
        first = member.client is None
        returns = first and client in self._states
        if first:
            latest = max((rival.claim for rival in self._claims.get(client, ())), default=0)
            member.claim = max(time.time_ns(), latest + 1)
        # A first state gets the next clock: others may know this one from a member that left.
        self._assign(member, client, state, max(clock + first, member.clock + 1))
        self._unreported.add(id)
        return returns

    def renew(self, age: float = RENEW_INTERVAL) -> None:
        """Send again the states of members here that were set at least ``age`` seconds ago."""
        for client in self._claims:
            member = self._holder(client)
            if (
                member is not None and member.id in self._here and member.state is not None
                and self._states.is_older(client, age)
            ):  # fmt: skip
                self._set_state(client, member)

    def renew_quietly(self) -> None:
        """Give the states of all members here new clocks, for a client that knows the present ones.

        They are not sent to members who have them: in a large room that is much for one client.
        """
        changed, self.changed = self.changed, set()
        self.renew(0)
        self.changed = changed

    # Other nodes

    def report(self, *, ask: bool) -> PresenceReport:
        """Return a report of all members here; ``ask`` requests full reports in return."""
        return self._report(self._here.values(), [], full=True, ask=ask)

    def changes(self) -> PresenceReport:
        """Return a report of what has changed here since the last report."""
        members = [self._here[id] for id in self._unreported]
        return self._report(members, sorted(self._gone), full=False, ask=False)

    def _report(
        self, members: Iterable[_Member], gone: list[str], *, full: bool, ask: bool
    ) -> PresenceReport:
        self._unreported.clear()
        self._gone.clear()
        self._at = max(self._at + 1, time.time_ns())
        reported = [member.reported() for member in members]
        return PresenceReport(self._node, self._at, full, ask, reported, gone)

    def apply(self, report: PresenceReport, now: float) -> bool:
        """Apply a node's report; return whether the node asks for one."""
        if report.node == self._node:
            return False
        node = self._elsewhere.get(report.node) or _Node(report.node, now)
        if report.at > node.at:  # reports may overtake each other
            node.reported, node.at = now, report.at
            self._elsewhere[report.node] = node
            self._replace(node, report.members, report.gone, full=report.full)
        return report.ask

    def expire(self, now: float) -> None:
        """Drop nodes that were silent for too long, and clocks that are no longer needed."""
        for name, node in list(self._elsewhere.items()):
            if now - node.reported > self._timeout:
                self._replace(node, [], [], full=True)
                del self._elsewhere[name]
        self._states.forget(CLOCK_TTL)

    def _replace(
        self, node: _Node, members: list[ReportedMember], gone: Iterable[str], *, full: bool
    ) -> None:
        """Remove members that are ``gone``, then apply the reported ``members``.

        If the report is ``full``, the node has no others. A member may be in both lists: it left,
        and entered again.
        """
        for id in gone:
            if (left := node.members.pop(id, None)) is not None:
                self._forget(left)
        for each in members:
            member = node.members.get(each.id)
            if member is None:
                member = node.members[each.id] = _Member(each.id, each.name, node.name)
                self.people_changed = True
            if member.client not in (None, each.client):
                self._withdraw(member)
            if each.client is not None:
                member.claim = each.claim
                self._assign(member, each.client, each.state, each.clock)
        if full:
            for id in node.members.keys() - {each.id for each in members}:
                self._forget(node.members.pop(id))

    # States

    def _assign(self, member: _Member, client: int, state: State | None, clock: int) -> None:
        """Set a member's state; show it if the member holds the client id."""
        if member.client is None:
            member.client = client
            self._claims.setdefault(client, []).append(member)
        again = clock != member.clock and member is self._holder(client)
        member.state, member.clock = state, clock
        self._update_shown(client, again=again)

    def _forget(self, member: _Member) -> None:
        self._withdraw(member)
        self.people_changed = True

    def _withdraw(self, member: _Member) -> None:
        """Release a member's client id; another member that claimed it shows its state now."""
        client = member.client
        if client is not None:
            member.client, member.state = None, None
            self._claims[client].remove(member)
            self._update_shown(client)

    def _holder(self, client: int) -> _Member | None:
        """Return the member that holds a client id: the first that claimed it."""
        claims = self._claims.get(client, ())
        return min(claims, key=lambda member: (member.claim, member.id), default=None)

    def _update_shown(self, client: int, *, again: bool = False) -> None:
        """Update the shown state of a client; ``again`` sends it even if it has not changed."""
        member = self._holder(client)
        state = None if member is None else member.state
        if again or state != self._states.state(client):
            self._set_state(client, member)
        for rival in self._claims.get(client, ()):
            self.people_changed |= rival.show(state if rival is member else None)
        if not self._claims.get(client):
            self._claims.pop(client, None)

    def _set_state(self, client: int, member: _Member | None) -> None:
        """Show a member's state for a client, None to show none, with the next clock."""
        clock = max(member.clock if member else 0, self._states.next_clock(client))
        self._states.set(client, clock, member.state if member else None)
        self.changed.add(client)
        if member is not None and member.id in self._here:
            member.clock = clock
            self._unreported.add(member.id)
