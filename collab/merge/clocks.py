"""Which updates a document has: the clock that it has reached in each client's structs."""

from __future__ import annotations

from collections.abc import Mapping

from .cursor import Cursor
from .errors import BadUpdate, EarlyUpdate, UpdateTooLarge
from .keystroke import Keystroke
from .limits import Limits
from .survey import Survey


class Clocks:
    """The clocks of one document, by client, from the surveys of the updates that it has."""

    __slots__ = ("_known",)

    def __init__(self, known: Mapping[int, int] | None = None) -> None:
        self._known: dict[int, int] = dict(known or {})

    def __len__(self) -> int:
        return len(self._known)

    def copy(self) -> Clocks:
        """Return the clocks of a copy of the document."""
        return Clocks(self._known)

    def add(self, seen: Survey) -> None:
        """Add an update."""
        known = self._known
        for client, _, end in seen.runs:
            if end > known.get(client, 0):
                known[client] = end

    def reached(self, client: int) -> int:
        """Return the clock that a client has reached."""
        return self._known.get(client, 0)

    def extend(self, client: int, count: int) -> None:
        """Add ``count`` clocks of a client, behind those that it has."""
        if count:
            self._known[client] = self._known.get(client, 0) + count

    def new_clients(self, seen: Survey) -> int:
        """Return how many clients an update has that the document does not have."""
        return len({client for client, _, _ in seen.runs} - self._known.keys())

    def overlap(self, seen: Survey) -> bool:
        """Whether a run of an update begins with what the document has and ends with news."""
        known = self._known
        return any(start < known.get(client, 0) < end for client, start, end in seen.runs)

    def refuse_early(self, seen: Survey) -> None:
        """Raise `EarlyUpdate` if updates that an update builds on are missing."""
        known = self._known
        reach: dict[int, int] = {}
        for client, start, end in seen.runs:
            here = reach.get(client) or known.get(client, 0)
            if start > here:
                raise EarlyUpdate("updates before this one are missing")
            reach[client] = max(here, end)
        for client, clock in seen.needs:
            if clock >= known.get(client, 0) and clock >= reach.get(client, 0):
                raise EarlyUpdate("the update builds on one that is missing")
        for client, _, end in seen.deleted:
            if end > known.get(client, 0) and end > reach.get(client, 0):
                raise EarlyUpdate("the update deletes content that is missing")

    def precede(self, stroke: Keystroke) -> bool:
        """Whether a keystroke builds only on what is there, and is the next of a known client."""
        known = self._known
        if stroke.size and known.get(stroke.client) != stroke.clock:
            return False
        for client, clock in stroke.needs:
            if clock >= known.get(client, 0):
                return False
        return stroke.deleted is None or stroke.deleted[2] <= known.get(stroke.deleted[0], 0)

    def check(self, state_vector: bytes) -> None:
        """Assert that the clocks are those of the document's ``state_vector``; for tests."""
        assert self._known == read_state_vector(state_vector)

    def are_ahead_of(self, state_vector: bytes) -> bool:
        """Whether the updates reach further than ``state_vector``, the document's own."""
        have = read_state_vector(state_vector)
        return any(have.get(client, 0) < clock for client, clock in self._known.items())


def read_state_vector(encoded: bytes, limits: Limits | None = None) -> dict[int, int]:
    """Return a state vector's clocks by client.

    Raises `BadUpdate` if ``encoded`` isn't a state vector, `UpdateTooLarge` if it has more entries
    than the ``limits`` allow.
    """
    cursor = Cursor(encoded)
    try:
        clients = cursor.number()
        if limits is not None and clients > limits.state_vector:
            raise UpdateTooLarge(f"a state vector may have at most {limits.state_vector} entries")
        return {cursor.number(): cursor.number() for _ in range(clients)}
    except IndexError as error:
        raise BadUpdate("the state vector ends too soon") from error
