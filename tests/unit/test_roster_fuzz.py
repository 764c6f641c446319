"""Reports between nodes are lost and overtake each other; after a few complete ones all agree.

``PRESENCE_EFFORT=100`` makes the test run for minutes.
"""

from __future__ import annotations

import itertools
import os
from random import Random
from typing import Any

import pytest
from pycrdt import Awareness, Doc

from collab.rooms.roster import MAX_MISSED_REPORTS, Roster
from collab.store.channel import PresenceReport

EFFORT = int(os.environ.get("PRESENCE_EFFORT", "1"))
INTERVAL = 8.0
CLIENTS = (101, 102, 103)
"""Few client ids, so that a connection often sends the id of another one that is not gone yet."""


class Rosters:
    """Three nodes and the reports between them. Each node sends changes to a Yjs client."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = 0.0
        self.nodes = {name: Roster(name, INTERVAL) for name in "abc"}
        self.told = {name: Awareness(Doc()) for name in "abc"}
        self.members: dict[str, str] = {}
        """The node of each member."""
        self.shown: dict[str, tuple[int, dict[str, Any] | None]] = {}
        """The client and the state that each Yjs member sent last."""
        self._clocks = dict.fromkeys(CLIENTS, 0)
        self._names = itertools.count()
        self._late: list[tuple[str, PresenceReport]] = []

    def step(self) -> None:
        """Do one random thing."""
        random, chance = self.random, self.random.random()
        self.now += random.random()
        if chance < 0.35:
            self._enter(random.choice("abc"), text=chance < 0.15)
        elif chance < 0.55 and self.members:
            self._leave(random.choice(list(self.members)))
        elif chance < 0.85:
            if there := [id for id in self.members if id in self.shown]:
                self._show(random.choice(there))
        elif chance < 0.88:
            self._beat(random.choice("abc"), safe=False)
        elif self._late:
            name, report = self._late.pop(random.randrange(len(self._late)))
            self._receive(name, report, safe=False)
        self._send_to_clients()

    def rest(self) -> None:
        """Lose no reports until each node has reported twice and dead nodes have timed out."""
        for _ in range(MAX_MISSED_REPORTS):
            self.now += INTERVAL
            for name in self.nodes:
                self._beat(name, safe=True)
            self._send_to_clients()

    def states(self, name: str) -> dict[int, Any]:
        """Return the states that a client gets which joins at a node now."""
        fresh, roster = Awareness(Doc()), self.nodes[name]
        fresh.apply_awareness_update(roster.states(roster.clients()), None)
        return {c: state for c, state in fresh.states.items() if c != fresh.client_id}

    def _enter(self, name: str, *, text: bool) -> None:
        id, roster = f"{next(self._names)}", self.nodes[name]
        roster.enter(id, f"guest-{id}")
        self.members[id] = name
        if text:
            roster.introduce(id)
        else:
            self.shown[id] = self.random.choice(CLIENTS), None
        self._report(name, ask=self.random.random() < 0.2)

    def _leave(self, id: str) -> None:
        name = self.members.pop(id)
        self.shown.pop(id, None)
        self.nodes[name].leave(id)
        self._report(name)

    def _show(self, id: str) -> None:
        (client, _), roster = self.shown[id], self.nodes[self.members[id]]
        self._clocks[client] += 1
        chance = self.random.random()
        state: dict[str, Any] | None = {"cursor": self.random.randrange(100)}
        if chance < 0.1:
            state = None
        elif chance < 0.9:
            state = {"user": {"name": f"N{self.random.randrange(5)}"}, **(state or {})}
        self.shown[id] = client, state
        first = client not in roster.clients()
        returns = roster.set_state(id, client, state, self._clocks[client])
        if returns:
            roster.renew_quietly()
        if first or returns or self.random.random() < 0.5:
            self._report(self.members[id], ask=returns)

    def _beat(self, name: str, *, safe: bool) -> None:
        roster = self.nodes[name]
        roster.expire(self.now)
        roster.renew(0 if self.random.random() < 0.5 else 18.0)
        self._send(name, roster.report(ask=False), safe=safe)

    def _report(self, name: str, *, ask: bool = False) -> None:
        """Report what has changed: now, or together with what changes next."""
        roster = self.nodes[name]
        if ask:
            self._send(name, roster.report(ask=True))
        elif self.random.random() < 0.7:
            self._send(name, roster.changes())

    def _send(self, sender: str, report: PresenceReport, *, safe: bool = False) -> None:
        for name in self.nodes:
            chance = 1.0 if safe else self.random.random()
            if chance < 0.1 or name == sender:
                continue
            if chance < 0.25:
                self._late.append((name, report))
            else:
                self._receive(name, report, safe=safe)

    def _receive(self, name: str, report: PresenceReport, *, safe: bool) -> None:
        roster = self.nodes[name]
        if roster.apply(report, self.now):
            roster.renew_quietly()
            self._send(name, roster.report(ask=False), safe=safe)

    def _send_to_clients(self) -> None:
        for name, roster in self.nodes.items():
            self.told[name].apply_awareness_update(roster.states(roster.changed), None)
            roster.changed.clear()


@pytest.mark.parametrize("block", range(10))
def test_nodes_that_missed_reports_agree_on_people_and_states_after_the_next(block: int) -> None:
    for seed in range(block * 30 * EFFORT, (block + 1) * 30 * EFFORT):
        rosters = Rosters(seed)
        for _ in range(8 + seed % 60):
            rosters.step()
        rosters.rest()
        here = rosters.nodes["a"].people()
        assert sorted(person.id for person in here) == sorted(rosters.members)
        assert {person.id: person.node for person in here} == rosters.members
        states = rosters.states("a")
        for name, roster in rosters.nodes.items():
            assert roster.people() == here, f"seed {seed}"
            assert rosters.states(name) == states, f"seed {seed}"
            told = rosters.told[name]
            known = {c: state for c, state in told.states.items() if c != told.client_id}
            assert known == states, f"seed {seed}: what a client received piece by piece"
        for client in CLIENTS:
            claimed = [state for own, state in rosters.shown.values() if own == client]
            assert states.get(client) in (claimed or [None]), f"seed {seed}"
        assert len(states) - len(states.keys() & set(CLIENTS)) == len(
            rosters.members.keys() - rosters.shown.keys()
        )
