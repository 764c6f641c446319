"""The states of a room's journal on one node, and what leads from one to the next.

Pure: no event loop, no Redis. `Journal` does the `Work` that `JournalState.start` returns. Each
answer of Redis and each announcement is an `Event`: `TRANSITIONS` says what it leads to, and
`AFTER_FAILURE` what a failure leads to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum, auto

REFUSALS_BEFORE_APPEND = 3
"""Refusals in a row after which a node appends without setting the snapshot (a saturated room)."""


class Phase(Enum):
    """How a node stands to a room's journal."""

    LOADING = auto()
    """No member has seen the replica yet."""
    ABSENT = auto()
    """Redis has no journal, as far as the node knows: it was never begun, or it has expired.
    Nothing is written until the next change, which begins a journal."""
    FOLLOWING = auto()
    """The replica has the journal's entries up to the last that was applied."""
    ENDED = auto()
    """Somebody has ended the room: nothing more is written."""
    CLOSED = auto()
    """The node has let the room go."""


class Work(IntEnum):
    """What may be due, the most urgent first."""

    RELOAD = auto()
    """Read the whole journal: what was read before is not trusted."""
    CATCH_UP = auto()
    """Read the journal behind the last entry that was applied; begin one if there is none."""
    COMPACT = auto()
    """Make the older half of the journal its base. It comes before committing: a room that never
    rests would otherwise grow without bound."""
    COMMIT = auto()
    """Append what waits. Nothing asks for it: it is due while anything waits."""
    CHECK = auto()
    """Compare epoch, tail and snapshot in Redis with what is here."""
    SETTLE = auto()
    """Set the snapshot, if the replica is what the journal adds up to."""


class Event(Enum):
    """What happened to the journal, or to what the node knows of it."""

    LOADED = auto()
    """The room is loaded, and has a journal."""
    LOADED_EMPTY = auto()
    """The room is loaded, and has no journal."""
    FOLLOWED = auto()
    """An entry of the journal was applied, or its end was reached."""
    CONFIRMED = auto()
    """Redis has the commit that was in flight."""
    REFUSED = auto()
    """A commit was refused because others were first."""
    MISSED = auto()
    """The journal has, or may have, entries that are not here; or it is another, or gone."""
    DISTRUSTED = auto()
    """The replica cannot take an entry that is the next, or a step of the work went wrong."""
    CHECK_REQUESTED = auto()
    """It is time to compare with Redis."""
    SNAPSHOT_SET = auto()
    """A commit has set the snapshot to what the journal adds up to."""
    SNAPSHOT_OWED = auto()
    """The snapshot lacks entries: a commit was appended behind some that the node had not seen."""
    SNAPSHOT_WRONG = auto()
    """The snapshot was set for the journal's tail, and is another text than the replica's."""
    TOO_LONG = auto()
    """The journal is over its bounds."""
    EXPIRED = auto()
    """The room's time is up, and Redis has nothing of it."""
    ENDED = auto()
    """The room was ended since it was loaded here."""
    CLOSED = auto()
    """The node lets the room go."""


@dataclass(frozen=True, slots=True)
class Transition:
    """What an event leads to.

    ``phases`` maps the phase before to the phase after; a phase that is not in it stays. ``due`` is
    the work that is due from then on, ``dropped`` the work that no longer is.
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
    Work.COMPACT: [],  # the next commit asks for it again, and must not wait for it
    Work.COMMIT: [Work.CATCH_UP],  # the commit may be in the journal all the same
    Work.CHECK: [Work.CHECK],
    Work.SETTLE: [Work.SETTLE],
}
"""What is due after work that did not succeed."""

TO_COMMIT: Mapping[Phase, Work] = {Phase.ABSENT: Work.CATCH_UP, Phase.FOLLOWING: Work.COMMIT}
"""What is due while anything waits to be committed. Nothing waits in a room that is being loaded,
and what waits in one that has ended or is closed is given up."""


class JournalState:
    """The phase of one journal, the work that is due for it, and the refusals in a row."""

    def __init__(self) -> None:
        self.phase = Phase.LOADING
        self.due: set[Work] = set()
        self._running: Work | None = None
        self._refusals = 0

    @property
    def over(self) -> bool:
        """Whether nothing more is written."""
        return self.phase in (Phase.ENDED, Phase.CLOSED)

    @property
    def may_append(self) -> bool:
        """Whether a commit may be appended behind entries that the node has not seen."""
        return self._refusals >= REFUSALS_BEFORE_APPEND

    def on(self, event: Event) -> None:
        """Go where an event leads."""
        transition = TRANSITIONS[event]
        self.phase = transition.phases.get(self.phase, self.phase)
        self.due.update(transition.due)
        self.due.difference_update(transition.dropped)
        if event is Event.REFUSED:
            self._refusals += 1
        elif event is Event.CONFIRMED:
            self._refusals = 0

    def next(self, *, waiting: bool) -> Work | None:
        """Return the most urgent work; ``waiting`` says whether anything is to be committed."""
        if self.over:
            return None
        commit = TO_COMMIT.get(self.phase) if waiting else None
        if not self.due:
            return commit
        return min(self.due if commit is None else {*self.due, commit})

    def start(self, *, waiting: bool) -> Work | None:
        """Return the work to do now; None if there is none. Call `finish` when it has succeeded.

        If the work before was not finished, it has failed. What is asked for from now on is due
        after this work, even if it is the same: it may be later than what this work sees.
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
        """The work that was started has succeeded."""
        self._running = None
