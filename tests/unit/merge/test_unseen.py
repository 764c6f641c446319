"""What was so new in a text that a page may not have shown it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collab.merge.delta import IDENTITY, Delta
from collab.merge.splice import Splice
from collab.merge.unseen import Births, without

from .strategies import deltas


def all_since(births: Births, since: int, length: int) -> list[int]:
    return births.deleted([Splice(0, length, "")], since)


def test_code_points_keep_the_number_of_the_update_that_inserted_them() -> None:
    births = Births(3)  # abc
    births.follow(Delta.of(1, "XY"), 1)  # aXYbc
    births.follow(IDENTITY, 2)
    births.follow(Delta.of(2, -2, "🐍"), 3)  # aX🐍c
    assert all_since(births, 0, 4) == [0, 1, 2, 3]
    assert all_since(births, 1, 4) == [1, 2]
    assert all_since(births, 2, 4) == [2]
    assert births.deleted([Splice(0, 2, "more"), Splice(3, 4, "")], 1) == [1]
    assert births.deleted([Splice(1, 1, "more")], 0) == []


@given(st.data())
def test_the_numbers_follow_any_edits(data: st.DataObject) -> None:
    text = data.draw(st.text(max_size=9))
    letters = [(letter, 0) for letter in text]
    births = Births(len(text))
    for number in range(1, data.draw(st.integers(1, 5)) + 1):
        delta = data.draw(deltas(len(letters)))
        births.follow(delta, number)
        for start, end, insert in reversed(delta.to_splices()):
            letters[start:end] = [(letter, number) for letter in insert]
    for since in range(6):
        assert all_since(births, since, len(letters)) == [
            index for index, (_, number) in enumerate(letters) if number >= since
        ]


@given(st.text(max_size=9), st.sets(st.integers(0, 8)))
def test_what_is_left_out_can_be_put_back(text: str, places: set[int]) -> None:
    indices = sorted(place for place in places if place < len(text))
    shorter, back = without(text, indices)
    assert shorter == "".join(c for i, c in enumerate(text) if i not in indices)
    assert back.apply(shorter) == text
