"""The trial of an attack names each promise that was broken."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.abuse.account import Account
from tests.abuse.attack import Attack
from tests.abuse.bystanders import Arrival, Waits
from tests.abuse.findings import HEAD, Findings, Memory, RedisCost
from tests.abuse.offender import Offender
from tests.abuse.websocket import Ended


async def knocking(offender: Offender, size: int) -> AsyncIterator[None]:
    """An attack that does nothing."""
    yield


QUIET = Waits([0.004] * 99 + [0.02], [])
FINDINGS = Findings(
    Attack(knocking, 1, 1), QUIET, QUIET, QUIET, Memory(60, 70, 62), RedisCost(1, 20),
    [Arrival(0.05, "")], Account(3, Counter({"rate_limited": 2}), Counter()), [],
)  # fmt: skip


def test_an_attack_that_nobody_notices_breaks_no_promise() -> None:
    assert FINDINGS.broken_promises() == []
    assert FINDINGS.row().count("|") == HEAD.partition("\n")[0].count("|")
    assert "rate_limited x2; served x3" in FINDINGS.row()


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ({"during": Waits([0.2], [])}, "a change waited 200 ms"),
        ({"afterwards": Waits([0.2], [])}, "a change waited 200 ms"),
        ({"during": Waits([], ["disconnect transport close"])}, "disconnect transport close x1"),
        ({"memory": Memory(60, 200, 111)}, "keeps 51 MB"),
        ({"arrivals": [Arrival(5.0, "connect_error timeout")]}, "connect_error timeout x1"),
        ({"arrivals": []}, "nobody came"),
        ({"account": Account(9, Counter(), Counter({"connection ended": 1}))}, "no reason"),
        ({"account": Account()}, "no answer"),
        ({"complaints": ["Traceback (most recent call last)"]}, "Traceback"),
    ],
)
def test_each_broken_promise_is_named(broken: dict[str, object], told: str) -> None:
    (sentence,) = replace(FINDINGS, **broken).broken_promises()  # type: ignore[arg-type]
    assert told in sentence


def test_on_a_busy_machine_a_change_may_wait_four_times_as_long_as_in_the_calm() -> None:
    busy = replace(FINDINGS, calm=Waits([0.06], []), during=Waits([0.2], []))
    assert busy.broken_promises() == []
    assert replace(busy, during=Waits([0.25], [])).broken_promises()


@pytest.mark.parametrize(
    ("end", "account"),
    [
        (Ended(4413, "too large"), Account(0, Counter({"close 4413 too large": 1}))),
        (Ended(status=503, reason='{"error":{"code":"node_full"}}'),
         Account(0, Counter({"HTTP 503 node_full": 1}))),
        (Ended(1000), Account(0, Counter(), Counter({"connection ended": 1}))),
        (Ended(), Account(0, Counter(), Counter({"connection ended": 1}))),
    ],
)  # fmt: skip
def test_only_a_close_code_a_status_or_an_error_counts_as_a_reason(
    end: Ended, account: Account
) -> None:
    noted = Account()
    noted.note_end(end, "connection")
    assert noted == account == Account.from_json(account.to_json().encode())
