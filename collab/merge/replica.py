"""A room's document as one node holds it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from time import thread_time
from typing import Final

from .clocks import Clocks, read_state_vector
from .delta import Delta
from .document import Document
from .errors import BadUpdate, UpdateTooLarge, refusals
from .keystroke import Keystroke, read_keystroke
from .pairs import Pairs, break_pairs, pairs
from .shared_text import SharedText
from .steps import Steps
from .structs import Nesting, joined, slices
from .survey import EMPTY_UPDATE, Id, Survey
from .update_reader import survey
from .updates import unknown

MAX_UNJOINED: Final = 256
"""Structs of one update that are left for yrs to join: this takes 64 kB, and the memory grows with
the square of their number."""

MAX_EVENT_PARTS: Final = 4000
"""Structs and deleted ranges of one update for which pycrdt reports what changed in the text. For
more than that, this takes longer than a comparison of the texts."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of a replica: ``delta`` is that of its text, ``update`` that of the whole document.

    ``delta`` is coarse (`Delta.coarse`): all views of the room's members are composed with it.
    ``update`` holds only what the replica did not have before, and is empty if nothing changed. It
    may hold something although ``delta`` is the identity: a key of a map, formatting.
    """

    delta: Delta
    update: bytes

    def __bool__(self) -> bool:
        return self.update != EMPTY_UPDATE


class Replica:
    """A Yjs document with one text, and that text as a string.

    Positions are code points. Updates are in the v1 encoding. Other shared types in the document
    are kept and synced, but never read. A replica is not safe for use from several threads.

    Applying updates out of order makes pycrdt's documents differ permanently, so an update is
    refused (`EarlyUpdate`), not kept for later, if updates that it builds on are missing.
    """

    __slots__ = ("_clocks", "_document", "_nesting", "_pairs", "_shared", "structs", "version")

    version: int
    """The number of updates made and applied."""

    structs: int
    """The number of structs that all these updates have brought."""

    def __init__(self, client_id: int | None = None) -> None:
        """Create an empty replica; its own edits bear the Yjs id ``client_id``, or a random one.

        Yjs orders letters that were typed concurrently at one place by their client ids.
        """
        self.version = 0
        self.structs = 0
        self._document = Document(client_id)
        self._shared = SharedText(self._document)
        self._clocks = Clocks()
        self._nesting = Nesting()
        self._pairs = Pairs()

    def edit(self, delta: Delta, expected: str = "") -> bytes:
        """Apply ``delta`` in one transaction and return its update, for other replicas.

        ``expected`` is the text that probably results: its memory is then shared, not doubled.
        Raises `BadText` if an insertion holds a lone surrogate, ``ValueError`` if the delta reaches
        beyond the text; the replica is unchanged then.
        """
        if delta.is_identity:
            return EMPTY_UPDATE
        was_plain = self._shared.is_plain
        self._shared.edit(delta, expected)
        return self._record_edit(delta) if was_plain else self._record_own()

    def copy(self) -> Replica:
        """Return a replica of the same document, which has its own client id.

        Raises `BadUpdate` if pycrdt cannot copy the document.
        """
        other = Replica()
        with refusals():
            other._document.apply_part(self.state())
        other._shared = self._shared.copy(other._document)
        other.version, other.structs = self.version, self.structs
        other._clocks, other._nesting = self._clocks.copy(), self._nesting.copy()
        other._pairs = self._pairs.copy()
        return other

    def apply_update(self, update: bytes, seen: Survey | None = None) -> Edit:
        """Apply the update of another replica and return what it changed in this one.

        ``seen`` is the update's survey, if the caller has it. Parts that the replica has
        already are skipped, so applying twice is harmless. Raises `BadUpdate` if the bytes are no
        update, and `EarlyUpdate` if updates that it builds on are missing; the replica is unchanged
        then. Apply untrusted updates through a `Gate`: a forged one that is well encoded can make
        pycrdt fail, which also raises `BadUpdate`, and leaves the replica unusable.
        """
        if seen is None:
            stroke = read_keystroke(update)
            if stroke is not None and self.expects(stroke):
                return self.apply_keystroke(update, stroke)
            seen = survey(update)
        self.refuse_early(seen)
        update, seen = self.normalized(update, seen)
        fresh, broken = self._pairs.find(update, seen)
        self.nesting_with(update, seen)
        shared = self._shared
        shared.is_formatted |= seen.has_formats
        observed = not broken and shared.is_observable and seen.parts <= MAX_EVENT_PARTS
        event = None
        if broken:
            self._rebuild(break_pairs(update, seen, broken), broken)
        else:
            with refusals():
                event = self._document.apply(update, with_event=observed)
        gained = update if broken else self._document.pop_update()
        self._add(seen, fresh)
        self._pairs.remove(broken)
        shared.has_halves = seen.has_halves
        return Edit(shared.follow(event) if observed else shared.compare(), gained)

    def expects(self, stroke: Keystroke) -> bool:
        """Whether a keystroke can be applied as what it seems to be.

        It can if all that it builds on is there, and the document holds nothing that needs more
        care: no formatting, embeds, nested types or surrogate pairs.
        """
        shared = self._shared
        return (
            shared.is_observable
            and not self._pairs
            and not self._nesting
            and self._clocks.precede(stroke)
        )

    def apply_keystroke(self, update: bytes, stroke: Keystroke) -> Edit:
        """Apply an update that the replica `expects`, as `apply_update` does."""
        with refusals():
            event = self._document.apply(update)
        self._add_keystroke(stroke)
        return Edit(self._shared.follow(event), self._document.pop_update())

    def try_keystroke(self, update: bytes, stroke: Keystroke) -> bool:
        """Apply an update that the replica `expects`; return whether pycrdt did what it had to.

        The replica must then `share_text` of another that has applied it, to read its own again.
        """
        shared = self._shared
        with refusals():
            self._document.apply_part(update)
        self._add_keystroke(stroke)
        grown, shared.size = self._document.length - shared.size, self._document.length
        return grown == stroke.size or not self.has_pending()

    def share_text(self, other: Replica) -> bool:
        """Take over the text of a replica with the same document; return whether that may be so."""
        self._shared.content = other._shared.content
        return self._shared.size == other._shared.size

    def reload_text(self) -> None:
        """Read the text from the document."""
        self._shared.reload()

    def apply_in_parts(
        self, update: bytes, seen: Survey, size: int, max_seconds: float
    ) -> Steps[float]:
        """Apply an update, ``size`` of its structs in each step; return the seconds that it took.

        ``seen`` is the update's survey, which `refuse_early` has accepted. Raises errors as
        `apply_update` does, and `UpdateTooLarge` if it takes more than ``max_seconds`` of processor
        time to merge the update. The replica is unusable unless all steps are made.

        Merging compares an insertion with those that others made at the same place. These are few,
        except in a forged update, where the time grows with the square of the structs.
        """
        fresh, broken = self._pairs.find(update, seen)
        if broken:
            self.apply_update(update, seen)
            return 0.0
        self._shared.is_formatted |= seen.has_formats
        taken = 0.0
        for part in slices(update, size):
            yield
            start = thread_time()
            with refusals():
                self._document.apply_part(part)
            taken += thread_time() - start
            if taken > max_seconds:
                raise UpdateTooLarge("the update takes too long to be merged")
        self._add(seen, fresh)
        self._shared.has_halves = seen.has_halves
        self._shared.reload()
        return taken

    def refuse_early(self, seen: Survey) -> None:
        """Raise `EarlyUpdate` if updates that an update builds on are missing."""
        self._clocks.refuse_early(seen)

    def normalized(self, update: bytes, seen: Survey) -> tuple[bytes, Survey]:
        """Return an update, which `refuse_early` accepts, and its survey, as pycrdt should get it.

        Structs that continue each other are joined if there are many. And no struct begins with
        content that the replica has, and ends with news: pycrdt would put the news elsewhere than a
        replica that gets only them. Raises `BadUpdate` if half of a surrogate pair would be news.
        """
        if seen.joinable > MAX_UNJOINED:
            update = joined(update)
            seen = survey(update)
        if self._clocks.overlap(seen):
            halved = ((client, clock + 1) for client, clock in pairs(update, seen))
            if any(self._clocks.reached(client) == clock for client, clock in halved):
                raise BadUpdate("half of a surrogate pair is known already")
            update = unknown(update, self.state_vector())
            seen = survey(update)
        return update, seen

    def clients_with(self, seen: Survey) -> int:
        """Return how many clients will have written the document, with those of an update."""
        return len(self._clocks) + self._clocks.new_clients(seen)

    def nesting_with(self, update: bytes, seen: Survey) -> int:
        """Return how many levels of types an update nests at its deepest place.

        ``seen`` is the update's survey. The caller must then apply the update: otherwise the
        replica becomes unusable.
        """
        return self._nesting.add(update) if seen.types or self._nesting else 0

    def repair(self) -> bytes | None:
        """Make the document representable as text; return the update, or ``None`` if it already is.

        Call this after `apply_update` of an update from a Yjs member. It removes embeds. If the
        update brought U+FFFD, its author may be looking at half a surrogate pair, which no update
        can carry: this replica replaces each U+FFFD by its own, so that all members see the same
        text. The attribute `text` does not change.
        """
        return self._record_own() if self._shared.repair() else None

    @property
    def text(self) -> str:
        """The text, without embeds."""
        return self._shared.content

    @property
    def size(self) -> int:
        """The text's size in UTF-8 bytes."""
        return self._shared.size

    @property
    def is_plain(self) -> bool:
        """Whether the shared text holds nothing but text, so that `repair` need not delete it."""
        return self._shared.is_plain

    @property
    def is_formatted(self) -> bool:
        """Whether anything in the document is, or was, formatted."""
        return self._shared.is_formatted

    def state(self) -> bytes:
        """Return the whole document as one update."""
        return self._document.state()

    def state_vector(self) -> bytes:
        """Return the Yjs state vector, which tells which updates this replica has, encoded."""
        return self._document.state_vector()

    def diff_since(self, state_vector: bytes) -> bytes:
        """Return what a replica with ``state_vector`` lacks.

        Raises `BadUpdate` if ``state_vector`` isn't a state vector.
        """
        read_state_vector(state_vector)
        return self._document.state(state_vector)

    def follow(self, other: Replica) -> None:
        """Apply what another replica has and this one lacks."""
        self.apply_update(other._document.state(self._document.state_vector()))

    def has_pending(self) -> bool:
        """Whether pycrdt keeps parts of applied updates for later. Never compact such a replica.

        This takes a microsecond for each client that has written the document.
        """
        return self._clocks.are_ahead_of(self._document.state_vector())

    def check(self) -> None:
        """Assert that the cached text is the document's. For tests: it reads the document."""
        self._shared.check()
        self._clocks.check(self._document.state_vector())
        assert not self.has_pending()

    def _record_edit(self, delta: Delta) -> bytes:
        """Record an own edit by ``delta`` and return its update, which is read only if it must be.

        An insertion has as many clocks as UTF-16 units, and ASCII text contains no pairs.
        """
        inserted = [op for op in delta.ops if isinstance(op, str)]
        text = "".join(inserted)
        if not text.isascii():
            return self._record_own()
        self._clocks.extend(self._document.client_id, len(text))
        self.structs += len(inserted)
        self.version += 1
        return self._document.pop_update()

    def _record_own(self) -> bytes:
        update = self._document.pop_update()
        seen = survey(update)
        self._add(seen, pairs(update, seen))
        return update

    def _add(self, seen: Survey, fresh: Iterable[Id]) -> None:
        """Record that an update was applied, which has brought the pairs ``fresh``."""
        self._pairs.add(fresh)
        self._clocks.add(seen)
        self.version += 1
        self.structs += seen.built

    def _add_keystroke(self, stroke: Keystroke) -> None:
        self.version += 1
        self._shared.has_halves = False
        if stroke.units:
            self._clocks.extend(stroke.client, stroke.units)
            self.structs += 1

    def _rebuild(self, update: bytes, broken: set[Id]) -> None:
        """Replace the document by one in which the pairs are split as in JavaScript, and update it.

        The members' documents are split already, so this makes no update of its own.
        """
        state = self.state()
        document = Document()
        with refusals():
            document.apply_part(break_pairs(state, survey(state), broken))
            document.apply_part(update)
        self._document = self._shared.document = document
