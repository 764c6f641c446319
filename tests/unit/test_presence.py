"""The roster: what nodes tell each other about who is there."""

from __future__ import annotations

import pytest

from collab.rooms.presence import SILENCE, Roster

INTERVAL = 8.0


def names(roster: Roster) -> list[str]:
    return [person.name for person in roster.people()]


def test_two_nodes_that_heard_each_other_show_the_same_list() -> None:
    a, b = Roster("a", INTERVAL), Roster("b", INTERVAL)
    a.enter("1", "Ada")
    b.enter("2", "Bob")
    assert b.hear(a.report(ask=True), 0.0) == (True, True)
    assert a.hear(b.report(ask=False), 0.0) == (True, False)
    assert a.people() == b.people() and names(a) == ["Ada", "Bob"]


def test_a_report_that_says_the_same_changes_nothing() -> None:
    a, b = Roster("a", INTERVAL), Roster("b", INTERVAL)
    a.enter("1", "Ada")
    assert b.hear(a.report(ask=False), 0.0)[0] and not b.hear(a.report(ask=False), 1.0)[0]


def test_who_leaves_is_gone_with_the_next_report() -> None:
    a, b = Roster("a", INTERVAL), Roster("b", INTERVAL)
    a.enter("1", "Ada")
    b.hear(a.report(ask=False), 0.0)
    a.leave("1")
    assert b.hear(a.report(ask=False), 1.0) == (True, False) and names(b) == []


def test_a_node_does_not_take_its_own_report_for_somebody_elses() -> None:
    a = Roster("a", INTERVAL)
    a.enter("1", "Ada")
    assert a.hear(a.report(ask=True), 0.0) == (False, False) and names(a) == ["Ada"]


def test_a_silent_nodes_people_are_gone_within_thirty_seconds() -> None:
    a, b = Roster("a", INTERVAL), Roster("b", INTERVAL)
    a.enter("1", "Ada")
    b.hear(a.report(ask=False), 100.0)
    assert not b.expire(100.0 + SILENCE * INTERVAL) and names(b) == ["Ada"]
    assert b.expire(100.1 + SILENCE * INTERVAL) and names(b) == []
    assert SILENCE * INTERVAL < 30


@pytest.mark.parametrize("message", [b"P ", b"P []", b"P {}", b'P {"node":1,"ask":0,"people":[1]}'])
def test_what_is_no_report_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError):
        Roster("a", INTERVAL).hear(message, 0.0)
