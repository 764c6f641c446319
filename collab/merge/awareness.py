"""The states that a room's clients show each other, as y-protocols' awareness keeps them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

from pycrdt import Awareness, Doc

from .encoding import packed

State = dict[str, Any]
"""What a client shows of itself: ``user: {name, color}``, a cursor, whatever it likes."""


class AwarenessStates:
    """One state a client, and a clock, which is kept for a while when the state is gone.

    pycrdt's `Awareness` notes by the wall clock when a state was set. Ages are in seconds.
    """

    __slots__ = ("_awareness",)

    def __init__(self) -> None:
        self._awareness = Awareness(Doc())
        self._awareness.set_local_state(None)

    def __contains__(self, client: int) -> bool:
        """Whether a client has a clock here: it shows a state, or did so lately."""
        return client in self._awareness.meta

    def clients(self) -> set[int]:
        """Return all clients that have a state."""
        return set(self._awareness.states)

    def state(self, client: int) -> State | None:
        """Return a client's state, None if it has none."""
        return self._awareness.states.get(client)

    def next_clock(self, client: int) -> int:
        """Return the least clock with which `set` changes a client's state."""
        return int(self._awareness.meta[client]["clock"]) + 1 if client in self else 1

    def set(self, client: int, clock: int, state: State | None) -> None:
        """Set a client's state, None to remove it, unless its clock is later already."""
        words = json.dumps(state, separators=(",", ":")).encode()
        self._awareness.apply_awareness_update(packed(1, client, clock, words), None)

    def encode(self, clients: Iterable[int]) -> bytes:
        """Return an awareness update with the states of ``clients``, and that others have none."""
        return self._awareness.encode_awareness_update([each for each in clients if each in self])

    def is_older(self, client: int, age: float) -> bool:
        """Whether a client's state was set ``age`` seconds ago, or longer; False without one."""
        return client in self and self._set_at(client) <= _now() - round(age * 1000)

    def forget(self, age: float) -> None:
        """Forget the clocks of clients whose state has been gone for more than ``age`` seconds."""
        before = _now() - round(age * 1000)
        for client in self._awareness.meta.keys() - self._awareness.states.keys():
            if self._set_at(client) < before:
                del self._awareness.meta[client]

    def _set_at(self, client: int) -> int:
        return int(self._awareness.meta[client]["lastUpdated"])


def _now() -> int:
    """Return the time as pycrdt keeps it, in milliseconds."""
    return int(time.time() * 1000)
