"""Many people type at once on far links; run with -s for the table of what became of it."""

from __future__ import annotations

import asyncio
import sys

import pytest

from tests.storm import HEAD, WAYS, Outcome, naive, ours, storm
from tests.support.processes import Redis, running

pytestmark = pytest.mark.timeout(120)
Table = dict[tuple[str, str], Outcome]


@pytest.fixture(scope="module")
async def table(redis_server: Redis) -> Table:
    """The same storm over each transport, through this service and through the naive one."""
    table: Table = {}
    servers = {"ours": ours(redis_server.url), "naive": naive(redis_server.url)}
    for name, nodes in servers.items():
        async with running(*nodes):
            outcomes = await asyncio.gather(*(storm(nodes, redis_server.url, way) for way in WAYS))
        for node in nodes:
            assert name == "naive" or "Traceback" not in node.output(), node.output()
        table |= {(name, way): outcome for way, outcome in zip(WAYS, outcomes, strict=True)}
    rows = [outcome.row(f"{name}, {way}") for (name, way), outcome in table.items()]
    sys.stdout.write("\n".join(["", HEAD, *rows, ""]))
    return table


@pytest.mark.parametrize("way", WAYS)
async def test_no_keystroke_is_lost_no_deleted_one_is_back_and_all_see_one_text(
    table: Table, way: str
) -> None:
    outcome = table["ours", way]
    assert outcome.faults == (0, 0, 0)
    assert outcome.inserted > 500 and outcome.deleted > 50


@pytest.mark.parametrize("way", WAYS)
async def test_every_change_is_acknowledged_and_nobody_is_refused_or_thrown_out(
    table: Table, way: str
) -> None:
    outcome = table["ours", way]
    assert (outcome.unanswered, outcome.refused, outcome.disconnects) == (0, [], [])


async def test_everybody_was_upgraded_in_the_middle_of_typing(table: Table) -> None:
    assert all(0 < before < 200 for before in table["ours", "upgrade"].upgraded)
    assert table["ours", "polling"].upgraded == [0] * 9


@pytest.mark.parametrize("way", WAYS)
async def test_the_storm_is_one_in_which_the_naive_server_loses(table: Table, way: str) -> None:
    outcome = table["naive", way]
    assert outcome.lost > outcome.inserted / 4
    assert outcome.risen and outcome.diverged
