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
from collections.abc import Collection, Iterable, Iterator
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
    """A member here or elsewhere. ``client`` is its id in awareness, if it has said one.

    ``name`` is what it is called as long as its state has no name.
    """

    id: str
    name: str
    node: str
    client: int | None = None
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


@dataclass(slots=True)
class _Node:
    heard: float
    at: int = 0
    members: dict[str, _Member] = field(default_factory=dict)


class Roster:
    """The people of one room, and their states. Times are monotonic seconds, given by the caller.

    A client id is shown by the member that said it first, until that one goes: what another says
    of it waits. ``changed`` are the clients whose states are to be told to Yjs members,
    ``changed_here`` those of them that the other nodes don't know, ``people_changed`` says that
    text members are to be told; whoever tells them clears these.
    """

    def __init__(self, node: str, interval: float) -> None:
        self._node = node
        self._patience = SILENCE * interval
        self._here: dict[str, _Member] = {}
        self._elsewhere: dict[str, _Node] = {}
        self._shown_by: dict[int, _Member] = {}
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
        everybody = (member.person for member in self._everybody())
        return sorted(everybody, key=lambda person: (person.name, person.id))

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
            self._release(member)
            self.people_changed = True

    def show(self, id: str, client: int, state: State | None, clock: int = 0) -> bool:
        """A member here tells its state, None to show none, with its own clock.

        The client that a member names first stays its own; the caller sees to that. Returns
        whether the client has been here before and needs to hear of the others again: it has
        dropped their states, but keeps their clocks.
        """
        member = self._here[id]
        first = member.client is None
        returns = first and client in self._awareness.meta
        member.client, member.state = client, state
        if self._shown_by.setdefault(client, member) is member:
            # One more for a first state: others may know this clock as that of one who is gone.
            self._put(client, state, clock + first)
            self._look(member)
        return returns

    def renew(self, age: float = RENEW_AFTER) -> None:
        """Tell again the states of members here that were told more than ``age`` seconds ago."""
        before = _now() - round(age * 1000)
        for client, member in self._shown_by.items():
            known = self._awareness.meta.get(client)
            if member.id in self._here and known and known["lastUpdated"] <= before:
                self._put(client, self._awareness.states.get(client))

    # Other nodes

    def report(self, *, ask: bool) -> bytes:
        """Return what to tell the other nodes; ``ask`` them for their reports in return."""
        self.changed_here.clear()
        return self._report(self._here.values(), full=True, ask=ask)

    def news(self) -> bytes:
        """Return what changed here since the last report."""
        members = [self._shown_by[c] for c in self.changed_here if c in self._shown_by]
        self.changed_here.clear()
        return self._report(members, full=False, ask=False)

    def _report(self, members: Iterable[_Member], *, full: bool, ask: bool) -> bytes:
        told = [(member.id, member.name, self._shown(member)) for member in members]
        self._at = max(self._at + 1, time.time_ns())
        header = {"node": self._node, "at": self._at, "full": full, "ask": ask, "members": told}
        states = self.states([client for _, _, client in told if client is not None])
        return MARK + orjson.dumps(header) + b"\n" + states

    def hear(self, message: bytes, now: float) -> bool:
        """Take in a node's report; return whether it asks for one.

        Raises ValueError if it is no report.
        """
        header, _, states = message[len(MARK) :].partition(b"\n")
        report: Any = orjson.loads(header)
        try:
            name, at, full, ask = str(report["node"]), report["at"], report["full"], report["ask"]
            told = [
                _Member(str(id), str(called), name, client)
                for id, called, client in report["members"]
            ]
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
        if full:
            self._replace(node, told)
        self._merge(states)
        for member in node.members.values():
            self._look(member)
        return bool(ask)

    def expire(self, now: float) -> None:
        """Forget nodes that were silent for too long, and clocks that nobody needs any more."""
        for name, node in list(self._elsewhere.items()):
            if now - node.heard > self._patience:
                self._replace(node, [])
                del self._elsewhere[name]
        meta, before = self._awareness.meta, _now() - round(REMEMBERED * 1000)
        for client in [c for c in meta if c not in self._awareness.states]:
            if meta[client]["lastUpdated"] < before:
                del meta[client]

    def _replace(self, node: _Node, told: list[_Member]) -> None:
        before, node.members = node.members, {}
        for member in told:
            known = before.pop(member.id, None)
            if known is None:
                known = member
                self.people_changed = True
            elif known.client != member.client:
                self._release(known)
                known.client = member.client
            if known.client is not None:
                self._shown_by.setdefault(known.client, known)
            node.members[known.id] = known
        for gone in before.values():
            self._release(gone)
            self.people_changed = True

    def _merge(self, states: bytes) -> None:
        meta = self._awareness.meta
        before = {client: known["clock"] for client, known in meta.items()}
        try:
            self._awareness.apply_awareness_update(states, None)
        except (IndexError, RuntimeError, TypeError, RecursionError) as problem:
            raise ValueError("not a report of presence") from problem
        self.changed |= {c for c, known in meta.items() if before.get(c) != known["clock"]}

    # States

    def _everybody(self) -> Iterator[_Member]:
        yield from self._here.values()
        for node in self._elsewhere.values():
            yield from node.members.values()

    def _shown(self, member: _Member) -> int | None:
        """Return the client that this member, and no other with the same, shows."""
        client = member.client
        return client if client is not None and self._shown_by.get(client) is member else None

    def _look(self, member: _Member) -> None:
        client = self._shown(member)
        state = None if client is None else self._awareness.states.get(client)
        self.people_changed |= member.look(state)

    def _put(self, client: int, state: State | None, clock: int = 0) -> None:
        """Let a client have a state; its clock moves on in any case."""
        known = self._awareness.meta.get(client)
        encoder = Encoder()
        encoder.write_var_uint(1)
        encoder.write_var_uint(client)
        encoder.write_var_uint(max(clock, known["clock"] + 1 if known else 1))
        encoder.write_var_string(json.dumps(state, separators=(",", ":")))
        self._awareness.apply_awareness_update(encoder.to_bytes(), None)
        self.changed.add(client)
        self.changed_here.add(client)

    def _release(self, member: _Member) -> None:
        """Let nobody show a member's client, or another member that waited to."""
        client = member.client
        if client is None or self._shown_by.get(client) is not member:
            return
        del self._shown_by[client]
        heir = next((m for m in self._everybody() if m.client == client and m is not member), None)
        if heir is not None:
            self._shown_by[client] = heir
        if heir is None:
            self._put(client, None)
        elif heir.id in self._here:
            # One more than the going's own: other nodes know that clock as of one who is gone.
            self._put(client, heir.state, self._awareness.meta[client]["clock"] + 2)
        if heir is not None:
            self._look(heir)


def _now() -> int:
    """Return the time as pycrdt keeps it, in milliseconds."""
    return int(time.time() * 1000)
