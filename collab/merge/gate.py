"""The check that updates from Yjs members must pass before a replica applies them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .errors import BadUpdate, DocumentTooLarge, EarlyUpdate, UpdateTooLarge
from .keystroke import read_keystroke
from .limits import Limits
from .replica import Edit, Replica
from .steps import Steps
from .structs import slices
from .survey import Survey
from .update_reader import survey_steps

SLICE_STRUCTS: Final = 64
"""Structs that are merged in one step of a trial. If an update is forged so that each of them is
compared with all structs of a document with 50,000, a step takes a tenth of a second."""
SLICE_BYTES: Final = 1 << 15
"""Bytes of an update that is tried in one step."""
SLICE_SECONDS: Final = 0.01
"""Seconds that a step of merging an update into the replica takes, as far as the trial tells."""
MAX_PARTS: Final = 32
"""Parts in which a large update is merged: each is sent to all members."""
MAX_MERGE_SECONDS: Final = 1.0
"""Seconds of processor time that merging an update may take. 12,000 structs take 0.01, or, at 2,000
places of a text of 250 kB that was pasted whole, 0.2: yrs copies half of it for each of them."""

Admitted = tuple[Edit, bytes | None]
"""What an update changed, and the update of the repair that was necessary, if any."""


class Gate:
    """Applies updates of Yjs members to a replica, after a trial on a copy of it, the *twin*.

    A forged update can be well encoded and still make pycrdt panic half-way, or wait for ever for
    structs that refer to each other. A document cannot recover from either, so this happens to the
    twin, which is dropped. An honest keystroke is applied twice, which is cheap.
    """

    __slots__ = (
        "_bytes",
        "_limits",
        "_replica",
        "_since",
        "_structs",
        "_twin",
        "_unread",
        "_version",
    )

    def __init__(self, replica: Replica, limits: Limits) -> None:
        self._replica = replica
        self._limits = limits
        self._twin: Replica | None = None
        self._version = -1
        self._unread = False
        self._bytes, self._structs = limits.document_bytes, replica.structs
        self._since = limits.document_bytes

    def admit(self, update: bytes) -> Admitted:
        """Apply ``update``, and repair the replica if necessary.

        Returns what the update changed, and the update of the repair, if there was one: the caller
        sends the repair to everyone, including the update's author. It does not change the text.
        Raises `BadUpdate`, `EarlyUpdate` if the caller should ask the author for what the replica
        lacks, `UpdateTooLarge`, or `DocumentTooLarge`; the replica is unchanged then.
        """
        edit = self.admit_keystroke(update)
        if edit is not None:
            return edit, None
        (admitted,) = filter(None, self._steps(update, max_parts=1))
        return admitted

    def admit_keystroke(self, update: bytes) -> Edit | None:
        """Apply ``update`` if it is what typing makes, and nothing stands against it.

        Returns None, and changes nothing, if it is another update, or whenever there is a doubt:
        then `steps` decides. The update needs no repair.
        """
        replica, limits = self._replica, self._limits
        stroke = read_keystroke(update)
        if (
            stroke is None
            or not replica.expects(stroke)
            or replica.size + stroke.size > limits.text_bytes
            or self._bytes + len(update) > limits.document_bytes
            or self._structs + 1 > limits.document_structs
        ):
            return None
        twin = self._ready_twin(exact=False)
        try:
            if not twin.try_keystroke(update, stroke):
                return None
        except BadUpdate:
            return None
        self._add(len(update), int(stroke.size > 0))
        edit = replica.apply_keystroke(update, stroke)
        if twin.share_text(replica):
            self._twin, self._version, self._unread = twin, replica.version, True
        return edit

    def steps(self, update: bytes) -> Iterator[Admitted | None]:
        """Apply ``update`` as `admit` does, in several steps if it is large.

        Yields None after a step of the trial, in which nothing changes. Then the replica changes in
        one or more steps; yields what each has changed. The replica may change between all steps,
        but not by another update that goes through this gate. Raises errors as `admit` does, during
        the trial.
        """
        return self._steps(update, max_parts=MAX_PARTS)

    def _steps(self, update: bytes, max_parts: int) -> Iterator[Admitted | None]:
        limits, replica = self._limits, self._replica
        seen = yield from survey_steps(update, limits)
        yield from self._check_size(update, seen)
        replica.refuse_early(seen)
        if seen.parts > SLICE_STRUCTS:
            yield None
        update, seen = replica.normalized(update, seen)
        large = seen.parts > SLICE_STRUCTS or len(update) > SLICE_BYTES
        if large:
            yield None
        twin = self._ready_twin(exact=True)
        if twin.nesting_with(update, seen) > limits.nesting:
            raise UpdateTooLarge(f"at most {limits.nesting} types may be nested in each other")
        parts = 1
        if large:
            taken = yield from twin.apply_in_parts(update, seen, SLICE_STRUCTS, MAX_MERGE_SECONDS)
            parts = min(max_parts, 1 + int(taken / SLICE_SECONDS))
            yield None
        else:
            twin.apply_update(update, seen)
        if twin.is_formatted and not twin.is_plain:
            raise BadUpdate("a text with formatting may not hold anything but text")
        repaired = twin.repair() is not None
        if twin.has_pending():
            raise EarlyUpdate("parts of the update wait for each other")
        limit = limits.text_bytes
        if twin.size > max(limit, replica.size):
            raise DocumentTooLarge(f"the text would have {twin.size} bytes; the limit is {limit}")
        self._add(len(update), seen.built)
        if large:
            yield None
        expected = self._version
        for part in [update] if parts == 1 else slices(update, -(-seen.built // parts)):
            edit = replica.apply_update(part, seen if parts == 1 else None)
            repair = replica.repair()
            repaired |= repair is not None
            expected += 1
            yield edit, repair
        if not repaired:
            # The twin lacks what others have changed between two steps.
            self._twin, self._version = twin, expected if replica.version == expected else -1

    def _add(self, size: int, structs: int) -> None:
        self._bytes += size
        self._structs += structs
        self._since += size

    def _check_size(self, update: bytes, seen: Survey) -> Steps[None]:
        """Refuse an update that would make the whole document, not only its text, too large.

        Measuring a document takes long. So the sizes of updates are added up, an upper bound, and
        the document is measured only when the sum is over a limit; then it is not measured again
        until a tenth of it may be new.
        """
        limits = self._limits
        if self._replica.clients_with(seen) > limits.state_vector:
            raise DocumentTooLarge(f"at most {limits.state_vector} clients may write a document")

        def over() -> bool:
            return (
                self._bytes + len(update) > limits.document_bytes
                or self._structs + seen.built > limits.document_structs
            )

        if over() and self._since > self._bytes // 10:
            state = self._replica.state()
            self._bytes, self._since = len(state), 0
            if over():
                self._structs = (yield from survey_steps(state)).built
        if over():
            raise DocumentTooLarge(
                f"a document may have at most {limits.document_bytes} bytes "
                f"in {limits.document_structs} structs"
            )

    def _ready_twin(self, *, exact: bool) -> Replica:
        """Take the twin, as it must be for the next trial; ``exact``: with the text that it has.

        Of the keystrokes that were tried on it, only the text's size was read.
        """
        twin, self._twin = self._twin, None
        replica = self._replica
        if twin is not None and self._version != replica.version:
            twin.follow(replica)
        if twin is not None and exact and self._unread:
            twin.reload_text()
        if twin is None or twin.text != replica.text:
            twin = replica.copy()
        self._version = replica.version
        self._unread = False
        return twin
