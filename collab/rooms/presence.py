"""Who is in a room, on all nodes: each node reports its own members, and hears the others'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

MARK = b"P "
"""How a report begins on a room's channel."""
SILENCE = 3
"""Reports that a node may miss before its members are taken as gone."""


@dataclass(frozen=True, slots=True)
class Person:
    """A member as everybody in the room sees it."""

    id: str
    name: str
    node: str

    def payload(self) -> dict[str, str]:
        """Return what ``presence`` tells of this member."""
        return {"id": self.id, "name": self.name, "node": self.node}


@dataclass(slots=True)
class _Report:
    people: list[Person]
    heard: float


class Roster:
    """The people of one room. Times are monotonic seconds, given by the caller."""

    def __init__(self, node: str, interval: float) -> None:
        self._node = node
        self._patience = SILENCE * interval
        self._here: dict[str, Person] = {}
        self._elsewhere: dict[str, _Report] = {}

    def enter(self, id: str, name: str) -> None:
        """Somebody came in here."""
        self._here[id] = Person(id, name, self._node)

    def leave(self, id: str) -> None:
        """Somebody left from here."""
        self._here.pop(id, None)

    def people(self) -> list[Person]:
        """Return everybody, in an order that is the same on every node."""
        everybody = list(self._here.values())
        for report in self._elsewhere.values():
            everybody += report.people
        return sorted(everybody, key=lambda person: (person.name, person.id))

    def report(self, *, ask: bool) -> bytes:
        """Return what to tell the other nodes; ``ask`` them for their reports in return."""
        people = [[person.id, person.name] for person in self._here.values()]
        return MARK + orjson.dumps({"node": self._node, "people": people, "ask": ask})

    def hear(self, message: bytes, now: float) -> tuple[bool, bool]:
        """Take in a node's report; return whether it changed anything, and whether it asks.

        Raises ValueError if it is no report.
        """
        report: Any = orjson.loads(message[len(MARK) :])
        try:
            node, ask = report["node"], report["ask"]
            people = [Person(id, name, node) for id, name in report["people"]]
        except (TypeError, KeyError) as problem:
            raise ValueError("not a report of presence") from problem
        if node == self._node:
            return False, False
        known = self._elsewhere.get(node)
        if people:
            self._elsewhere[node] = _Report(people, now)
        else:
            self._elsewhere.pop(node, None)
        return people != (known.people if known else []), ask

    def expire(self, now: float) -> bool:
        """Forget nodes that were silent for too long; return whether there were any."""
        silent = [
            node for node, report in self._elsewhere.items() if now - report.heard > self._patience
        ]
        for node in silent:
            del self._elsewhere[node]
        return bool(silent)
