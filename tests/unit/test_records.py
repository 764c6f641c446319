"""What the node makes of Redis' answers about one room."""

from __future__ import annotations

import pytest

from collab.store.records import deadline


@pytest.mark.parametrize(("pttl", "expected"), [(1500, 11.5), (1, 10.001), (0, 10.0), (-1, None)])
def test_a_room_in_its_last_millisecond_has_a_deadline_and_one_that_does_not_expire_has_none(
    pttl: int, expected: float | None
) -> None:
    assert deadline(10.0, pttl) == expected
