"""Diffs find the edits that people make."""

from itertools import pairwise
from random import Random
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab.merge import diff as module
from collab.merge.diff import MAX_DISTANCE, MAX_QUICK_DISTANCE, diff, edit_distance, inserted
from collab.merge.splice import Splice, apply_splices, edit_size

from .strategies import texts


def _longest_common(old: str, new: str) -> int:
    row = [0] * (len(new) + 1)
    for a in old:
        above = row
        row = [0]
        for index, b in enumerate(new):
            row.append(above[index] + 1 if a == b else max(row[index], above[index + 1]))
    return row[-1]


@given(texts, texts)
def test_a_diff_is_an_edit_from_old_to_new_and_none_is_smaller(old: str, new: str) -> None:
    splices = diff(old, new)
    assert apply_splices(old, splices) == new
    assert edit_size(splices) == len(old) + len(new) - 2 * _longest_common(old, new)
    assert all(one.end < other.start for one, other in pairwise(splices))


@given(texts, texts)
def test_a_diff_beyond_its_bound_is_still_right(old: str, new: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_DISTANCE", 2)
        assert apply_splices(old, diff(old, new)) == new


@given(texts, texts, texts, st.integers(0, 40))
def test_an_insertion_is_found_as_by_a_diff(before: str, typed: str, after: str, at: int) -> None:
    old, new = before + after, before + typed + after
    for place in (at, len(before), len(before) + len(typed)):
        found = inserted(old, new, place)
        assert found is None or [found] == diff(old, new)
    if typed and typed[0] != after[:1]:
        assert inserted(old, new, len(before)) == (len(before), len(before), typed)


@given(texts, texts, st.integers(0, 40))
def test_another_edit_is_not_taken_for_an_insertion(old: str, new: str, at: int) -> None:
    found = inserted(old, new, at)
    assert found is None or [found] == diff(old, new)


def test_equal_texts_give_no_splice() -> None:
    assert diff("same", "same") == []
    assert diff("", "") == []


def test_two_cursors_give_two_splices() -> None:
    middle = "".join(Random(1).choices("abcdef \n", k=10_000))
    assert diff(f"<{middle}>", f"<x{middle}y>") == [
        Splice(1, 1, "x"),
        Splice(10_001, 10_001, "y"),
    ]


def test_a_letter_typed_into_a_run_of_itself_is_one_insertion() -> None:
    assert edit_size(diff("aaaa", "aaaaa")) == 1
    assert edit_size(diff("aaaaa", "aaa")) == 2


def test_half_a_wide_character_is_never_touched() -> None:
    assert diff("a😀b", "a😁b") == [Splice(1, 2, "😁")]
    assert diff("e\u0301", "e") == [Splice(1, 2, "")]


def test_a_formatters_indentation_is_kept_apart_line_by_line() -> None:
    lines = [f"line {number} = {number * 7}" for number in range(120)]
    old, new = "\n".join(lines), "\n".join("    " + line for line in lines)
    assert edit_size(diff(old, new)) == 4 * 120 > MAX_DISTANCE
    assert len(diff(old, new)) == 120


def test_a_rewrite_is_one_splice() -> None:
    assert diff("a" * 500, "b" * 500) == [Splice(0, 500, "b" * 500)]


@pytest.mark.no_cover
def test_the_largest_text_is_diffed_in_time() -> None:
    random = Random(2)
    old = "".join(random.choices("abcdef \n", k=256 * 1024))
    for new in (f"x{old[1:-1]}y", old[::-1], "\n".join(" " + line for line in old.split("\n"))):
        start = perf_counter()
        assert apply_splices(old, diff(old, new)) == new
        assert perf_counter() - start < 1.0


@given(texts, texts)
def test_a_distance_is_the_size_of_the_smallest_edit_or_none_over_its_limit(
    old: str, new: str
) -> None:
    size = len(old) + len(new) - 2 * _longest_common(old, new)
    if size <= MAX_QUICK_DISTANCE:
        assert edit_distance(old, new, size) == size
        assert edit_distance(old, new, size + 40) == size
    assert size == 0 or edit_distance(old, new, size - 1) is None


def test_a_distance_over_the_exact_range_is_that_of_one_splice() -> None:
    old, new = "<" + "a" * 20 + "=" + "b" * 20 + ">", "<" + "c" * 20 + "=" + "d" * 20 + ">"
    assert edit_distance(old, new, 1000) == 82
    assert edit_distance(old, new, 1000, exact=80) == 80
    assert edit_distance(old, new, 81) is None
    assert edit_distance(old, old + "x" * 500, 1000) == 500  # all at one place
