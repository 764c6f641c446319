"""What a number of rooms needs: the arithmetic, and the page that shows it."""

from __future__ import annotations

from dataclasses import fields, replace
from math import inf, isclose
from typing import Any

import pytest

from collab.config import Config
from loadtest import capacity
from loadtest.costs import Costs, entries
from loadtest.sizing import Demand, Plan

COSTS = Costs.read()


def plan(rooms: int = 1_000_000, **differences: Any) -> Plan:
    return Plan(replace(Demand(rooms), **differences), COSTS)


def test_the_page_on_scaling_has_what_the_program_prints() -> None:
    told = "run `python -m loadtest.capacity --page`"
    assert capacity.page() in capacity.PAGE.read_text(), told


def test_each_cost_has_a_unit_and_a_source() -> None:
    for name, entry in entries().items():
        assert entry["value"] > 0 and entry["unit"] and entry["source"], name


def test_settings_have_the_defaults_of_the_nodes() -> None:
    defaults = {each.metadata["variable"]: each.default for each in fields(Config)}
    named = {each.metadata["help"]: each.default for each in fields(Demand)}
    settings = {name: default for name, default in named.items() if name in defaults}
    assert len(settings) == 7 and settings.items() <= defaults.items()


def test_no_machine_of_a_plan_is_used_more_than_it_may_be_and_one_less_would_not_do() -> None:
    for rooms in (1, 1000, 30_000, 1_000_000):
        for each in (
            plan(rooms),
            plan(rooms, yjs=1.0),
            plan(rooms, size=50_000),
            plan(rooms, spanning=1.0),
        ):
            assert all(need.load(each.nodes) <= need.share for need in each.node_needs)
            assert all(need.load(each.masters) <= need.share for need in each.master_needs)
            if each.nodes > 1:
                assert any(need.load(each.nodes - 1) > need.share for need in each.node_needs)
            if each.masters > 1:
                fewer = each.needs_of_masters(each.masters - 1)
                assert any(need.load(each.masters - 1) > need.share for need in fewer)


def test_a_node_with_the_load_of_the_benchmark_uses_what_the_benchmark_measured() -> None:
    for rooms, node_us, redis_us in ((300, 245, 61), (600, 201, 47)):
        load = {"active": 1.0, "spanning": 0.0, "session": 1e9, "node_memory": inf}
        busy = plan(rooms, utilization=1.0, **load)
        assert busy.nodes == 1
        assert isclose(1e6 * busy.node_needs[0].load(1) / busy.changes, node_us, rel_tol=0.15)
        assert isclose(1e6 * busy.redis_load(1) / busy.changes, redis_us, rel_tol=0.15)


def test_redis_is_never_more_than_busy_and_a_commit_costs_least_when_it_is() -> None:
    quiet, busy = plan(1000), plan(60_000, utilization=1.0, session=1e9)
    per_commit = [1e6 * each.redis_load(1) / each.changes for each in (quiet, busy)]
    assert per_commit[0] > 1.5 * per_commit[1] > 0
    assert plan(10**9).redis_load(1) > 1  # that is: too much, and not infinitely much


def test_a_history_ends_at_its_bounds() -> None:
    short, long = plan().redis_room(100), plan().redis_room(2000)
    assert isclose(long - short, 1900 * COSTS.redis_entry_bytes)
    compacted = plan().redis_room(1e6)
    assert short < compacted < long and compacted == plan().redis_room(1e7)
    assert plan(max_journal_entries=500).redis_room(1e6) < compacted
    assert plan(max_journal_entries=10**6).redis_room(1e6) > compacted  # the bound of bytes


def test_what_nobody_is_in_counts_until_it_expires() -> None:
    assert plan(room_ttl=3600.0).redis_memory > 1.5 * plan(room_ttl=300.0).redis_memory


def test_texts_need_bandwidth_and_yjs_updates_hardly_any() -> None:
    text, yjs = plan().clients_link, plan(yjs=1.0).clients_link
    assert min(text) > 40 * max(yjs)
    assert isclose(plan(members=5.0).clients_link[1], 4 * text[1], rel_tol=0.01)


def test_the_clients_of_a_killed_node_come_to_the_others() -> None:
    assert plan(1000).takeover == inf
    assert plan(10_000).takeover > 10 * plan(1_000_000).takeover > 0


def test_a_machine_that_cannot_hold_an_empty_node_is_an_error() -> None:
    with pytest.raises(ValueError, match="memory"):
        _ = plan(node_memory=0.05).nodes


def test_times_are_those_of_the_machine_and_sizes_are_not() -> None:
    slower = COSTS.on_machine(2 * COSTS.relay_us)
    assert slower.text_change_us == 2 * COSTS.text_change_us
    assert slower.connection_bytes == COSTS.connection_bytes


def test_the_command_line_prints_a_column_for_each_number_of_rooms(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert capacity.main(["--rooms", "7", "5000", "--yjs", "1", "--variants", "--costs"]) == 0
    printed = capsys.readouterr().out
    assert "| 7 rooms | 5,000 rooms |" in printed and "nobody types" in printed
    with pytest.raises(SystemExit):
        capacity.main(["--node-memory", "0.01"])
