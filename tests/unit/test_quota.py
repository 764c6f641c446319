"""The quota of those who use something that is costly for all."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab.errors import RateLimited
from collab.rooms.identity import Identity, Role
from collab.rooms.quota import MAX_IDLE, MAX_WAIT, WINDOW, Quota


def client(subject: str, address: str = "") -> Identity:
    return Identity(subject, "", Role.EDITOR, address=address)


A, B = client("a"), client("b")


def test_a_minutes_amount_may_be_used_at_once_and_then_no_more_than_that_a_minute() -> None:
    quota = Quota(60)
    quota.spend(A, 60, 100.0)
    assert quota.overdraft(A, 100.0) == 0
    quota.spend(A, 3, 100.0)
    assert quota.overdraft(A, 100.0) == pytest.approx(3)
    assert quota.overdraft(A, 103.1) == 0
    quota.spend(A, 30, 1000.0)
    assert quota.overdraft(A, 1000.0) == 0


def test_small_amounts_are_counted_when_they_add_up() -> None:
    quota = Quota(60, together=10)
    for _ in range(69):
        quota.spend(A, 1, 0.0)
    assert quota.overdraft(A, 0.0) == 0  # 60 are counted
    quota.spend(A, 1, 0.0)
    assert quota.overdraft(A, 0.0) == pytest.approx(10)
    quota.spend(B, 75, 0.0)
    assert quota.overdraft(B, 0.0) == pytest.approx(15)


def test_not_more_small_amounts_are_remembered_than_of_so_many_clients() -> None:
    quota = Quota(60, together=10)
    for number in range(3 * MAX_IDLE):
        quota.spend(client(str(number)), 1, 0.0)
    assert len(quota._uncounted) <= MAX_IDLE


def test_payers_do_not_use_each_others_quota() -> None:
    quota = Quota(60)
    quota.spend(A, 1000, 0.0)
    assert quota.overdraft(A, 0.0) and not quota.overdraft(B, 0.0)


def test_clients_of_one_address_share_its_quota_and_who_uses_little_never_waits() -> None:
    quota = Quota(6000)
    one, two, light = (client(sid, "192.0.2.1") for sid in ("1", "2", "3"))
    for heavy in (one, two):
        quota.spend(heavy, 3100, 0.0)
    quota.spend(light, 20, 0.0)
    assert quota.overdraft(one, 0.0) == quota.overdraft(two, 0.0) == pytest.approx(2.0 + 0.2)
    assert not quota.overdraft(light, 0.0) and not quota.overdraft(A, 0.0)


def test_many_connections_of_one_address_use_no_more_than_its_quota() -> None:
    """A connection that used little lately is not light for that reason."""
    quota, used, step = Quota(6000), 0.0, 0.05
    crowd = [client(f"{number}", "192.0.2.1") for number in range(14)]
    for tick in range(round(120 / step)):
        for each in crowd:
            if not quota.overdraft(each, tick * step):
                quota.spend(each, 50, tick * step)
                used += 50
    assert 6000 * 3 <= used <= 6000 * 3 + len(crowd) * 2 * (6000 / 256 * 3 + 50)


def test_what_is_given_back_counts_as_not_used() -> None:
    quota = Quota(60)
    for _ in range(1000):
        quota.spend(A, 1, 5.0)
        quota.spend(A, -1, 5.0)
    assert not quota.overdraft(A, 5.0)


@given(st.lists(st.tuples(st.floats(0.0, 20.0), st.floats(0.0, 50.0)), max_size=60))
def test_who_waits_while_it_is_overdrawn_uses_no_more_than_a_minutes_amount_beyond_the_rate(
    uses: list[tuple[float, float]],
) -> None:
    quota, now, used, most = Quota(60), 0.0, 0.0, 0.0
    for pause, amount in uses:
        now += pause + quota.overdraft(A, now + pause)
        assert used <= now + WINDOW + 1e-6, "one more use may begin"
        quota.spend(A, amount, now)
        used += amount
        most = max(most, amount)
        assert used <= now + WINDOW + most + 1e-6


def test_a_payer_that_has_its_whole_quota_again_is_forgotten() -> None:
    quota = Quota(60)
    quota.spend(A, 600, 0.0)
    for number in range(20 * MAX_IDLE):
        quota.spend(client(f"{number}"), 1, number / 100)
    assert len(quota._own) <= 2 * MAX_IDLE and quota.overdraft(A, 0.0)


async def test_a_payer_waits_for_a_short_time_and_is_refused_for_a_long_one() -> None:
    loop = asyncio.get_running_loop()
    quota, began = Quota(6000), loop.time()
    assert not await quota.wait(A, began)
    quota.spend(A, 6010, began)
    assert await quota.wait(A, began)
    assert loop.time() - began >= 0.09
    quota.spend(A, 100 * (MAX_WAIT + 1), loop.time())
    with pytest.raises(RateLimited):
        await quota.wait(A, loop.time())
