"""What was so new in a text that a page may not have shown it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collab.merge.delta import IDENTITY, Delta
from collab.merge.unseen import Births, without

from .strategies import deltas


def all_since(births: Births, number: int) -> list[tuple[int, int]]:
    """Return the index and the number of each code point."""
    return [(index, born) for born, part in births.since(number) for index in part]


def test_code_points_keep_the_number_of_the_update_that_inserted_them() -> None:
    births = Births(3)  # abc
    births.follow(Delta.of(1, "XY"), 1)  # aXYbc
    births.follow(IDENTITY, 2)
    births.follow(Delta.of(2, -2, "🐍"), 3)  # aX🐍c
    assert all_since(births, 0) == [(0, 0), (1, 1), (2, 3), (3, 0)]
    assert all_since(births, 1) == [(1, 1), (2, 3)]
    assert all_since(births, 2) == [(2, 3)]
    assert all_since(births, 4) == []


@given(st.data())
def test_the_numbers_follow_any_edits(data: st.DataObject) -> None:
    text = data.draw(st.text(max_size=9))
    numbers = [0] * len(text)
    births = Births(len(text))
    for number in range(1, data.draw(st.integers(1, 5)) + 1):
        delta = data.draw(deltas(len(numbers)))
        births.follow(delta, number)
        for start, end, insert in reversed(delta.to_splices()):
            numbers[start:end] = [number] * len(insert)
    for since in range(6):
        assert all_since(births, since) == [
            (index, number) for index, number in enumerate(numbers) if number >= since
        ]


@given(st.text(max_size=9), st.sets(st.integers(0, 8)))
def test_what_is_left_out_can_be_put_back(text: str, places: set[int]) -> None:
    indices = sorted(place for place in places if place < len(text))
    shorter, back = without(text, (range(index, index + 1) for index in indices))
    assert shorter == "".join(c for i, c in enumerate(text) if i not in indices)
    assert back.apply(shorter) == text


def test_whole_parts_can_be_left_out() -> None:
    assert without("abcdef", [range(1, 3), range(4, 6)]) == ("ad", Delta.of(1, "bc", 1, "ef"))
