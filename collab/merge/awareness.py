"""The awareness states that a room's clients show each other, as in y-protocols."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

from pycrdt import Awareness, Doc

from .encoding import packed

State = dict[str, Any]
"""What a client shows of itself: ``user: {name, color}``, a cursor, anything else."""


class AwarenessStates:
    """One state and one clock for each client; a clock is kept for a while after its state is gone.

    pycrdt's `Awareness` records when a state was set, by the wall clock. Ages are in seconds. The
    states are kept encoded too, because each is sent to all members.
    """

    __slots__ = ("_awareness", "_encoded")

    def __init__(self) -> None:
        self._awareness = Awareness(Doc())
        self._awareness.set_local_state(None)
        self._encoded: dict[int, bytes] = {}

    def __contains__(self, client: int) -> bool:
        """Whether a client has a clock here: it shows a state, or has shown one lately."""
        return client in self._awareness.meta

    def clients(self) -> set[int]:
        """Return all clients that have a state."""
        return set(self._awareness.states)

    def has_state(self, client: int) -> bool:
        """Whether a client has a state."""
        return client in self._awareness.states

    def state(self, client: int) -> State | None:
        """Return a client's state, None if it has none."""
        return self._awareness.states.get(client)

    def next_clock(self, client: int) -> int:
        """Return the lowest clock with which `set` changes a client's state."""
        return int(self._awareness.meta[client]["clock"]) + 1 if client in self else 1

    def set(self, client: int, clock: int, state: State | None) -> None:
        """Set a client's state, None to remove it, unless the client has a later clock already."""
        meta = self._awareness.meta
        before = meta.get(client)
        encoded = packed(client, clock, json.dumps(state, separators=(",", ":")).encode())
        self._awareness.apply_awareness_update(b"\1" + encoded, None)
        if meta.get(client) is not before:
            self._encoded[client] = encoded

    def encode(self, clients: Iterable[int]) -> bytes:
        """Return an awareness update with the states of ``clients``, null for those without one."""
        known = [self._encoded[client] for client in clients if client in self._encoded]
        return packed(len(known)) + b"".join(known)

    def is_older(self, client: int, age: float) -> bool:
        """Whether a client's state was set at least ``age`` seconds ago; False without a state."""
        return client in self and self._set_at(client) <= _now() - round(age * 1000)

    def forget(self, age: float) -> None:
        """Forget the clocks of clients whose state has been gone for more than ``age`` seconds."""
        before = _now() - round(age * 1000)
        for client in self._awareness.meta.keys() - self._awareness.states.keys():
            if self._set_at(client) < before:
                del self._awareness.meta[client]
                self._encoded.pop(client, None)

    def _set_at(self, client: int) -> int:
        return int(self._awareness.meta[client]["lastUpdated"])


def _now() -> int:
    """Return the wall clock's time in milliseconds, as pycrdt records it."""
    return int(time.time() * 1000)
