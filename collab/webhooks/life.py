"""What has happened to a room since somebody last looked: decided without Redis and event loop.

The journal is the truth: a room lives as long as it has one, and its epoch names that life. All
times are milliseconds since 1970, by the clock of the Redis that has the registry.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from enum import StrEnum
from typing import Final

NOTED_LOOK: Final = 5_000
"""Milliseconds between looks whether the journal that a node was about to begin is there."""
NOTED_PATIENCE: Final = 60_000
"""Milliseconds after which it is not expected any more: the node has died before it began it."""
LOST_LOOK: Final = 30_000
"""Milliseconds between looks at a room that Redis has lost: its holders write it back."""
LEAD_LOOK: Final = 30_000
"""Milliseconds at most between looks at a room that expires soon while it has members."""
TOLERANCE: Final = 1_000
"""Milliseconds around a room's deadline in which a missing room counts as expired."""


class Phase(StrEnum):
    """Where a room is in its life; only ``NOTED`` rooms have not been announced yet."""

    NOTED = "noted"
    ACTIVE = "active"
    IDLE = "idle"
    EXPIRING = "expiring"


class Kind(StrEnum):
    """The types of events."""

    OPENED = "room.opened"
    IDLE = "room.idle"
    EXPIRING = "room.expiring"
    ENDED = "room.ended"


@dataclass(frozen=True, slots=True)
class State:
    """What the registry knows of a room.

    ``look_at`` is when to look even if the room has members. ``since`` is the beginning of the
    phase. ``epoch``, ``deadline`` and ``ended`` (the newest of its ends) are of the last look.
    ``sent`` is the last entry in the text that was sent because the room was about to expire,
    ``kept`` that of the text that is kept for its end.
    """

    phase: Phase
    look_at: int
    since: int
    deadline: int
    epoch: str = ""
    ended: str = ""
    sent: str = ""
    kept: str = ""

    def pack(self) -> str:
        """Return the state as Redis has it: words, of which the scripts read the first two."""
        return " ".join(str(each) or "-" for each in astuple(self))

    @classmethod
    def parse(cls, packed: str) -> State | None:
        """Read what `pack` returned, or None for ''. Raises ValueError."""
        if not packed:
            return None
        phase, look_at, since, deadline, *texts = packed.split(" ")
        epoch, ended, sent, kept = ("" if text == "-" else text for text in texts)
        return cls(Phase(phase), int(look_at), int(since), int(deadline), epoch, ended, sent, kept)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A room as it was found ``now``; ``epoch`` and ``tail`` are '' if it has no journal.

    ``ended`` is the newest name in its list of ends.
    """

    now: int
    epoch: str
    tail: str
    deadline: int
    ended: str


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a room has no members until it is idle, and how long before its expiry it is told.

    In milliseconds.
    """

    idle: int
    lead: int


@dataclass(frozen=True, slots=True)
class Happened:
    """One event; ``epoch`` names the life of the room that it is about."""

    kind: Kind
    epoch: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """The state of a room now, None to forget it, when to look again, and what has happened.

    ``keeps_text`` says that the present text is to be kept for the event of the room's end,
    ``drops_text`` that a text that was kept is not needed any more.
    """

    state: State | None
    look_at: int
    events: tuple[Happened, ...] = ()
    keeps_text: bool = False
    drops_text: bool = False


def decide(
    state: State | None, seen: Sighting, attended: int, timing: Timing, members: int | None = None
) -> Decision | None:
    """Return what has happened to a room; None if that depends on how many ``members`` it has.

    ``attended`` is the time until which nodes have said that the room has members. To count them
    costs a question to all nodes, so it is done only if the answer decides.
    """
    if state is None or state.phase is Phase.NOTED:
        return _opened(state, seen, timing)
    if seen.epoch != state.epoch:
        if _is_over(state, seen):
            return _ended(state, seen, timing)
        if not seen.epoch:  # Redis has lost it, and who holds it writes it back
            return Decision(state, min(seen.now + LOST_LOOK, state.deadline + TOLERANCE))
        state = replace(state, epoch=seen.epoch)
    state = replace(state, deadline=seen.deadline, ended=seen.ended)
    if seen.now >= seen.deadline - timing.lead:
        if attended > seen.now:
            return _expiring(state, seen, timing, held=True)
        return None if members is None else _expiring(state, seen, timing, held=members > 0)
    return _living(
        replace(state, look_at=seen.deadline - timing.lead), seen, attended, timing, members
    )


def _opened(state: State | None, seen: Sighting, timing: Timing) -> Decision:
    if seen.epoch:
        lives = _new_life(seen, timing)
        look_at = min(seen.now + timing.idle, lives.look_at)
        return Decision(lives, look_at, (Happened(Kind.OPENED, seen.epoch),))
    if state is None or seen.now >= state.since + NOTED_PATIENCE:
        return Decision(None, 0)
    return Decision(state, seen.now + NOTED_LOOK)


def _new_life(seen: Sighting, timing: Timing) -> State:
    look_at = seen.deadline - timing.lead
    return State(Phase.ACTIVE, look_at, seen.now, seen.deadline, seen.epoch, seen.ended)


def _is_over(state: State, seen: Sighting) -> bool:
    """Whether the life that ``state`` is about has ended, and was not just lost by Redis."""
    was_ended = bool(seen.ended) and seen.ended != state.ended
    return was_ended or seen.now >= state.deadline - TOLERANCE


def _ended(state: State, seen: Sighting, timing: Timing) -> Decision:
    was_ended = bool(seen.ended) and seen.ended != state.ended
    end = Happened(Kind.ENDED, state.epoch, "ended" if was_ended else "expired")
    if not seen.epoch:
        return Decision(None, 0, (end,), drops_text=True)
    next_life = _opened(None, seen, timing)
    return replace(next_life, events=(end, *next_life.events), drops_text=True)


def _expiring(state: State, seen: Sighting, timing: Timing, *, held: bool) -> Decision:
    """Decide about a room that expires soon.

    While members hold it its text is only kept, since they may go on. If they do not, the event of
    its end has that text: afterwards the text is nowhere but on their screens.
    """
    if held:
        look_at = min(seen.now + min(LEAD_LOOK, timing.lead // 4), seen.deadline + TOLERANCE)
        since = state.since if state.phase is Phase.ACTIVE else seen.now
        lives = replace(state, phase=Phase.ACTIVE, look_at=look_at, since=since)
        if seen.tail in (state.kept, state.sent):
            return Decision(lives, look_at)
        return Decision(replace(lives, kept=seen.tail), look_at, keeps_text=True)
    look_at = seen.deadline + TOLERANCE
    lives = replace(state, phase=Phase.EXPIRING, look_at=look_at, since=seen.now)
    if seen.tail == state.sent:
        return Decision(lives, look_at)
    event = Happened(Kind.EXPIRING, seen.epoch)
    return Decision(replace(lives, sent=seen.tail, kept=""), look_at, (event,), drops_text=True)


def _living(
    state: State, seen: Sighting, attended: int, timing: Timing, members: int | None
) -> Decision | None:
    if attended > seen.now or members:
        if state.phase is not Phase.ACTIVE:
            state = replace(state, phase=Phase.ACTIVE, since=seen.now)
        return Decision(state, min(max(attended, seen.now) + timing.idle, state.look_at))
    if state.phase is not Phase.ACTIVE:  # a change without members has put off its expiry
        return Decision(replace(state, phase=Phase.IDLE), state.look_at)
    idle_at = max(attended, state.since) + timing.idle
    if seen.now < idle_at:
        return Decision(state, min(idle_at, state.look_at))
    if members is None:
        return None
    idle = replace(state, phase=Phase.IDLE, since=seen.now)
    return Decision(idle, state.look_at, (Happened(Kind.IDLE, seen.epoch),))
