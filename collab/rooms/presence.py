"""Who is in a room, on all nodes, as y-protocols awareness: one state for each member.

Each node reports its own members, and hears the others'. Text members have a state that the node
makes for them; a Yjs member's is its own. Awareness is never journalled.
"""

from __future__ import annotations

import json
import re
import secrets
import time
import zlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson
from pycrdt import Awareness, Doc, Encoder

from collab.names import clean_name

MARK = b"P "
"""How a report begins on a room's channel."""
SILENCE = 3
"""Reports that a node may miss before its members are taken as gone."""
RENEW_AFTER = 18.0
"""Seconds after which a state is told again though it is the same: Yjs forgets it after 30, and a
tab in the foreground tells its own every 15 to 18."""
REMEMBERED = 120.0
"""Seconds for which the clock of a client that left is known: it may come back with it."""
COLORS = (
    "#c2410c", "#15803d", "#1d4ed8", "#a21caf", "#0f766e", "#b91c1c", "#6d28d9", "#4d7c0f",
)  # fmt: skip
"""For members that chose none; all are readable on white and on black."""

_COLOR = re.compile(r"#(?:[0-9a-fA-F]{3,4}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})")

State = dict[str, Any]
"""What a client tells about itself: ``user: {name, color}``, a cursor, whatever it likes."""


def default_color(id: str, taken: Collection[str] = ()) -> str:
    """Return a color for a member that chose none, the same on every node.

    It is one that is not ``taken``, while there is any.
    """
    first = zlib.crc32(id.encode()) % len(COLORS)
    choices = COLORS[first:] + COLORS[:first]
    return next((color for color in choices if color not in taken), choices[0])


@dataclass(frozen=True, slots=True)
class Person:
    """A member as everybody in the room sees it."""

    id: str
    name: str
    node: str
    color: str

    def payload(self) -> dict[str, str]:
        """Return what ``presence`` tells of this member."""
        return {"id": self.id, "name": self.name, "node": self.node, "color": self.color}


@dataclass(slots=True, eq=False)
class _Member:
    """A member here or elsewhere.

    ``name`` is what it came with, and is called as long as the state that it shows has no name.
    ``client`` is its id in awareness, if it has said one; ``claim`` says since when, in an order
    that all nodes agree on. ``clock`` is that of ``state``.
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
        self.person = Person(self.id, self.name, self.node, default_color(self.id))

    def look(self, state: State | None) -> bool:
        """Take name and color from the state that is shown; return whether that changed them."""
        user = state.get("user") if state else None
        given = user if isinstance(user, dict) else {}
        color = given.get("color")
        valid = isinstance(color, str) and _COLOR.fullmatch(color)
        person = Person(
            self.id,
            clean_name(given.get("name"), self.name),
            self.node,
            color if valid and isinstance(color, str) else default_color(self.id),
        )
        changed, self.person = person != self.person, person
        return changed

    def told(self) -> list[Any]:
        """Return what other nodes are told of this member."""
        state = None if self.state is None else json.dumps(self.state, separators=(",", ":"))
        return [self.id, self.name, self.client, self.claim, self.clock, state]

    @classmethod
    def heard(cls, node: str, told: Any) -> _Member:
        """Read what another node told. Raises ValueError or TypeError."""
        id, name, client, claim, clock, encoded = told
        state = None if encoded is None else json.loads(encoded)
        numbers = all(isinstance(each, int) for each in (client or 0, claim, clock))
        if not numbers or not isinstance(state, dict | None):
            raise TypeError("not what is told of a member")
        return cls(str(id), str(name), node, client, claim, clock, state)


@dataclass(slots=True)
class _Node:
    heard: float
    at: int = 0
    members: dict[str, _Member] = field(default_factory=dict)


class Roster:
    """The people of one room, and their states. Times are monotonic seconds, given by the caller.

    A client id is shown by the member that said it first, until that one goes: what another says
    of it waits. What is shown follows from the members that are known alone, so that nodes that
    know the same show the same, whatever they have missed before.

    ``changed`` are the clients whose states are to be told to Yjs members, ``changed_here`` those
    of them that the other nodes don't know, ``people_changed`` says that text members are to be
    told; whoever tells them clears these.
    """

    def __init__(self, node: str, interval: float) -> None:
        self._node = node
        self._patience = SILENCE * interval
        self._here: dict[str, _Member] = {}
        self._elsewhere: dict[str, _Node] = {}
        self._claims: dict[int, list[_Member]] = {}
        self._at = 0
        self._awareness = Awareness(Doc())
        self._awareness.set_local_state(None)
        self.changed: set[int] = set()
        self.changed_here: set[int] = set()
        self.people_changed = False

    @property
    def others(self) -> bool:
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
        return set(self._awareness.states)

    def states(self, clients: Iterable[int]) -> bytes:
        """Return an awareness update with the states of ``clients``, and that others have none."""
        known = [client for client in clients if client in self._awareness.meta]
        return self._awareness.encode_awareness_update(known)

    # Members here

    def enter(self, id: str, name: str) -> None:
        """A member came in here."""
        self._here[id] = _Member(id, name, self._node)
        self.people_changed = True

    def introduce(self, id: str) -> None:
        """Make a state for a member that has none of its own, in a color that nobody has yet."""
        taken = {person.color for person in self.people() if person.id != id}
        user = {"name": self._here[id].name, "color": default_color(id, taken)}
        self.show(id, secrets.randbits(32), {"user": user})

    def leave(self, id: str) -> None:
        """A member left from here."""
        member = self._here.pop(id, None)
        if member is not None:
            self._forget(member)

    def show(self, id: str, client: int, state: State | None, clock: int = 0) -> bool:
        """A member here tells its state, None to show none, with its own clock.

        The client that a member names first stays its own; the caller sees to that. Returns
        whether the client has been here before and needs to hear of the others again: it has
        dropped their states, but keeps their clocks.
        """
        member = self._here[id]
        first = member.client is None
        returns = first and client in self._awareness.meta
        if first:
            latest = max((rival.claim for rival in self._claims.get(client, ())), default=0)
            member.claim = max(time.time_ns(), latest + 1)
        # One more for a first state: others may know this clock as that of one who is gone.
        self._tell_of(member, client, state, max(clock + first, member.clock + 1))
        self.changed_here.add(client)
        return returns

    def renew(self, age: float = RENEW_AFTER) -> None:
        """Tell again the states of members here that were told more than ``age`` seconds ago."""
        before = _now() - round(age * 1000)
        for client in self._claims:
            member, known = self._shower(client), self._awareness.meta.get(client)
            if (
                member is not None and member.id in self._here and member.state is not None
                and known and known["lastUpdated"] <= before
            ):  # fmt: skip
                self._put(client, member)

    # Other nodes

    def report(self, *, ask: bool) -> bytes:
        """Return what to tell the other nodes; ``ask`` them for their reports in return."""
        self.changed_here.clear()
        return self._report(self._here.values(), full=True, ask=ask)

    def news(self) -> bytes:
        """Return what changed here since the last report."""
        members = [member for member in self._here.values() if member.client in self.changed_here]
        self.changed_here.clear()
        return self._report(members, full=False, ask=False)

    def _report(self, members: Iterable[_Member], *, full: bool, ask: bool) -> bytes:
        told = [member.told() for member in members]
        self._at = max(self._at + 1, time.time_ns())
        report = {"node": self._node, "at": self._at, "full": full, "ask": ask, "members": told}
        return MARK + orjson.dumps(report)

    def hear(self, message: bytes, now: float) -> bool:
        """Take in a node's report; return whether it asks for one.

        Raises ValueError if it is no report.
        """
        report: Any = orjson.loads(message[len(MARK) :])
        try:
            name, at, full, ask = str(report["node"]), report["at"], report["full"], report["ask"]
            told = [_Member.heard(name, each) for each in report["members"]]
            node = self._elsewhere.get(name) or _Node(now)
            late = at <= node.at
        except (TypeError, KeyError) as problem:
            raise ValueError("not a report of presence") from problem
        if name == self._node:
            return False
        if late:  # two connections to Redis may overtake each other
            return bool(ask)
        node.heard, node.at = now, at
        self._elsewhere[name] = node
        self._take_in(node, told, full=bool(full))
        return bool(ask)

    def expire(self, now: float) -> None:
        """Forget nodes that were silent for too long, and clocks that nobody needs any more."""
        for name, node in list(self._elsewhere.items()):
            if now - node.heard > self._patience:
                self._take_in(node, [], full=True)
                del self._elsewhere[name]
        meta, before = self._awareness.meta, _now() - round(REMEMBERED * 1000)
        for client in [c for c in meta if c not in self._awareness.states]:
            if meta[client]["lastUpdated"] < before:
                del meta[client]

    def _take_in(self, node: _Node, told: list[_Member], *, full: bool) -> None:
        """Take what a node tells of its members; where that is ``full``, it has no others."""
        for each in told:
            member = node.members.get(each.id)
            if member is None:
                member = node.members[each.id] = _Member(each.id, each.name, each.node)
                self.people_changed = True
            if member.client not in (None, each.client):
                self._withdraw(member)
            if each.client is not None:
                member.claim = each.claim
                self._tell_of(member, each.client, each.state, each.clock)
        if full:
            for gone in node.members.keys() - {each.id for each in told}:
                self._forget(node.members.pop(gone))

    # States

    def _tell_of(self, member: _Member, client: int, state: State | None, clock: int) -> None:
        """Let a member have a state; show it if the client is the member's to show."""
        if member.client is None:
            member.client = client
            self._claims.setdefault(client, []).append(member)
        again = clock != member.clock and member is self._shower(client)
        member.state, member.clock = state, clock
        self._settle(client, again=again)

    def _forget(self, member: _Member) -> None:
        self._withdraw(member)
        self.people_changed = True

    def _withdraw(self, member: _Member) -> None:
        """Let a member have no client any more; another that waited to show it does so now."""
        client = member.client
        if client is not None:
            member.client, member.state = None, None
            self._claims[client].remove(member)
            self._settle(client)

    def _shower(self, client: int) -> _Member | None:
        """Return the member that shows a client: the one that said it first."""
        claims = self._claims.get(client, ())
        return min(claims, key=lambda member: (member.claim, member.id), default=None)

    def _settle(self, client: int, *, again: bool = False) -> None:
        """Show what is to be shown of a client, and tell it ``again`` if it is the same."""
        member = self._shower(client)
        state = None if member is None else member.state
        if again or state != self._awareness.states.get(client):
            self._put(client, member)
        for rival in self._claims.get(client, ()):
            self.people_changed |= rival.look(state if rival is member else None)
        if not self._claims.get(client):
            self._claims.pop(client, None)

    def _put(self, client: int, member: _Member | None) -> None:
        """Show a member's state of a client, None if nobody has it; its clock moves on."""
        known = self._awareness.meta.get(client)
        clock = max(member.clock if member else 0, known["clock"] + 1 if known else 1)
        state = member.state if member else None
        encoder = Encoder()
        encoder.write_var_uint(1)
        encoder.write_var_uint(client)
        encoder.write_var_uint(clock)
        encoder.write_var_string(json.dumps(state, separators=(",", ":")))
        self._awareness.apply_awareness_update(encoder.to_bytes(), None)
        self.changed.add(client)
        if member is not None and member.id in self._here:
            member.clock = clock
            self.changed_here.add(client)


def _now() -> int:
    """Return the time as pycrdt keeps it, in milliseconds."""
    return int(time.time() * 1000)
