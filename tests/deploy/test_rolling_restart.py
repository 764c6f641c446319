"""Three nodes behind nginx restart, one after the other, while people type."""

from __future__ import annotations

import pytest

from tests.soak.cluster import soak_cluster
from tests.soak.soak import WAYS, play
from tests.support.typists import Outcome

pytestmark = pytest.mark.timeout(120)
HABITS = "joins", "once", "waits"
"""What pages do after a reconnect. Only the soak test has pages that mount again: a page that
clears a text which it has just received can't be distinguished from a blank page."""


@pytest.fixture(scope="module")
async def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """One rolling restart, with people who type over each transport."""
    async with soak_cluster(tmp_path_factory.mktemp("rolling")) as cluster:
        # Only the soak judges times: here several jobs share the machine.
        results, _ = await play(cluster, "restarts", seconds=1, habits=HABITS)
        assert cluster.complaints() == []
    return {result.way: result.outcome for result in results}


@pytest.mark.parametrize("way", WAYS)
async def test_no_edit_is_lost_no_deletion_is_undone_and_all_texts_are_equal(
    outcomes: dict[str, Outcome], way: str
) -> None:
    outcome = outcomes[way]
    assert outcome.faults == (0, 0, 0)
    assert outcome.inserted > 300 and outcome.deleted > 30


@pytest.mark.parametrize("way", WAYS)
async def test_every_member_reconnects_and_every_change_is_acknowledged(
    outcomes: dict[str, Outcome], way: str
) -> None:
    outcome = outcomes[way]
    assert all(member.returns for member in outcome.members)
    assert (outcome.refused, outcome.unanswered) == ([], 0)


@pytest.mark.parametrize("way", [way for way in WAYS if way != "yjs"])
async def test_every_text_member_is_recovered_after_each_reconnect(
    outcomes: dict[str, Outcome], way: str
) -> None:
    members = [member for member in outcomes[way].members if member.endpoint == "text"]
    assert [member.recovered for member in members] == [member.returns for member in members]
