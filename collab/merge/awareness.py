"""The awareness states that a room's clients show each other, as in y-protocols."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .encoding import packed

State = dict[str, Any]
"""What a client shows of itself: ``user: {name, color}``, a cursor, anything else."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """A client's last state, encoded too, with its clock and the wall clock's time."""

    clock: int
    state: State | None
    encoded: bytes
    since: float


class AwarenessStates:
    """One state and one clock for each client; a clock is kept for a while after its state is gone.

    Ages are in seconds. The states are kept encoded, because each is sent to all members. pycrdt's
    `Awareness` follows the same rules, but has a document and a lock, and reads each state again:
    of a join in a small room that was a tenth, and 3 kB of each room.
    """

    __slots__ = ("_shown",)

    def __init__(self) -> None:
        self._shown: dict[int, _Shown] = {}

    def __contains__(self, client: int) -> bool:
        """Whether a client has a clock here: it shows a state, or has shown one lately."""
        return client in self._shown

    def clients(self) -> set[int]:
        """Return all clients that have a state."""
        return {client for client, shown in self._shown.items() if shown.state is not None}

    def has_state(self, client: int) -> bool:
        """Whether a client has a state."""
        return self.state(client) is not None

    def state(self, client: int) -> State | None:
        """Return a client's state, None if it has none."""
        shown = self._shown.get(client)
        return None if shown is None else shown.state

    def next_clock(self, client: int) -> int:
        """Return the lowest clock with which `set` changes a client's state."""
        shown = self._shown.get(client)
        return 1 if shown is None else shown.clock + 1

    def set(self, client: int, clock: int, state: State | None) -> None:
        """Set a client's state, None to remove it, unless the client has a later clock already.

        A state is also removed with the clock with which it was set.
        """
        before = self._shown.get(client)
        latest = 0 if before is None else before.clock
        if clock > latest or (clock == latest and state is None and self.has_state(client)):
            encoded = packed(client, clock, json.dumps(state, separators=(",", ":")).encode())
            self._shown[client] = _Shown(clock, state, encoded, time.time())

    def encode(self, clients: Iterable[int]) -> bytes:
        """Return an awareness update with the states of ``clients``, null for those without one."""
        known = [self._shown[client].encoded for client in clients if client in self._shown]
        return packed(len(known)) + b"".join(known)

    def is_older(self, client: int, age: float) -> bool:
        """Whether a client's state was set at least ``age`` seconds ago; False without a state."""
        shown = self._shown.get(client)
        return shown is not None and shown.since <= time.time() - age

    def forget(self, age: float) -> None:
        """Forget the clocks of clients whose state has been gone for more than ``age`` seconds."""
        before = time.time() - age
        for client, shown in list(self._shown.items()):
            if shown.state is None and shown.since < before:
                del self._shown[client]
