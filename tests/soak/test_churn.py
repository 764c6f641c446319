"""Clients of both endpoints come and go for two minutes, and nothing of them is left."""

from __future__ import annotations

import sys

import pytest

from tests.soak.churn import churn

MINUTES, ROUND_SECONDS = 1.9, 35.0


@pytest.mark.timeout(300)
async def test_thousands_of_visits_leave_nothing_behind() -> None:
    outcome = await churn(MINUTES, round_seconds=ROUND_SECONDS)
    sys.stdout.write("\n".join(["", *outcome.remarks(), ""]))
    assert not outcome.complaints()
    kinds = outcome.visits.done
    assert kinds.total() > 500 and len(kinds) == 14, kinds
