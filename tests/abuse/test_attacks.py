"""One hostile client harms no other: short attacks; `make abuse` runs them at full size."""

from __future__ import annotations

import pytest

from tests.abuse.attacks import ATTACKS
from tests.abuse.fuzz import FUZZERS
from tests.abuse.trial import try_attack
from tests.support.processes import Redis


@pytest.mark.parametrize("name", ATTACKS)
async def test_an_attack_harms_nobody_and_the_offender_is_told_why_it_is_refused(
    redis_server: Redis, name: str
) -> None:
    findings = await try_attack(ATTACKS[name], redis_server)
    assert not findings.broken_promises(), findings.row()


@pytest.mark.parametrize("name", FUZZERS)
async def test_random_inputs_cause_no_traceback_and_disturb_nobody(
    redis_server: Redis, name: str
) -> None:
    findings = await try_attack(FUZZERS[name], redis_server)
    assert not findings.broken_promises(), findings.row()
