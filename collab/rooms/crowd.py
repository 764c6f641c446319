"""Presence of one room as a node lives it: who is to be told of what, and how often."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

from collab.rooms.presence import Person, Roster, State

PAUSE = 0.1
"""Seconds between two tellings of states: a cursor that moves with every key costs ten messages a
second, not thirty, and y-websocket sends each of them back."""


class PresenceLine(Protocol):
    """The way to a member that is shown a list of people."""

    def presence_due(self) -> None:
        """A list is to be written: ask `Crowd.people`."""


class AwarenessLine(Protocol):
    """The way to a member that is shown states."""

    def awareness_due(self, clients: Collection[int]) -> None:
        """The states of ``clients`` are to be written: ask `Crowd.states`."""


class Crowd:
    """The members of a room as they see each other. ``publish`` reaches the other nodes."""

    def __init__(
        self, node: str, interval: float, publish: Callable[[bytes], Awaitable[None]]
    ) -> None:
        self._roster = Roster(node, interval)
        self._publish = publish
        self._listeners: dict[str, PresenceLine] = {}
        self._watchers: dict[str, AwarenessLine] = {}
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._telling: set[asyncio.Future[None]] = set()

    def people(self) -> list[Person]:
        """Return who is in the room, on all nodes."""
        return self._roster.people()

    def name(self, id: str) -> str:
        """Return what a member here is called, in presence and in the journal."""
        return self._roster.name(id)

    def clients(self) -> set[int]:
        """Return the clients that have a state."""
        return self._roster.clients()

    def states(self, clients: Collection[int]) -> bytes:
        """Return an awareness update about ``clients``."""
        return self._roster.states(clients)

    def enter_listener(self, id: str, name: str, line: PresenceLine) -> None:
        """Take in a member that is shown people; its state is of the node's making."""
        self._listeners[id] = line
        self._enter(id, name, introduce=True)

    def enter_watcher(self, id: str, name: str, line: AwarenessLine) -> None:
        """Take in a member that is shown states, and will tell its own."""
        self._watchers[id] = line
        self._enter(id, name, introduce=False)

    def _enter(self, id: str, name: str, *, introduce: bool) -> None:
        first = len(self._listeners) + len(self._watchers) == 1
        self._roster.enter(id, name)
        if introduce:
            self._roster.introduce(id)
        self._tell_nodes(ask=first)
        self._tell_here()

    def leave(self, id: str) -> None:
        """Let a member go."""
        self._listeners.pop(id, None)
        self._watchers.pop(id, None)
        self._roster.leave(id)
        self._tell_nodes(ask=False)
        self._tell_here()

    def show(self, id: str, client: int, state: State | None, clock: int) -> None:
        """A member tells its state."""
        first = client not in self.clients()
        returns = self._roster.show(id, client, state, clock)
        if returns:
            self._roster.renew(0)
        if first or returns:  # the other nodes do not know yet whose client it is
            self._tell_nodes(ask=returns)
        self._tell_here()

    def hear(self, message: bytes) -> None:
        """Take in another node's report. Raises ValueError if it is none."""
        asks = self._roster.hear(message, self._loop.time())
        if asks and (self._listeners or self._watchers):
            self._roster.renew(0)
            self._tell_nodes(ask=False)
        self._tell_here()

    def beat(self) -> None:
        """Tell the other nodes who is here; forget those that are silent.

        Yjs members are told something in any case: y-websocket takes silence for an end.
        """
        self._roster.expire(self._loop.time())
        self._roster.renew()
        if self._listeners or self._watchers:
            self._tell_nodes(ask=False)
        self._tell_here()
        for line in self._watchers.values():
            line.awareness_due(())

    def close(self) -> None:
        """Tell nobody any more."""
        if self._pause is not None:
            self._pause.cancel()

    def _tell_here(self) -> None:
        roster = self._roster
        if roster.people_changed:
            roster.people_changed = False
            for listener in self._listeners.values():
                listener.presence_due()
        if roster.changed and self._pause is None:
            self._tell_states()
            self._pause = self._loop.call_later(PAUSE, self._go_on)

    def _go_on(self) -> None:
        self._pause = None
        self._tell_here()

    def _tell_states(self) -> None:
        roster = self._roster
        changed, roster.changed = roster.changed, set()
        for line in self._watchers.values():
            line.awareness_due(changed)
        if roster.changed_here and roster.others:
            self._send(roster.news())

    def _tell_nodes(self, *, ask: bool) -> None:
        self._send(self._roster.report(ask=ask))

    def _send(self, report: bytes) -> None:
        telling = asyncio.ensure_future(self._publish(report))
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)
