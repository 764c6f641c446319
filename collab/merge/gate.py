"""The way in for updates from strangers."""

from __future__ import annotations

from .delta import Delta
from .errors import BadUpdate, EarlyUpdate, TextTooLarge
from .replica import Replica


class Gate:
    """Lets updates of Yjs members into a replica, after a rehearsal on a twin of it.

    A forged update can be well encoded and yet make pycrdt panic half-way, or wait for ever for
    structs that refer to each other. There is no way back from either, so it happens to the twin,
    which is thrown away. An honest keystroke is applied twice, and is cheap.
    """

    __slots__ = ("_replica", "_twin", "_version")

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._twin: Replica | None = None
        self._version = -1

    def admit(self, update: bytes, most_bytes: int | None = None) -> tuple[Delta, bytes | None]:
        """Apply ``update`` and repair the replica if need be.

        Returns the edit of the text, and the update of the repair, if there was one: it goes to
        everyone, the update's author too. Raises `BadUpdate`, `EarlyUpdate` if the author should
        be asked for what the replica lacks, or `TextTooLarge` if the text grows beyond
        ``most_bytes``; the replica is unchanged then.
        """
        twin, self._twin = self._ready_twin(), None
        twin.apply_update(update)
        mended = twin.repair() is not None
        if twin.has_pending():
            raise EarlyUpdate("parts of the update wait for each other")
        if most_bytes is not None and twin.size > max(most_bytes, self._replica.size):
            raise TextTooLarge(f"the text would have {twin.size} bytes; {most_bytes} are the most")
        delta = self._replica.apply_update(update)
        repair = self._replica.repair()
        if repair is not None or mended:
            return delta, repair
        self._twin, self._version = twin, self._replica.version
        return delta, None

    def _ready_twin(self) -> Replica:
        twin, replica = self._twin, self._replica
        if twin is None:
            twin = Replica()
            twin.apply_update(replica.state())
        elif self._version != replica.version:
            twin.apply_update(replica.diff_since(twin.state_vector()))
        if twin.text != replica.text:
            raise BadUpdate("the replica cannot be copied")
        return twin
