"""The states of a room's journal on one node, and the transitions between them.

Pure: no event loop, no Redis. `Journal` does the `Work` that `JournalState.start` returns. Answers
of Redis and announcements become an `Event`: `TRANSITIONS` has the effects of each event, and
`AFTER_FAILURE` the effects of work that failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, auto

REFUSALS_BEFORE_APPEND = 3
"""Refusals in a row after which a node appends without setting the snapshot (a saturated room)."""


class Phase(IntEnum):
    """The relation of a node to a room's journal."""

    LOADING = auto()
    """No member has seen the replica yet."""
    ABSENT = auto()
    """As far as the node knows, Redis has no journal: nobody has begun one, or it has expired.
    Nothing is written until the next change, which begins a journal."""
    FOLLOWING = auto()
    """The replica has the journal's entries up to the last that was applied."""
    ENDED = auto()
    """Somebody has ended the room. Nothing is written any more."""
    CLOSED = auto()
    """The node has closed the room."""


class Work(IntEnum):
    """The kinds of work, the most urgent first."""

    RELOAD = auto()
    """Read the whole journal, because the replica may differ from it."""
    CATCH_UP = auto()
    """Read the journal behind the last entry that was applied; begin one if there is none."""
    COMPACT = auto()
    """Merge the older half of the journal into its base. Compaction comes before commits, because
    otherwise the journal of a room that is always busy would grow without bound."""
    COMMIT = auto()
    """Append the updates that wait. No event makes it due: it is due while any update waits."""
    CHECK = auto()
    """Compare epoch, tail and snapshot in Redis with those of this node."""
    SETTLE = auto()
    """Set the snapshot, if the replica is what the journal adds up to."""


class Event(IntEnum):
    """A change of the journal, or of what the node knows about it."""

    LOADED = auto()
    """The room was loaded and has a journal."""
    LOADED_EMPTY = auto()
    """The room was loaded and has no journal."""
    FOLLOWED = auto()
    """An entry of the journal was applied, or the node has read to its end."""
    CONFIRMED = auto()
    """Redis has the commit that was in flight."""
    REFUSED = auto()
    """Redis refused a commit because another node was first."""
    MISSED = auto()
    """The journal has, or may have, entries that this node lacks, or it was replaced or deleted."""
    DISTRUSTED = auto()
    """The replica could not apply the next entry, or work ended in an unexpected error."""
    CHECK_REQUESTED = auto()
    """It is time to compare with Redis."""
    SNAPSHOT_SET = auto()
    """A commit has set the snapshot to what the journal adds up to."""
    SNAPSHOT_OWED = auto()
    """The snapshot lacks entries: a commit was appended behind entries that the node had missed."""
    SNAPSHOT_WRONG = auto()
    """The snapshot was set at the journal's tail, but differs from the replica's text."""
    TOO_LONG = auto()
    """The journal exceeds its bounds."""
    EXPIRED = auto()
    """The room's deadline has passed, and Redis has nothing of the room."""
    ENDED = auto()
    """Somebody has ended the room since this node loaded it."""
    CLOSED = auto()
    """The node closes the room."""


@dataclass(frozen=True, slots=True)
class Transition:
    """The effects of an event.

    ``phases`` maps the phase before to the phase after; a phase that is not in it does not change.
    ``due`` is the work that becomes due, ``dropped`` the work that is no longer due.
    """

    phases: Mapping[Phase, Phase] = field(default_factory=dict)
    due: Iterable[Work] = ()
    dropped: Iterable[Work] = ()


_OPEN = (Phase.LOADING, Phase.ABSENT, Phase.FOLLOWING)

TRANSITIONS: Mapping[Event, Transition] = {
    Event.LOADED: Transition({Phase.LOADING: Phase.FOLLOWING}),
    Event.LOADED_EMPTY: Transition({Phase.LOADING: Phase.ABSENT}),
    Event.FOLLOWED: Transition({Phase.ABSENT: Phase.FOLLOWING}),
    Event.CONFIRMED: Transition({Phase.ABSENT: Phase.FOLLOWING}),
    Event.REFUSED: Transition(),
    Event.MISSED: Transition(due=[Work.CATCH_UP]),
    Event.DISTRUSTED: Transition(due=[Work.RELOAD]),
    Event.CHECK_REQUESTED: Transition(due=[Work.CHECK]),
    Event.SNAPSHOT_SET: Transition(dropped=[Work.SETTLE]),
    Event.SNAPSHOT_OWED: Transition(due=[Work.SETTLE]),
    Event.SNAPSHOT_WRONG: Transition(due=[Work.RELOAD, Work.SETTLE]),
    Event.TOO_LONG: Transition(due=[Work.COMPACT]),
    Event.EXPIRED: Transition({Phase.FOLLOWING: Phase.ABSENT}),
    Event.ENDED: Transition(dict.fromkeys(_OPEN, Phase.ENDED), dropped=Work),
    Event.CLOSED: Transition(dict.fromkeys(_OPEN, Phase.CLOSED), dropped=Work),
}

AFTER_FAILURE: Mapping[Work, Iterable[Work]] = {
    Work.RELOAD: [Work.RELOAD],
    Work.CATCH_UP: [Work.CATCH_UP],
    Work.COMPACT: [],  # the next commit makes it due again, and must not wait for it
    Work.COMMIT: [Work.CATCH_UP],  # the commit may be in the journal in spite of the failure
    Work.CHECK: [Work.CHECK],
    Work.SETTLE: [Work.SETTLE],
}
"""The work that is due after work that failed."""

TO_COMMIT: Mapping[Phase, Work] = {Phase.ABSENT: Work.CATCH_UP, Phase.FOLLOWING: Work.COMMIT}
"""The work that is due while any update waits. No update waits while a room is being loaded, and
updates that wait fail when the room ends or closes."""


class JournalState:
    """The phase of one journal, the work that is due for it, and the refusals in a row."""

    def __init__(self) -> None:
        self.phase = Phase.LOADING
        self.over = False
        """Whether nothing is written any more."""
        self.due: set[Work] = set()
        self._running: Work | None = None
        self._refusals = 0

    @property
    def may_append(self) -> bool:
        """Whether a commit may be appended behind entries that the node has not seen."""
        return self._refusals >= REFUSALS_BEFORE_APPEND

    def on(self, event: Event) -> None:
        """Apply the effects of an event."""
        transition = TRANSITIONS[event]
        if self.phase in transition.phases:
            self.phase = transition.phases[self.phase]
            self.over = self.phase in (Phase.ENDED, Phase.CLOSED)
        if transition.due:
            self.due.update(transition.due)
        if self.due:
            self.due.difference_update(transition.dropped)
        if event is Event.REFUSED:
            self._refusals += 1
        elif event is Event.CONFIRMED:
            self._refusals = 0

    def next(self, *, waiting: bool) -> Work | None:
        """Return the most urgent work; ``waiting`` says whether any update waits for a commit."""
        commit = TO_COMMIT.get(self.phase) if waiting else None
        if self.over or not self.due:
            return commit
        return min(self.due if commit is None else {*self.due, commit})

    def start(self, *, waiting: bool) -> Work | None:
        """Return the work to do now; None if there is none. Call `finish` when it has succeeded.

        If `finish` was not called for the previous work, that work counts as failed. Work that is
        requested from now on is due after this work, even if it is of the same kind: the reason may
        be newer than the data that this work reads.
        """
        if self._running is not None:
            self.due.update(AFTER_FAILURE[self._running])
        self._running = work = self.next(waiting=waiting)
        if work is not None:
            self.due.discard(work)
        if work is Work.RELOAD:
            self.due.discard(Work.CATCH_UP)
        return work

    def finish(self) -> None:
        """Record that the started work has succeeded."""
        self._running = None
