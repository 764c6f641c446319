"""What has happened to a room, for each state and each sighting."""

from __future__ import annotations

from dataclasses import replace

import pytest

from collab.webhooks.life import (
    NOTED_PATIENCE,
    TOLERANCE,
    Decision,
    Phase,
    Sighting,
    State,
    Timing,
    decide,
)

NOW = 1_700_000_000_000
MINUTE = 60_000
TIMING = Timing(idle=MINUTE, lead=5 * MINUTE)
DEADLINE = NOW + 30 * MINUTE
SEEN = Sighting(NOW, "e1", "5-1", DEADLINE, "")
GONE = replace(SEEN, epoch="", tail="", deadline=NOW)
ACTIVE = State(Phase.ACTIVE, DEADLINE - 5 * MINUTE, NOW - 10 * MINUTE, DEADLINE, "e1")
LATE = replace(SEEN, now=DEADLINE - MINUTE)


def told(decision: Decision | None) -> list[str]:
    assert decision is not None
    return [event.kind.removeprefix("room.") for event in decision.events]


def then(decision: Decision | None) -> State:
    assert decision is not None and decision.state is not None
    return decision.state


@pytest.mark.parametrize("state", [None, State(Phase.NOTED, NOW, NOW, 0)], ids=str)
def test_a_room_is_opened_when_its_journal_is_seen(state: State | None) -> None:
    decision = decide(state, SEEN, 0, TIMING)
    assert told(decision) == ["opened"] and then(decision).phase is Phase.ACTIVE
    assert decision is not None and decision.look_at == NOW + MINUTE


def test_a_journal_that_was_to_begin_is_waited_for_but_not_for_ever() -> None:
    noted = State(Phase.NOTED, NOW, NOW, 0)
    waits = decide(noted, replace(GONE, now=NOW + NOTED_PATIENCE - 1), 0, TIMING)
    assert told(waits) == [] and then(waits) == noted
    assert decide(noted, replace(GONE, now=NOW + NOTED_PATIENCE), 0, TIMING) == Decision(None, 0)


def test_a_room_is_idle_once_and_only_if_nobody_is_in_it() -> None:
    assert decide(ACTIVE, SEEN, NOW - 2 * MINUTE, TIMING) is None, "it depends on the members"
    there = decide(ACTIVE, SEEN, NOW - 2 * MINUTE, TIMING, members=1)
    assert told(there) == [] and then(there).phase is Phase.ACTIVE
    idle = decide(ACTIVE, SEEN, NOW - 2 * MINUTE, TIMING, members=0)
    assert told(idle) == ["idle"] and then(idle).phase is Phase.IDLE
    again = decide(then(idle), replace(SEEN, now=NOW + MINUTE), NOW - 2 * MINUTE, TIMING)
    assert told(again) == [] and then(again) == then(idle)


def test_a_room_with_members_is_looked_at_when_they_would_have_been_away_long_enough() -> None:
    decision = decide(ACTIVE, SEEN, NOW + 20_000, TIMING)
    assert decision is not None and decision.look_at == NOW + 20_000 + MINUTE


def test_a_room_becomes_active_again_when_somebody_comes_back() -> None:
    idle = replace(ACTIVE, phase=Phase.IDLE)
    back = decide(idle, SEEN, NOW + 1, TIMING)
    assert told(back) == [] and then(back).phase is Phase.ACTIVE and then(back).since == NOW


def test_a_room_that_expires_soon_is_told_once_for_each_text() -> None:
    assert decide(ACTIVE, LATE, 0, TIMING) is None
    first = decide(ACTIVE, LATE, 0, TIMING, members=0)
    assert told(first) == ["expiring"] and then(first).sent == "5-1"
    assert first is not None and first.look_at == DEADLINE + TOLERANCE
    assert told(decide(then(first), LATE, 0, TIMING, members=0)) == []
    more = replace(LATE, tail="6-1")
    assert told(decide(then(first), more, 0, TIMING, members=0)) == ["expiring"]


def test_a_room_that_expires_soon_with_members_is_not_told_but_its_text_is_kept_once() -> None:
    said = decide(ACTIVE, LATE, LATE.now + 1, TIMING)
    held = decide(ACTIVE, LATE, NOW, TIMING, members=2)
    assert said == held is not None and held.keeps_text and told(held) == []
    assert held.look_at < DEADLINE
    again = decide(then(held), LATE, NOW, TIMING, members=2)
    assert again is not None and not again.keeps_text
    left = decide(then(held), LATE, NOW, TIMING, members=0)
    assert told(left) == ["expiring"] and left is not None and left.drops_text


def test_a_change_puts_off_the_expiry_of_a_room_that_nobody_is_in() -> None:
    expiring = replace(ACTIVE, phase=Phase.EXPIRING, sent="5-1")
    later = decide(expiring, replace(SEEN, tail="6-1"), 0, TIMING)
    assert told(later) == [] and then(later).phase is Phase.IDLE


@pytest.mark.parametrize("phase", [Phase.ACTIVE, Phase.IDLE, Phase.EXPIRING])
def test_a_room_has_expired_if_it_is_gone_after_its_deadline(phase: Phase) -> None:
    decision = decide(replace(ACTIVE, phase=phase), replace(GONE, now=DEADLINE), 0, TIMING)
    assert told(decision) == ["ended"] and decision is not None and decision.state is None
    assert (decision.events[0].reason, decision.events[0].epoch) == ("expired", "e1")


def test_a_room_that_is_gone_before_its_deadline_was_lost_and_is_waited_for() -> None:
    lost = decide(ACTIVE, GONE, 0, TIMING)
    assert told(lost) == [] and then(lost) == ACTIVE
    back = decide(ACTIVE, replace(SEEN, epoch="e2"), NOW + 1, TIMING)
    assert told(back) == [] and then(back).epoch == "e2", "its holders have written it back"


def test_a_room_was_ended_if_its_list_of_ends_has_another_one() -> None:
    ended = decide(ACTIVE, replace(GONE, ended="x"), 0, TIMING)
    assert told(ended) == ["ended"] and ended is not None and ended.events[0].reason == "ended"
    same = decide(replace(ACTIVE, ended="x"), replace(SEEN, ended="x"), NOW + 1, TIMING)
    assert told(same) == [], "that was an earlier room"


@pytest.mark.parametrize("end", ["", "x"])
def test_a_later_room_of_the_name_is_told_after_the_end_of_the_earlier(end: str) -> None:
    seen = Sighting(DEADLINE, "e2", "9-1", DEADLINE + 30 * MINUTE, end)
    decision = decide(ACTIVE, seen, 0, TIMING)
    assert told(decision) == ["ended", "opened"] and then(decision).epoch == "e2"
    assert decision is not None
    assert [event.epoch for event in decision.events] == ["e1", "e2"]
    assert then(decision).ended == end and then(decision).sent == ""


def test_a_state_is_the_same_after_redis_had_it() -> None:
    for state in (ACTIVE, replace(ACTIVE, ended="x", sent="1-1", kept="2-2", epoch="")):
        assert State.parse(state.pack()) == state
    assert State.parse("") is None
