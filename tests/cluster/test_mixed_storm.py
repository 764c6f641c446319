"""The storm with half of the members at each endpoint: nothing lost, nothing risen, one text."""

from __future__ import annotations

import pytest

from tests.support.processes import Node, Redis
from tests.support.storm import storm


@pytest.mark.parametrize("seed", [1])
async def test_members_of_both_endpoints_type_at_once_on_two_nodes_and_nothing_is_lost(
    nodes: tuple[Node, Node], redis_server: Redis, seed: int
) -> None:
    outcome = await storm(
        nodes, redis_server.url, "websocket",
        seconds=8.0, delay=0.04, rooms=2, members=4, yjs=2, seed=seed,
    )  # fmt: skip
    assert outcome.faults == (0, 0, 0)
    assert (outcome.refused, outcome.disconnects, outcome.unanswered) == ([], [], 0)
    assert all(member.changes > 25 for member in outcome.members)
