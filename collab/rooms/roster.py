"""Who is in a room, on all nodes, and the state that each member shows: the rules, without I/O.

Each node reports its own members, and applies the reports of the others. The node makes a state for
each text member; a Yjs member's state is its own. States are never journalled.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from collab.merge.awareness import AwarenessStates, State
from collab.rooms.person import Person, default_color
from collab.store.channel import PresenceReport, ReportedMember

MAX_MISSED_REPORTS = 3
"""Intervals without a report after which a node's members are taken as gone."""
RENEW_INTERVAL = 18.0
"""Seconds after which a state is sent again though it is the same: Yjs forgets it after 30, and a
tab in the foreground sends its own every 15 to 18."""
CLOCK_TTL = 120.0
"""Seconds for which the clock of a client that left is kept: the client may come back with it."""


@dataclass(slots=True, eq=False)
class _Member:
    """A member here or elsewhere.

    ``name`` is the name that it joined with, which counts as long as the state that it shows has
    none. ``client`` is its id in awareness, if it has named one; ``claim`` says since when, in an
    order that all nodes agree on. ``clock`` is the clock of ``state``.
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
        """Use name and color of the state that is shown; return whether that changed them."""
        person = Person.showing(state, self.id, self.name, self.node)
        changed, self.person = person != self.person, person
        return changed

    def reported(self) -> ReportedMember:
        """Return what the other nodes are told of this member."""
        return ReportedMember(self.id, self.name, self.client, self.claim, self.clock, self.state)


@dataclass(slots=True)
class _Node:
    """Another node: when its last report came, the number of that, and its members."""

    name: str
    reported: float
    at: int = 0
    members: dict[str, _Member] = field(default_factory=dict)


class Roster:
    """The people of one room, and their states. Times are monotonic seconds, given by the caller.

    A client id is shown by the member that named it first, until that member leaves; the state of
    another member that names it waits. What is shown follows from the known members alone, so that
    nodes that know the same members show the same, whichever reports they have missed before.

    ``changed`` are the clients whose states are to be sent to Yjs members, ``changed_here`` those
    of them that the other nodes don't know, ``people_changed`` says that text members are to be
    sent the list; the caller that sends them clears these.
    """

    def __init__(self, node: str, interval: float) -> None:
        """``interval`` is how many seconds lie between two reports of a node."""
        self._node = node
        self._timeout = MAX_MISSED_REPORTS * interval
        self._here: dict[str, _Member] = {}
        self._elsewhere: dict[str, _Node] = {}
        self._claims: dict[int, list[_Member]] = {}
        self._at = 0
        self._states = AwarenessStates()
        self.changed: set[int] = set()
        self.changed_here: set[int] = set()
        self.people_changed = False

    @property
    def has_others(self) -> bool:
        """Whether there are members on other nodes."""
        return any(node.members for node in self._elsewhere.values())

    def people(self) -> list[Person]:
        """Return everybody, in an order that is the same on every node."""
        everybody = [*self._here.values()]
        for node in self._elsewhere.values():
            everybody += node.members.values()
        return sorted(
            (member.person for member in everybody), key=lambda person: (person.name, person.id)
        )

    def name(self, id: str) -> str:
        """Return what a member here is called."""
        return self._here[id].person.name

    def clients(self) -> set[int]:
        """Return all clients that have a state."""
        return self._states.clients()

    def states(self, clients: Iterable[int]) -> bytes:
        """Return an awareness update with the states of ``clients``, and that others have none."""
        return self._states.encode(clients)

    # Members here

    def enter(self, id: str, name: str) -> None:
        """Add a member of this node."""
        self._here[id] = _Member(id, name, self._node)
        self.people_changed = True

    def introduce(self, id: str) -> None:
        """Make a state for a member that has none of its own, in a color that nobody has yet."""
        taken = {person.color for person in self.people() if person.id != id}
        user = {"name": self._here[id].name, "color": default_color(id, taken)}
        self.set_state(id, secrets.randbits(32), {"user": user})

    def leave(self, id: str) -> None:
        """Remove a member of this node."""
        member = self._here.pop(id, None)
        if member is not None:
            self._forget(member)

    def set_state(self, id: str, client: int, state: State | None, clock: int = 0) -> bool:
        """Set the state of a member here, None to show none, with the member's own clock.

        The client that a member names first stays its own; the caller sees to that. Returns
        whether the client has been here before and must be sent the states of the others again: it
        has dropped them, but keeps their clocks.
        """
        member = self._here[id]
        first = member.client is None
        returns = first and client in self._states
        if first:
            latest = max((rival.claim for rival in self._claims.get(client, ())), default=0)
            member.claim = max(time.time_ns(), latest + 1)
        # One more for a first state: others may know this clock as that of a member that left.
        self._assign(member, client, state, max(clock + first, member.clock + 1))
        self.changed_here.add(client)
        return returns

    def renew(self, age: float = RENEW_INTERVAL) -> None:
        """Send the states of members here again that were set ``age`` seconds ago, or longer."""
        for client in self._claims:
            member = self._holder(client)
            if (
                member is not None and member.id in self._here and member.state is not None
                and self._states.is_older(client, age)
            ):  # fmt: skip
                self._set_state(client, member)

    # Other nodes

    def report(self, *, ask: bool) -> PresenceReport:
        """Return what to tell the other nodes; ``ask`` them for their reports in return."""
        self.changed_here.clear()
        return self._report(self._here.values(), full=True, ask=ask)

    def changes(self) -> PresenceReport:
        """Return what changed here since the last report."""
        members = [member for member in self._here.values() if member.client in self.changed_here]
        self.changed_here.clear()
        return self._report(members, full=False, ask=False)

    def _report(self, members: Iterable[_Member], *, full: bool, ask: bool) -> PresenceReport:
        self._at = max(self._at + 1, time.time_ns())
        return PresenceReport(
            self._node, self._at, full, ask, [member.reported() for member in members]
        )

    def apply(self, report: PresenceReport, now: float) -> bool:
        """Apply a node's report; return whether it asks for one."""
        if report.node == self._node:
            return False
        node = self._elsewhere.get(report.node) or _Node(report.node, now)
        if report.at > node.at:  # two connections to Redis may overtake each other
            node.reported, node.at = now, report.at
            self._elsewhere[report.node] = node
            self._replace(node, report.members, full=report.full)
        return report.ask

    def expire(self, now: float) -> None:
        """Forget nodes that were silent for too long, and clocks that nobody needs any more."""
        for name, node in list(self._elsewhere.items()):
            if now - node.reported > self._timeout:
                self._replace(node, [], full=True)
                del self._elsewhere[name]
        self._states.forget(CLOCK_TTL)

    def _replace(self, node: _Node, members: list[ReportedMember], *, full: bool) -> None:
        """Replace what a node reports of ``members``; if that is ``full``, it has no others."""
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
            for gone in node.members.keys() - {each.id for each in members}:
                self._forget(node.members.pop(gone))

    # States

    def _assign(self, member: _Member, client: int, state: State | None, clock: int) -> None:
        """Give a member a state; show it if the client is the member's to show."""
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
        """Take a member's client away; another member that waited to show it does so now."""
        client = member.client
        if client is not None:
            member.client, member.state = None, None
            self._claims[client].remove(member)
            self._update_shown(client)

    def _holder(self, client: int) -> _Member | None:
        """Return the member that shows a client: the one that named it first."""
        claims = self._claims.get(client, ())
        return min(claims, key=lambda member: (member.claim, member.id), default=None)

    def _update_shown(self, client: int, *, again: bool = False) -> None:
        """Show what is to be shown of a client, and send it ``again`` if it is the same."""
        member = self._holder(client)
        state = None if member is None else member.state
        if again or state != self._states.state(client):
            self._set_state(client, member)
        for rival in self._claims.get(client, ()):
            self.people_changed |= rival.show(state if rival is member else None)
        if not self._claims.get(client):
            self._claims.pop(client, None)

    def _set_state(self, client: int, member: _Member | None) -> None:
        """Show a member's state of a client, None if nobody has it; its clock moves on."""
        clock = max(member.clock if member else 0, self._states.next_clock(client))
        self._states.set(client, clock, member.state if member else None)
        self.changed.add(client)
        if member is not None and member.id in self._here:
            member.clock = clock
            self.changed_here.add(client)
