"""What a node concludes from the memory that Redis uses."""

from __future__ import annotations

import pytest

from collab.metrics import Metrics
from collab.rooms.history import MIN_LIMIT, SCARCE_DIVISOR, TEXTS_KEPT, size_limit
from collab.store.usage import Usage

INFO = (
    b"# Memory\r\nused_memory:%d\r\nused_memory_human:1M\r\nmaxmemory:%d\r\nmaxmemory_policy:x\r\n"
)


@pytest.mark.parametrize(
    ("used", "limit", "scarce", "nearly_full"),
    [(10, 100, False, False), (75, 100, True, False), (90, 100, True, True), (99, 0, False, False)],
)
def test_redis_is_scarce_of_memory_before_it_is_full(
    used: int, limit: int, scarce: bool, nearly_full: bool
) -> None:
    usage = Usage(Metrics())
    usage.update(INFO % (used, limit))
    assert (usage.used, usage.limit) == (used, limit or None)
    assert (usage.scarce, usage.nearly_full) == (scarce, nearly_full)


def test_the_metrics_have_the_memory_of_redis_and_of_the_node() -> None:
    metrics = Metrics()
    Usage(metrics).update(INFO % (5, 7))
    shown = metrics.render().decode()
    assert "collab_redis_used_bytes 5.0" in shown and "collab_redis_max_bytes 7.0" in shown
    assert "process_resident_memory_bytes " in shown


@pytest.mark.parametrize("info", [b"", b"junk", b"used_memory:x\r\nmaxmemory:-1\r\n", b"\xff:\xff"])
def test_a_redis_that_does_not_say_what_it_uses_is_not_taken_for_full(info: bytes) -> None:
    usage = Usage(Metrics())
    usage.update(info)
    assert usage.used is None and usage.limit is None
    assert not usage.scarce and not usage.nearly_full


def test_a_journal_may_have_some_times_its_text_and_less_while_memory_is_scarce() -> None:
    megabyte = 1 << 20
    assert size_limit(2 * megabyte, "", scarce=False) == MIN_LIMIT
    assert size_limit(2 * megabyte, "x" * 200_000, scarce=False) == TEXTS_KEPT * 200_000
    assert size_limit(2 * megabyte, "x" * megabyte, scarce=False) == 2 * megabyte
    assert size_limit(1000, "x" * megabyte, scarce=False) == 1000
    assert size_limit(2 * megabyte, "", scarce=True) == MIN_LIMIT // SCARCE_DIVISOR
