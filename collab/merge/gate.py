"""The way in for updates from strangers."""

from __future__ import annotations

from time import thread_time
from typing import Any, Final

from pycrdt import Doc

from .errors import BadUpdate, DocumentTooLarge, EarlyUpdate, UpdateTooLarge, refusals
from .limits import Limits
from .replica import MAX_UNJOINED, Edit, Replica
from .structs import joined, slices
from .survey import Survey, survey

SLICE_STRUCTS: Final = 64
"""Structs that are tried at a time. Forged so that each is compared with all others of a document
with 100,000, they take a quarter of a second."""
MAX_MERGE_SECONDS: Final = 0.2
"""Seconds of processor time that an update may take to be merged. 20,000 structs take a tenth."""


class Gate:
    """Lets updates of Yjs members into a replica, after a rehearsal on a twin of it.

    A forged update can be well encoded and yet make pycrdt panic half-way, or wait for ever for
    structs that refer to each other. There is no way back from either, so it happens to the twin,
    which is thrown away. An honest keystroke is applied twice, and is cheap.
    """

    __slots__ = ("_bytes", "_limits", "_replica", "_since", "_structs", "_twin", "_version")

    def __init__(self, replica: Replica, limits: Limits) -> None:
        self._replica = replica
        self._limits = limits
        self._twin: Replica | None = None
        self._version = -1
        self._bytes, self._structs = limits.document_bytes, limits.document_structs
        self._since = limits.document_bytes

    def admit(self, update: bytes) -> tuple[Edit, bytes | None]:
        """Apply ``update`` and repair the replica if need be.

        Returns what the update changed, and the update of the repair, if there was one: it goes to
        everyone, the update's author too, and leaves the text as it is. Raises `BadUpdate`,
        `EarlyUpdate` if the author should be asked for what the replica lacks, `UpdateTooLarge`, or
        `DocumentTooLarge`; the replica is unchanged then.
        """
        limits = self._limits
        seen = survey(update, limits)
        self._check_size(update, seen)
        twin, self._twin = self._ready_twin(), None
        if twin.nesting_with(update, seen) > limits.nesting:
            raise UpdateTooLarge(f"{limits.nesting} types may lie in each other at the most")
        if seen.joinable > MAX_UNJOINED:
            update = joined(update)
        if seen.built > SLICE_STRUCTS:
            self._try(update)
        twin.apply_update(update)
        mended = twin.repair() is not None
        if twin.has_pending():
            raise EarlyUpdate("parts of the update wait for each other")
        most = limits.text_bytes
        if twin.size > max(most, self._replica.size):
            raise DocumentTooLarge(f"the text would have {twin.size} bytes; {most} are the most")
        edit = self._replica.apply_update(update)
        self._bytes += len(update)
        self._structs += seen.built
        self._since += len(update)
        repair = self._replica.repair()
        if repair is not None or mended:
            return edit, repair
        self._twin, self._version = twin, self._replica.version
        return edit, None

    def _check_size(self, update: bytes, seen: Survey) -> None:
        """Refuse an update that would make the document, not the text alone, too large.

        To measure a document takes long. So the sizes of updates are added up, which is too much,
        until the sum is over a limit; and a document that is that large is not measured again until
        a tenth of it may be new.
        """
        limits = self._limits

        def over() -> bool:
            return (
                self._bytes + len(update) > limits.document_bytes
                or self._structs + seen.built > limits.document_structs
            )

        if over() and self._since > self._bytes // 10:
            state = self._replica.state()
            self._bytes, self._structs, self._since = len(state), survey(state).built, 0
        if over():
            raise DocumentTooLarge(
                f"a document may have {limits.document_bytes} bytes at the most, "
                f"in {limits.document_structs} structs"
            )

    def _try(self, update: bytes) -> None:
        """Find out how long it takes to merge an update, a slice after the other.

        Merging compares an insertion with those that others made at the same place. That is few,
        unless it is forged: then the time grows with the square of the structs.
        """
        doc: Doc[Any] = Doc()
        doc.apply_update(self._replica.state())
        taken = 0.0
        for part in slices(update, SLICE_STRUCTS):
            start = thread_time()
            with refusals():
                doc.apply_update(part)
            taken += thread_time() - start
            if taken > MAX_MERGE_SECONDS:
                raise UpdateTooLarge("the update takes too long to be merged")

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
