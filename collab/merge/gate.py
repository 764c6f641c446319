"""The check that updates from Yjs members must pass before a replica applies them."""

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
"""Structs of one slice. If an update is forged so that each of them is compared with all structs of
a document with 100,000, a slice takes a quarter of a second to merge."""
MAX_MERGE_SECONDS: Final = 0.2
"""Seconds of processor time that merging an update may take. 20,000 structs take 0.1."""


class Gate:
    """Applies updates of Yjs members to a replica, after a trial on a copy of it, the *twin*.

    A forged update can be well encoded and still make pycrdt panic half-way, or wait for ever for
    structs that refer to each other. A document cannot recover from either, so this happens to the
    twin, which is dropped. An honest keystroke is applied twice, which is cheap.
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
        """Apply ``update``, and repair the replica if necessary.

        Returns what the update changed, and the update of the repair, if there was one: the caller
        sends the repair to everyone, including the update's author. It does not change the text.
        Raises `BadUpdate`, `EarlyUpdate` if the caller should ask the author for what the replica
        lacks, `UpdateTooLarge`, or `DocumentTooLarge`; the replica is unchanged then.
        """
        limits = self._limits
        seen = survey(update, limits)
        self._check_size(update, seen)
        twin, self._twin = self._ready_twin(), None
        if twin.nesting_with(update, seen) > limits.nesting:
            raise UpdateTooLarge(f"at most {limits.nesting} types may be nested in each other")
        if seen.joinable > MAX_UNJOINED:
            update = joined(update)
        if seen.built > SLICE_STRUCTS:
            self._check_merge_time(update)
        twin.apply_update(update)
        if twin.is_formatted and not twin.is_plain:
            raise BadUpdate("a text with formatting may not hold anything but text")
        twin_repaired = twin.repair() is not None
        if twin.has_pending():
            raise EarlyUpdate("parts of the update wait for each other")
        limit = limits.text_bytes
        if twin.size > max(limit, self._replica.size):
            raise DocumentTooLarge(f"the text would have {twin.size} bytes; the limit is {limit}")
        edit = self._replica.apply_update(update)
        self._bytes += len(update)
        self._structs += seen.built
        self._since += len(update)
        repair = self._replica.repair()
        if repair is not None or twin_repaired:
            return edit, repair
        self._twin, self._version = twin, self._replica.version
        return edit, None

    def _check_size(self, update: bytes, seen: Survey) -> None:
        """Refuse an update that would make the whole document, not only its text, too large.

        Measuring a document takes long. So the sizes of updates are added up, an upper bound, and
        the document is measured only when the sum is over a limit; then it is not measured again
        until a tenth of it may be new.
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
                f"a document may have at most {limits.document_bytes} bytes "
                f"in {limits.document_structs} structs"
            )

    def _check_merge_time(self, update: bytes) -> None:
        """Refuse an update that takes too long to merge, measured slice by slice on a copy.

        Merging compares an insertion with those that others made at the same place. These are few,
        except in a forged update, where the time grows with the square of the structs.
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
