"""Replay a room's history: the text after each update, and the edit that the update made."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from pycrdt import Doc, Text, TextEvent

from .clocks import read_state_vector
from .delta import IDENTITY, Delta
from .diff import diff
from .document import ROOT
from .errors import BadUpdate, EarlyUpdate, MergeError, refusals
from .pairs import Pairs
from .replica import Replica
from .steps import Steps
from .units import delta_from_event, utf8_size
from .update_reader import survey, survey_steps
from .updates import merged

STEP_BYTES: Final = 1 << 16
"""Bytes of updates that are applied in one step, in some milliseconds."""

_PAIR = re.compile(rb"[\xf0-\xf4][\x80-\xbf]{3}")
"""The UTF-8 bytes of a character that is two UTF-16 units, or bytes that look like one."""


def may_hold_pairs(updates: Sequence[bytes]) -> bool:
    """Whether any of the updates may hold a character that is two UTF-16 units."""
    return any(map(_PAIR.search, updates))


def replica_of(updates: Sequence[bytes], *, exact: bool = False) -> Steps[Replica]:
    """Return the replica that results from all updates of a journal, applied in their order.

    Raises `MergeError` if one of them can't be applied. One that builds on another that is missing
    may be left out, unless this is to be ``exact``, which takes three times as long.
    """
    replica = Replica()
    if not updates:
        return replica
    if len(updates) == 1:
        whole = updates[0]
    elif may_hold_pairs(updates):
        with refusals():
            whole = merged(updates)
    else:
        # A replica reads each update, because one could split a surrogate pair. There are no
        # pairs here, so the replica reads only the result, a fraction of a long history.
        doc: Doc[Any] = Doc()
        ends: dict[int, int] = {}
        for some in batched(updates):
            with refusals(), doc.transaction():
                for update in some:
                    doc.apply_update(update)
            yield
            if exact:  # pycrdt keeps an update aside that comes too early, and says nothing
                with refusals():
                    together = merged(some)
                for client, _, end in survey(together).runs:
                    ends[client] = max(end, ends.get(client, 0))
                yield
        reached = read_state_vector(doc.get_state())
        if any(reached.get(client, 0) < end for client, end in ends.items()):
            raise EarlyUpdate("an update builds on one that is missing")
        whole = doc.get_update()
    yield
    seen = yield from survey_steps(whole)
    yield
    replica.apply_update(whole, seen)
    return replica


def batched(updates: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Yield runs of updates that are applied in one step: about `STEP_BYTES` each."""
    some: list[bytes] = []
    size = 0
    for update in updates:
        some.append(update)
        size += len(update)
        if size >= STEP_BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some


class Examination:
    """Finds out, from the updates of a journal in its order, whether a `Replica` must replay them.

    It must if an update splits a surrogate pair, or formats something
    (see `SharedText.is_observable`).
    """

    __slots__ = ("_pairs", "needs_replica")

    def __init__(self) -> None:
        self._pairs = Pairs()
        self.needs_replica = False

    def add(self, update: bytes) -> None:
        """Add an update."""
        try:
            seen = survey(update)
        except BadUpdate:
            return  # it is not applied either
        fresh, broken = self._pairs.find(update, seen)
        self._pairs.add(fresh)
        self.needs_replica |= seen.has_formats or bool(broken)


class Replay:
    """Replays updates of a journal, in its order, after those that add up to the update ``state``.

    A `Replica` reads each update before it applies it, because the update may come too early or
    split a surrogate pair. The updates of a journal do not come too early; so unless they are such
    that it ``needs_replica`` (see `Examination`), a pycrdt document is enough, which takes a tenth
    of the time. An update that can't be applied changes nothing, as on every node.
    """

    __slots__ = ("_doc", "_event", "_replica", "_shared", "_text")

    def __init__(self, state: bytes = b"", *, needs_replica: bool = False) -> None:
        self._text: str | None = ""
        self._replica = Replica() if needs_replica else None
        self._doc: Doc[Text] = Doc()
        self._shared = self._doc.get(ROOT, type=Text)
        self._event: list[dict[str, Any]] | None = None
        self.skip(state)

    @property
    def text(self) -> str:
        """The text after the updates played so far."""
        if self._text is None:
            self._text = str(self._shared)
        return self._text

    @property
    def size(self) -> int:
        """The size of the text in UTF-8 bytes, or more if the shared text also holds embeds."""
        return utf8_size(self.text) if self._replica is not None else len(self._shared)

    def state(self) -> bytes:
        """Return the document after the updates played so far, as one update."""
        return self._doc.get_update() if self._replica is None else self._replica.state()

    def skip(self, update: bytes) -> None:
        """Play one update without computing its edit."""
        if self._replica is not None:
            self.play(update)
        elif update:
            with contextlib.suppress(MergeError), refusals():
                self._doc.apply_update(update)
            self._text = None

    def play(self, update: bytes) -> Delta:
        """Play one update, and return its edit of the text. An empty update does nothing."""
        if not update:
            return IDENTITY
        before = self.text
        try:
            delta = self._apply(before, update)
        except MergeError:
            return IDENTITY
        self._text = delta.apply(before)
        return delta

    def _apply(self, before: str, update: bytes) -> Delta:
        if self._replica is not None:
            return self._replica.apply_update(update).delta
        self._event = None
        subscription = self._shared.observe(self._keep_event)
        try:
            with refusals():
                self._doc.apply_update(update)
        finally:
            self._shared.unobserve(subscription)
        delta = delta_from_event(before, self._event) if self._event else IDENTITY
        if delta is None or len(self._shared) != utf8_size(delta.apply(before)):
            # The shared text holds, or held, content that is not text.
            delta = Delta.from_splices(diff(before, str(self._shared)))
        return delta

    def _keep_event(self, event: TextEvent) -> None:
        self._event = event.delta  # type: ignore[attr-defined]
