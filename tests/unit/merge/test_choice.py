"""The choice of the text that a change was made from."""

from __future__ import annotations

import pytest

from collab.merge.choice import choose, is_clear, nearest
from collab.merge.splice import Splice


def test_a_change_equal_to_several_texts_is_an_echo_of_the_newest_of_them() -> None:
    assert choose("ab", ["x", "ab", "ab"]) == (1, [])


def test_the_text_with_the_smallest_edit_is_chosen() -> None:
    assert choose("cats", ["dogs", "cat", "cast!"]) == (1, [Splice(3, 3, "s")])


def test_between_equally_small_edits_the_oldest_text_is_chosen() -> None:
    assert choose("a", ["ab", "ac", "a longer one"]) == (1, [Splice(1, 2, "")])


FILLER = "Z" * 20


@pytest.mark.parametrize(("text", "of"), [("aaaa", 1), ("aaa", 0)])
def test_a_text_with_runs_of_two_letters_of_another_was_not_typed_on_an_empty_page(
    text: str, of: int
) -> None:
    """One splice makes two runs, so four kept letters are enough, and three are too few."""
    assert choose(text, ["", text + FILLER])[0] == of


@pytest.mark.parametrize(
    ("text", "of"),
    [
        ("aYYbYYcYYdYY", 1),
        ("aYYbYYcYYYYY", 0),  # only three anchors
        ("aYYbYYcYYdYa", 0),  # one of the four letters occurs twice
        ("aYYYbYYYcYYYdYYY", 1),
        ("aYYYbYYYcYYYdYYYY", 0),  # less than a quarter
    ],
)
def test_a_text_with_four_anchors_was_not_typed_on_an_empty_page_if_they_are_a_quarter_of_it(
    text: str, of: int
) -> None:
    assert choose(text, ["", "aXXXXbXXXXcXXXXdXXXX"])[0] == of


def test_the_other_text_is_the_nearest_of_those_that_are_not_empty() -> None:
    texts = ["", "aaaa" + FILLER + "!", "", "aaaa" + FILLER, "b" * 30]
    assert choose("aaaa", texts) == (3, [Splice(4, 24, "")])


def test_an_empty_page_is_chosen_if_there_is_no_other_text() -> None:
    assert choose("x", ["", ""]) == (1, [Splice(0, 0, "x")])


def test_the_first_of_equally_near_texts_is_the_nearest() -> None:
    assert nearest("a", ["ab", "ac"]) == (0, [Splice(1, 2, "")])
    assert nearest("abc", ["ab", "abc", "abc"]) == (1, [])
    assert nearest("abcd", iter(["", "abXd", "abc"])) == (2, [Splice(3, 3, "d")])
    with pytest.raises(ValueError, match="no text"):
        nearest("a", [])


@pytest.mark.parametrize(
    ("other", "clear"),
    [
        ("abX", True),  # as far from the text as by way of the chosen one
        ("abcd", False),  # nearer to the text
        ("abXY", True),
    ],
)
def test_a_choice_is_clear_if_no_other_text_is_nearer_than_by_way_of_the_chosen_one(
    other: str, clear: bool
) -> None:
    assert is_clear("ab", 1, "abc", [other]) is clear


def test_an_echo_is_clear_whatever_else_there_is() -> None:
    assert is_clear("ab", 0, "ab", ["ab"])
