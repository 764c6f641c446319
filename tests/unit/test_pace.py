"""The rate limit: a client is delayed if it is too fast, and refused only if it goes on."""

from __future__ import annotations

from collab.pace import Pace


def test_a_burst_of_two_seconds_worth_passes_at_once() -> None:
    pace = Pace(50, 30.0)
    assert [pace.wait(10.0) for _ in range(100)] == [0.0] * 100
    assert (pace.wait(10.0) or 0.0) > 0


def test_a_client_that_is_too_fast_is_slowed_to_the_rate() -> None:
    pace, now = Pace(50, 30.0), 0.0
    for _ in range(500):
        now += pace.wait(now) or 0.0
    assert 7.9 < now < 8.1  # 100 at once, 400 at 50 a second


def test_a_client_delayed_for_long_without_a_break_is_refused_until_it_makes_a_break() -> None:
    pace, now, refused = Pace(10, 5.0), 0.0, 0
    while now < 6.0:
        delay = pace.wait(now)
        if delay is None:
            refused += 1
            break
        now += delay / 2  # sends the next event too early
    assert refused == 1 and now > 5.0
    assert pace.wait(now + 60) == 0.0


def test_typing_is_never_slowed() -> None:
    pace = Pace(50, 30.0)
    assert all(pace.wait(at / 12) == 0.0 for at in range(10_000))
