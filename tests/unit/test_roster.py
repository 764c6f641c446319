"""The roster: the reports that nodes exchange about members, and what each node shows."""

from __future__ import annotations

import pytest
from pycrdt import Awareness, Doc

from collab.rooms.person import COLORS, default_color
from collab.rooms.roster import MAX_MISSED_REPORTS, Roster

INTERVAL = 8.0


def names(roster: Roster) -> list[str]:
    return [person.name for person in roster.people()]


def nodes(*ids: str) -> list[Roster]:
    return [Roster(id, INTERVAL) for id in ids]


def state(name: str) -> dict[str, object]:
    return {"user": {"name": name, "color": "#123456"}}


def flags(roster: Roster) -> bool:
    """Return whether the people changed since the last call."""
    changed, roster.people_changed = roster.people_changed, False
    return changed


def test_two_nodes_that_received_each_others_reports_show_the_same_list() -> None:
    a, b = nodes("a", "b")
    a.enter("1", "Ada")
    b.enter("2", "Bob")
    assert b.apply(a.report(ask=True), 0.0) and not a.apply(b.report(ask=False), 0.0)
    assert a.people() == b.people() and names(a) == ["Ada", "Bob"]


def test_an_unchanged_report_changes_nothing() -> None:
    a, b = nodes("a", "b")
    a.enter("1", "Ada")
    b.apply(a.report(ask=False), 0.0)
    assert flags(b)
    b.apply(a.report(ask=False), 1.0)
    assert not flags(b)


def test_a_member_that_leaves_is_gone_with_its_state_after_the_next_report() -> None:
    a, b = nodes("a", "b")
    a.enter("1", "Ada")
    a.introduce("1")
    b.apply(a.report(ask=False), 0.0)
    assert b.clients()
    a.leave("1")
    b.apply(a.report(ask=False), 1.0)
    assert flags(b) and names(b) == [] and b.clients() == set()


def test_a_node_ignores_its_own_report() -> None:
    (a,) = nodes("a")
    a.enter("1", "Ada")
    assert not a.apply(a.report(ask=True), 0.0) and names(a) == ["Ada"] and not a.has_others


def test_the_members_of_a_silent_node_are_gone_within_thirty_seconds() -> None:
    a, b = nodes("a", "b")
    a.enter("1", "Ada")
    a.introduce("1")
    b.apply(a.report(ask=False), 100.0)
    b.expire(100.0 + MAX_MISSED_REPORTS * INTERVAL)
    assert names(b) == ["Ada"] and b.has_others
    b.expire(100.1 + MAX_MISSED_REPORTS * INTERVAL)
    assert names(b) == [] and b.clients() == set() and not b.has_others
    assert MAX_MISSED_REPORTS * INTERVAL < 30


def test_a_report_that_arrives_after_a_later_one_is_ignored() -> None:
    a, b = nodes("a", "b")
    a.enter("1", "Ada")
    before = a.report(ask=False)
    a.leave("1")
    b.apply(a.report(ask=False), 0.0)
    b.apply(before, 0.0)
    assert names(b) == []


def test_a_difference_names_only_those_who_came_changed_or_left() -> None:
    a, b = nodes("a", "b")
    for id, name in (("1", "Ada"), ("2", "Bob")):
        a.enter(id, name)
        a.introduce(id)
    a.enter("3", "guest-3")
    a.set_state("3", 7, state("Carl"))
    b.apply(a.report(ask=False), 0.0)
    assert not a.has_changes
    a.leave("2")
    a.set_state("3", 7, state("Carla"), clock=1)
    a.enter("4", "Dora")
    assert a.has_changes
    changes = a.changes()
    assert not a.has_changes and not changes.full and changes.gone == ["2"]
    assert sorted(member.id for member in changes.members) == ["3", "4"]
    b.apply(changes, 1.0)
    assert names(a) == names(b) == ["Ada", "Carla", "Dora"]
    assert a.people() == b.people() and a.clients() == b.clients()


def test_a_member_that_left_and_entered_again_between_two_reports_is_as_it_is_now() -> None:
    a, b = nodes("a", "b")
    a.enter("1", "Ada")
    a.set_state("1", 7, state("Ada"))
    b.apply(a.report(ask=False), 0.0)
    a.leave("1")
    a.enter("1", "guest")
    b.apply(a.changes(), 1.0)
    assert names(a) == names(b) == ["guest"] and a.clients() == b.clients() == set()


def test_members_that_came_and_left_between_two_reports_are_never_shown() -> None:
    a, b = nodes("a", "b")
    a.enter("1", "Ada")
    a.introduce("1")
    a.leave("1")
    b.apply(a.changes(), 0.0)
    assert not flags(b) and not b.has_others and not b.changed


def test_a_text_member_has_a_state_with_name_and_color() -> None:
    a, b = nodes("a", "b")
    a.enter("1", "Ada")
    a.introduce("1")
    b.apply(a.report(ask=False), 0.0)
    client = Awareness(Doc())
    client.apply_awareness_update(b.states(b.clients()), None)
    (shown,) = (s for id, s in client.states.items() if id != client.client_id)
    assert shown == {"user": {"name": "Ada", "color": default_color("1")}}


def test_a_text_member_that_joins_later_gets_an_unused_color() -> None:
    """Members of all nodes keep their colors; more members than colors share them."""
    a, b = nodes("a", "b")
    first, *others = [id for id in map(str, range(1000)) if default_color(id) == COLORS[0]]
    a.enter(first, "Ada")
    a.introduce(first)
    for count, id in enumerate(others[: len(COLORS)], start=2):
        b.apply(a.report(ask=False), 0.0)
        b.enter(id, "Bob")
        b.introduce(id)
        a.apply(b.report(ask=False), 0.0)
        shown = {person.id: person.color for person in a.people()}
        assert shown == {person.id: person.color for person in b.people()}
        assert shown[first] == COLORS[0]
        assert len(set(shown.values())) == min(count, len(COLORS))


def test_a_yjs_member_has_the_name_in_its_state_and_is_a_guest_until_then() -> None:
    a, b = nodes("a", "b")
    a.enter("1", "guest-1")
    b.apply(a.report(ask=False), 0.0)
    assert names(a) == names(b) == ["guest-1"] and flags(b)
    a.set_state("1", 7, state("Ada"))
    b.apply(a.report(ask=False), 0.0)
    assert names(a) == names(b) == ["Ada"] and flags(b)
    assert b.people()[0].color == "#123456"


def test_a_cursor_that_moves_is_sent_to_yjs_members_and_not_to_text_members() -> None:
    a, b = nodes("a", "b")
    a.enter("1", "guest-1")
    a.set_state("1", 7, state("Ada"))
    b.apply(a.report(ask=False), 0.0)
    flags(a), flags(b)
    b.changed.clear()
    a.set_state("1", 7, {**state("Ada"), "cursor": 5}, clock=1)
    b.apply(a.changes(), 0.0)
    assert not flags(a) and not flags(b) and b.changed == {7}


@pytest.mark.parametrize(
    "shown",
    [{}, {"user": None}, {"user": "Ada"}, {"user": {"name": 7, "color": 7}}, {"user": []},
     {"user": {"name": "\x00\ud800", "color": "url(https://evil.example)"}}],
)  # fmt: skip
def test_a_state_without_a_valid_name_and_color_leaves_the_fallback(
    shown: dict[str, object],
) -> None:
    (a,) = nodes("a")
    a.enter("1", "guest-1")
    a.set_state("1", 7, shown)
    assert names(a) == ["guest-1"] and a.people()[0].color == default_color("1")


def test_a_client_id_belongs_to_the_first_member_that_sent_it_until_it_leaves() -> None:
    a, b = nodes("a", "b")
    a.enter("1", "guest-1")
    a.set_state("1", 7, state("Ada"))
    b.apply(a.report(ask=False), 0.0)
    b.enter("2", "guest-2")
    b.set_state("2", 7, state("Mallory"))
    a.apply(b.report(ask=False), 0.0)
    assert names(a) == names(b) == ["Ada", "guest-2"]
    a.leave("1")
    b.apply(a.report(ask=False), 1.0)
    a.apply(b.report(ask=False), 1.0)
    assert names(a) == names(b) == ["Mallory"]


def test_a_client_that_returns_is_seen_by_clients_that_know_its_clock() -> None:
    (a,) = nodes("a")
    witness = Awareness(Doc())

    def visible() -> set[int]:
        witness.apply_awareness_update(a.states(a.changed), None)
        a.changed.clear()
        return set(witness.states) - {witness.client_id}

    a.enter("1", "guest-1")
    assert not a.set_state("1", 7, state("Ada"), clock=5) and visible() == {7}
    a.leave("1")
    assert visible() == set()
    a.enter("2", "guest-2")
    assert a.set_state("2", 7, state("Ada"), clock=5) and visible() == {7}


def test_a_state_is_sent_again_before_yjs_drops_it() -> None:
    (a,) = nodes("a")
    a.enter("1", "Ada")
    a.introduce("1")
    a.changed.clear()
    a.renew()
    assert not a.changed
    a.renew(0)
    assert a.changed == a.clients()


def test_a_state_renewed_for_one_client_is_not_sent_to_the_others_and_has_a_later_clock() -> None:
    (a,) = nodes("a")
    a.enter("1", "Ada")
    a.introduce("1")
    witness = Awareness(Doc())
    witness.apply_awareness_update(a.states(a.clients()), None)
    (client,) = a.clients()
    before = witness.meta[client]["clock"]
    a.changed = {99}
    a.renew_quietly()
    assert a.changed == {99} and a.has_changes
    witness.apply_awareness_update(a.states(a.clients()), None)
    assert witness.meta[client]["clock"] == before + 1
