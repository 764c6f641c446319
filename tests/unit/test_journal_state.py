"""The states of a journal: every event in every phase, and the order of the work."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from pathlib import Path

import pytest

from collab.rooms.journal_state import (
    AFTER_FAILURE,
    REFUSALS_BEFORE_APPEND,
    TO_COMMIT,
    TRANSITIONS,
    Event,
    JournalState,
    Phase,
    Work,
)

DOCS = Path(__file__).resolve().parents[2] / "docs" / "journal.md"

PHASES = {
    (Phase.LOADING, Event.LOADED): Phase.FOLLOWING,
    (Phase.LOADING, Event.LOADED_EMPTY): Phase.ABSENT,
    (Phase.LOADING, Event.ENDED): Phase.ENDED,
    (Phase.LOADING, Event.CLOSED): Phase.CLOSED,
    (Phase.ABSENT, Event.FOLLOWED): Phase.FOLLOWING,
    (Phase.ABSENT, Event.CONFIRMED): Phase.FOLLOWING,
    (Phase.ABSENT, Event.ENDED): Phase.ENDED,
    (Phase.ABSENT, Event.CLOSED): Phase.CLOSED,
    (Phase.FOLLOWING, Event.EXPIRED): Phase.ABSENT,
    (Phase.FOLLOWING, Event.ENDED): Phase.ENDED,
    (Phase.FOLLOWING, Event.CLOSED): Phase.CLOSED,
}
"""The phase after each event in each phase; all others do not change the phase."""

DUE = {
    Event.MISSED: {Work.CATCH_UP},
    Event.DISTRUSTED: {Work.RELOAD},
    Event.CHECK_REQUESTED: {Work.CHECK},
    Event.SNAPSHOT_OWED: {Work.SETTLE},
    Event.SNAPSHOT_WRONG: {Work.RELOAD, Work.SETTLE},
    Event.TOO_LONG: {Work.COMPACT},
}
"""The work that each event makes due; all others make none due."""

WAYS: dict[Phase, list[Event]] = {
    Phase.LOADING: [],
    Phase.ABSENT: [Event.LOADED_EMPTY],
    Phase.FOLLOWING: [Event.LOADED],
    Phase.ENDED: [Event.LOADED, Event.ENDED],
    Phase.CLOSED: [Event.LOADED, Event.CLOSED],
}


def in_phase(phase: Phase, *events: Event) -> JournalState:
    """Return a state in a phase, after some events in that phase."""
    state = JournalState()
    for event in (*WAYS[phase], *events):
        state.on(event)
    assert state.phase is phase
    return state


def works(state: JournalState, *, waiting: bool = False) -> list[Work]:
    """Do all due work with success, and return it in order. One commit takes all that waits."""
    done: list[Work] = []
    while work := state.start(waiting=waiting and Work.COMMIT not in done):
        done.append(work)
        state.finish()
    return done


@pytest.mark.parametrize("phase, event", list(product(Phase, Event)))
def test_each_event_leads_from_each_phase_where_the_table_says(phase: Phase, event: Event) -> None:
    state = in_phase(phase)
    state.on(event)
    assert state.phase is PHASES.get((phase, event), phase)
    assert state.due == DUE.get(event, set())


@pytest.mark.parametrize("event", Event)
def test_an_event_keeps_the_work_that_is_due_except_what_it_drops(event: Event) -> None:
    state = in_phase(Phase.FOLLOWING)
    state.due = set(Work)
    state.on(event)
    dropped: dict[Event, set[Work]] = {
        Event.SNAPSHOT_SET: {Work.SETTLE},
        Event.ENDED: set(Work),
        Event.CLOSED: set(Work),
    }
    assert state.due == set(Work) - dropped.get(event, set())


def test_due_work_is_done_in_the_order_of_its_urgency() -> None:
    state = in_phase(
        Phase.FOLLOWING, Event.SNAPSHOT_OWED, Event.CHECK_REQUESTED, Event.TOO_LONG, Event.MISSED
    )
    assert works(state, waiting=True) == [
        Work.CATCH_UP, Work.COMPACT, Work.COMMIT, Work.CHECK, Work.SETTLE,
    ]  # fmt: skip


def test_a_reload_includes_catching_up() -> None:
    state = in_phase(Phase.FOLLOWING, Event.MISSED, Event.DISTRUSTED)
    assert works(state) == [Work.RELOAD]


@pytest.mark.parametrize("phase", Phase)
def test_updates_that_wait_are_committed_or_begin_a_journal(
    phase: Phase,
) -> None:
    wanted = {Phase.ABSENT: Work.CATCH_UP, Phase.FOLLOWING: Work.COMMIT}
    assert in_phase(phase).next(waiting=True) == wanted.get(phase) == TO_COMMIT.get(phase)
    assert in_phase(phase).next(waiting=False) is None


@pytest.mark.parametrize("phase", [Phase.ENDED, Phase.CLOSED])
@pytest.mark.parametrize("event", Event)
def test_nothing_is_done_for_a_room_that_has_ended_or_is_closed(phase: Phase, event: Event) -> None:
    state = in_phase(phase, event)
    assert state.over
    assert state.start(waiting=True) is None


@pytest.mark.parametrize("work", Work)
def test_work_that_failed_is_due_again_until_it_has_succeeded(work: Work) -> None:
    again = {Work.COMMIT: Work.CATCH_UP, Work.COMPACT: None}
    state = in_phase(Phase.FOLLOWING)
    state.due = {work}
    assert state.start(waiting=False) is work
    for _ in range(3):
        assert state.start(waiting=False) is again.get(work, work)
    state.finish()
    assert works(state) == []
    assert set(AFTER_FAILURE) == set(Work)


def test_a_compaction_that_fails_keeps_no_commit_waiting() -> None:
    state = in_phase(Phase.FOLLOWING, Event.TOO_LONG)
    assert state.start(waiting=True) is Work.COMPACT
    assert state.start(waiting=True) is Work.COMMIT


@pytest.mark.parametrize("event", [Event.MISSED, Event.DISTRUSTED, Event.CHECK_REQUESTED])
def test_work_requested_while_it_is_running_is_done_again(event: Event) -> None:
    """A commit announced while the journal is being read may be newer than the reading."""
    state = in_phase(Phase.FOLLOWING, event)
    work = state.start(waiting=False)
    state.on(event)
    state.finish()
    assert works(state) == [work]


def test_a_snapshot_that_is_owed_is_settled_unless_a_later_commit_sets_it() -> None:
    state = in_phase(Phase.FOLLOWING, Event.SNAPSHOT_OWED)
    assert works(state) == [Work.SETTLE]
    state.on(Event.SNAPSHOT_OWED)
    state.on(Event.SNAPSHOT_SET)
    assert works(state) == []


def test_a_node_appends_after_several_refusals_in_a_row_and_a_success_ends_the_row() -> None:
    state = in_phase(Phase.FOLLOWING)
    for _ in range(2):
        for _ in range(REFUSALS_BEFORE_APPEND):
            assert not state.may_append
            state.on(Event.REFUSED)
        assert state.may_append
        state.on(Event.CONFIRMED)
    assert not state.may_append


def names(parts: Iterable[Phase | Work]) -> str:
    found = list(dict.fromkeys(parts))
    return "all" if found == list(Work) else " ".join(f"`{part.name}`" for part in found)


@pytest.mark.parametrize("event", Event)
def test_the_documentation_has_the_table(event: Event) -> None:
    lines = [line.strip("|") for line in DOCS.read_text().splitlines() if line.startswith("| `")]
    rows = [[cell.strip() for cell in line.split("|")] for line in lines]
    transition = TRANSITIONS[event]
    before, after = names(transition.phases), names(transition.phases.values())
    phases = f"{before} → {after}" if after else ""
    row = [f"`{event.name}`", phases, names(transition.due), names(transition.dropped)]
    assert row in rows
