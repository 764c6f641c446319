"""A room's document as one node holds it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from pycrdt import Doc, Text, TextEvent, TransactionEvent

from .delta import IDENTITY, Delta
from .diff import diff
from .errors import BadUpdate, EarlyUpdate, refusals
from .pairs import break_pairs, pairs
from .structs import Nesting, joined
from .survey import EMPTY_UPDATE, HALF, Id, Survey, read_state_vector, survey
from .units import byte_ops, delta_from_event, utf8_size

ROOT: Final = "code"
"""Name of the shared text: ``doc.getText('code')`` in JavaScript."""

MAX_UNJOINED: Final = 256
"""Structs of one update that yrs itself may join: that takes 64 kB, and grows with the square."""

_HALVES = re.compile(f"{HALF}+")


@dataclass(frozen=True, slots=True)
class Edit:
    """What changed in a replica: ``delta`` in its text, ``update`` in all of the document.

    ``update`` holds only what the replica did not have before. It is empty if nothing changed, and
    may hold something while ``delta`` is the identity: a key of a map, formatting.
    """

    delta: Delta
    update: bytes

    def __bool__(self) -> bool:
        return self.update != EMPTY_UPDATE


class Replica:
    """A Yjs document with one text, and that text as a string.

    Positions are code points. Updates are in the v1 encoding. Other shared types in the document
    are kept and synced, and never looked at. Not safe for use from several threads.

    Applying updates out of order leaves pycrdt's documents different for good, so an update whose
    foundations are missing is refused (`EarlyUpdate`) instead of being kept aside.
    """

    __slots__ = (
        "_doc",
        "_event",
        "_halves",
        "_known",
        "_nesting",
        "_pairs",
        "_plain",
        "_size",
        "_text",
        "_update",
        "text",
        "version",
    )

    text: str
    """The text, cached: to read it from pycrdt costs more than a whole edit."""

    version: int
    """Counts the updates made and applied."""

    def __init__(self, client_id: int | None = None) -> None:
        """Start empty; ``client_id`` is the Yjs id that its own edits bear, else a random one.

        Letters that were typed at one place at once are ordered by it.
        """
        self.text = ""
        self.version = 0
        self._size = 0
        self._plain = True
        self._halves = False
        self._known: dict[int, int] = {}
        self._nesting = Nesting()
        self._pairs: set[Id] = set()
        self._update: bytes | None = None
        self._event: list[dict[str, Any]] | None = None
        self._open(Doc(client_id=client_id))

    def edit(self, delta: Delta) -> bytes:
        """Apply ``delta`` in one transaction and return the update that tells others of it.

        Raises `BadText` if an insertion holds a lone surrogate, ``ValueError`` if the delta reaches
        beyond the text; the replica is unchanged then.
        """
        if delta.is_identity:
            return EMPTY_UPDATE
        before = self.text
        after = delta.apply(before)
        size = utf8_size(after)
        text = self._text
        with self._kept_update(), self._doc.transaction():
            if not self._plain:
                self._remove_foreign()
            for index, op in byte_ops(before, delta):
                if isinstance(op, str):
                    text.insert(index, op)
                else:
                    del text[index : index - op]
            assert len(text) == size, "pycrdt moved an index"
        self.text = after
        self._size = size
        return self._record_own()

    def apply_update(self, update: bytes) -> Edit:
        """Apply another's update and return what it changed here.

        What the replica has already is passed over, so applying twice is harmless. Raises
        `BadUpdate` if the bytes are no update and `EarlyUpdate` if it builds on what isn't here
        yet; the replica is unchanged then. What comes from outside goes through a `Gate`: after a
        well-encoded forgery that pycrdt fails on, also a `BadUpdate`, the replica is of no use.
        """
        seen = survey(update)
        self._refuse_early(seen)
        if seen.joinable > MAX_UNJOINED:
            update = joined(update)
            seen = survey(update)
        self.nesting_with(update, seen)
        fresh = set(pairs(update, seen)) if seen.strings else set()
        broken = self._broken(seen, fresh)
        if broken:
            event = None
            self._rebuild(break_pairs(update, seen, broken), broken)
            gained = update
        else:
            event = self._apply(update)
            gained = self._update or EMPTY_UPDATE
        self._pairs |= fresh
        self._pairs -= broken
        self._record(seen)
        self._halves = seen.has_halves
        delta = self._follow_event(event) if self._plain and not broken else None
        return Edit(self._reload_text() if delta is None else delta, gained)

    def nesting_with(self, update: bytes, seen: Survey) -> int:
        """Return how many types lie in each other where an update that is to be applied nests most.

        ``seen`` is the update's survey. An update that is not applied after this leaves the replica
        of no use.
        """
        return self._nesting.add(update) if seen.types or self._nesting else 0

    def repair(self) -> bytes | None:
        """Make the document one that text can say; return the update, or ``None`` if it is one.

        To be called after `apply_update` of what a Yjs member sent. Embeds are removed. Where that
        update brought U+FFFD, its author may be looking at half a surrogate pair, which the wire
        cannot carry: they are replaced by this replica's own, so that everyone sees the same. The
        text that `text` tells is the same before and after.
        """
        halves = list(_HALVES.finditer(self.text)) if self._halves else []
        self._halves = False
        if self._plain and not halves:
            return None
        text = self._text
        with refusals(), self._kept_update(), self._doc.transaction():
            if not self._plain:
                self._remove_foreign()
            for found in halves:
                index = utf8_size(self.text[: found.start()])
                run = found.group()
                del text[index : index + utf8_size(run)]
                text.insert(index, run)
            if len(text) != self._size:
                raise BadUpdate("the document cannot be made its text")
        return self._record_own()

    @property
    def size(self) -> int:
        """The text's size in UTF-8 bytes."""
        return self._size

    def state(self) -> bytes:
        """Return the whole document as one update."""
        return self._doc.get_update()

    def state_vector(self) -> bytes:
        """Return which updates this replica has, encoded as Yjs does."""
        return self._doc.get_state()

    def diff_since(self, state_vector: bytes) -> bytes:
        """Return what a replica with ``state_vector`` lacks. Raises `BadUpdate` if it is none."""
        read_state_vector(state_vector)
        return self._doc.get_update(state_vector)

    def has_pending(self) -> bool:
        """Whether pycrdt has put aside any of what was applied. Never compact such a replica."""
        have = read_state_vector(self._doc.get_state())
        return any(have.get(client, 0) < clock for client, clock in self._known.items())

    def check(self) -> None:
        """Assert that the cached text is the document's; for tests, it reads the document."""
        assert str(self._text) == self.text
        assert utf8_size(self.text) == self._size
        assert not self._plain or len(self._text) == self._size
        assert not self.has_pending()

    def _open(self, doc: Doc[Text]) -> None:
        self._doc = doc
        self._text = doc.get(ROOT, type=Text)

    @contextmanager
    def _kept_update(self) -> Iterator[None]:
        """Keep the update that the transaction within makes.

        The document is watched only meanwhile: pycrdt holds a callback in Rust, where Python's
        collector does not see that it leads back to its document, and neither would ever go.
        """
        self._update = None
        subscription = self._doc.observe(self._keep_update)
        try:
            yield
        finally:
            self._doc.unobserve(subscription)

    def _keep_update(self, event: TransactionEvent) -> None:
        self._update = event.update

    def _keep_event(self, event: TextEvent) -> None:
        self._event = event.delta  # type: ignore[attr-defined]

    def _apply(self, update: bytes) -> list[dict[str, Any]] | None:
        """Apply ``update`` and return the event it caused on the text, if any."""
        self._event = None
        # Watched only meanwhile, for the same reason, and for another: pycrdt computes an event
        # for every transaction while anybody watches, in time that grows with the document.
        subscription = self._text.observe(self._keep_event)
        try:
            with refusals(), self._kept_update():
                self._doc.apply_update(update)
        finally:
            self._text.unobserve(subscription)
        return self._event

    def _refuse_early(self, seen: Survey) -> None:
        known = self._known
        reach = known.copy()
        for client, start, end in seen.runs:
            here = reach.get(client, 0)
            if start > here:
                raise EarlyUpdate("updates before this one are missing")
            if end > here:
                reach[client] = end
        for client, clock in seen.needs:
            if clock >= reach.get(client, 0):
                raise EarlyUpdate("the update builds on one that is missing")
        for client, _, end in seen.deleted:
            if end > reach.get(client, 0):
                raise EarlyUpdate("the update deletes what is missing")

    def _record(self, seen: Survey) -> None:
        self.version += 1
        known = self._known
        for client, _, end in seen.runs:
            if end > known.get(client, 0):
                known[client] = end

    def _record_own(self) -> bytes:
        update = self._update or EMPTY_UPDATE
        seen = survey(update)
        self._record(seen)
        if seen.strings:
            self._pairs.update(pairs(update, seen))
        return update

    def _broken(self, seen: Survey, fresh: set[Id]) -> set[Id]:
        """Return the pairs that the update takes apart.

        JavaScript leaves a U+FFFD for each half. pycrdt moves the cut to the pair's end instead,
        and its clocks are wrong from there on.
        """
        if not self._pairs and not fresh:
            return set()
        cuts = {(client, clock - 1) for client, clock in seen.cuts}
        return cuts & self._pairs | cuts & fresh

    def _rebuild(self, update: bytes, broken: set[Id]) -> None:
        """Replace the document by one in which the pairs are apart as in JavaScript, and update it.

        The other members' documents are so already: this makes no update of its own.
        """
        state = self._doc.get_update()
        doc: Doc[Text] = Doc()
        with refusals():
            doc.apply_update(break_pairs(state, survey(state), broken))
            doc.apply_update(update)
        self._open(doc)

    def _follow_event(self, event: list[dict[str, Any]] | None) -> Delta | None:
        """Do to the cached text what an event says; return None if it does not say all of it."""
        if event is None:
            return IDENTITY
        delta = delta_from_event(self.text, event)
        if delta is None:
            return None
        after = delta.apply(self.text)
        size = utf8_size(after)
        if len(self._text) != size:
            return None
        self.text = after
        self._size = size
        return delta

    def _reload_text(self) -> Delta:
        """Take the text from the document, and tell the edit from the texts."""
        before = self.text
        self.text = str(self._text)
        self._size = utf8_size(self.text)
        self._plain = len(self._text) == self._size
        return Delta.from_splices(diff(before, self.text))

    def _remove_foreign(self) -> None:
        """Delete whatever the shared text holds that is no text, inside a transaction."""
        text = self._text
        index = 0
        foreign: list[int] = []
        for content, _ in text.diff():
            if isinstance(content, str):
                index += utf8_size(content)
            else:
                foreign.append(index)
                index += 1
        for index in reversed(foreign):
            del text[index]
        if len(text) != self._size:
            # Contents that only a forged update can hold count more than one, or are not shown.
            text.clear()
            text.insert(0, self.text)
        self._plain = True
