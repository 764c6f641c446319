"""Late pages, bound by bound: which changes count as edits of a text that a receive replaced."""

from __future__ import annotations

import pytest
from hypothesis import given

from collab.merge.delta import IDENTITY
from collab.merge.diff import diff
from collab.merge.lateness import (
    LATE_WINDOW,
    MAX_AGES,
    MAX_PROMPT_RATIO,
    MIN_LATE_CHANGES,
    Habit,
    Past,
    _both_delete,
    late_edit,
)
from collab.merge.splice import Splice
from collab.merge.trail import View

from .strategies import splice_lists


def known_for(lateness: float) -> Habit:
    """Return the habit of a site whose pages render ``lateness`` seconds late."""
    habit = Habit()
    for _ in range(MIN_LATE_CHANGES):
        habit.record_late(lateness)
    return habit


def late(past: str, screen: str, text: str, age: float, habit: Habit | None = None) -> bool:
    """Whether ``text`` counts as an edit of ``past``, which ``screen`` replaced at time 0."""
    habit = habit or Habit()
    pasts = [Past(View(past, IDENTITY), 0.0)]
    found = late_edit(pasts, screen, diff(screen, text), text, habit, age)
    assert found is None or found == (pasts[0].view, diff(past, text))
    return found is not None


# Habits


def test_a_site_counts_as_late_after_a_few_late_changes_by_nine_in_ten_of_their_ages() -> None:
    habit = Habit()
    for number in range(1, 11):
        assert habit.lateness == (0.0 if number <= MIN_LATE_CHANGES else (number - 1) / 100)
        habit.record_late(number / 100)
    for number in range(11, MAX_AGES + 1):
        habit.record_late(number / 100)
    assert habit.lateness == 0.29  # the 29th of 32
    for _ in range(MAX_AGES):
        habit.record_late(0.01)
    assert habit.lateness == 0.01


def test_a_site_counts_as_prompt_if_late_changes_are_outnumbered() -> None:
    habit = known_for(0.05)
    habit.prompt = MIN_LATE_CHANGES * MAX_PROMPT_RATIO
    assert not habit.is_prompt and habit.lateness == 0.05
    habit.prompt += 1
    assert habit.is_prompt and habit.lateness == 0.0


def test_a_late_change_and_its_age_are_recorded_for_the_site() -> None:
    habit = Habit()
    for _ in range(MIN_LATE_CHANGES):
        assert late("ab", "Xab", "abc", 0.03, habit)
    assert habit.lateness == 0.03


@pytest.mark.parametrize(("age", "prompt"), [(0.09, 1), (LATE_WINDOW, 0)])
@pytest.mark.parametrize("text", ["Xabc", "Xabcd"])
def test_a_change_of_a_text_that_has_just_arrived_is_prompt(
    text: str, age: float, prompt: int
) -> None:
    habit = Habit()
    assert not late("ab", "Xab", text, age, habit)
    assert habit.prompt == prompt


def test_a_change_that_may_be_of_either_text_is_not_prompt() -> None:
    habit = Habit()
    assert not late("abc", "ab", "abcd", 0.5, habit)
    assert late("ab", "Xab", "abc", 0.05, habit) and habit.prompt == 0


# Which changes are late


def test_an_undoing_apart_from_what_was_typed_is_late_at_any_age() -> None:
    assert late("ab", "Xab", "abc", 0.99)


def test_an_undoing_alone_is_not_late() -> None:
    assert not late("ab", "Xab", "ab", 0.01)


def test_a_change_is_of_the_screen_if_that_gives_as_small_an_edit() -> None:
    assert not late("ab", "abX", "abXc", 0.01, known_for(0.5))


@pytest.mark.parametrize(
    ("past", "screen", "text", "age", "is_late"),
    [
        ("hello", "h", "hellox", 0.5, True),
        ("hel", "h", "helx", 0.5, False),  # a person may type two letters again
        ("hel", "h", "helx", 0.09, True),  # but not within this moment
    ],
)
def test_a_change_that_restores_what_a_receive_deleted_is_late(
    past: str, screen: str, text: str, age: float, is_late: bool
) -> None:
    assert late(past, screen, text, age) is is_late


@pytest.mark.parametrize(
    ("text", "age", "is_late"),
    [
        ("x", 0.049, True),
        ("()", 0.049, True),  # an editor adds the closing bracket
        ("xyz", 0.049, False),
        ("x", 0.05, False),
    ],
)
def test_on_an_unknown_site_a_keystroke_in_place_of_a_receive_is_late_within_three_frames(
    text: str, age: float, is_late: bool
) -> None:
    assert late("", "abcd", text, age) is is_late


def test_on_a_prompt_site_a_keystroke_in_place_of_a_receive_is_not_late() -> None:
    habit = Habit()
    habit.prompt = 1
    assert not late("", "abcd", "x", 0.01, habit)


@pytest.mark.parametrize(
    ("past", "screen", "text", "age", "usual", "is_late"),
    [
        ("q", "qabcd", "", 0.04, 0.0, False),  # a deletion, of an unknown site
        ("q", "qabcd", "", 0.19, 0.2, True),
        ("q", "qabcd", "", 0.2, 0.2, False),
        ("", "abcd", "xyz", 0.19, 0.2, True),
        ("", "abcd", "xyz", 0.2, 0.2, False),
        ("", "abcd", "xyz", 0.09, 0.06, True),  # an insertion, before anybody can have read
        ("", "abcd", "xyz", LATE_WINDOW, 0.06, False),
    ],
)
def test_on_a_late_site_any_edit_is_late_within_its_lateness_and_an_insertion_a_little_longer(
    past: str, screen: str, text: str, age: float, usual: float, is_late: bool
) -> None:
    assert late(past, screen, text, age, known_for(usual) if usual else None) is is_late


def test_the_past_text_with_the_smallest_edit_is_chosen() -> None:
    pasts = [Past(View(text, IDENTITY), 0.0) for text in ("abXX", "ab", "abXXX")]
    screen, text = "1234abXXX", "abc"
    found = late_edit(pasts, screen, diff(screen, text), text, Habit(), 0.01)
    assert found == (pasts[1].view, [Splice(2, 2, "c")])


@given(splice_lists(30), splice_lists(30))
def test_what_two_edits_both_delete_is_counted(one: list[Splice], other: list[Splice]) -> None:
    deleted, also = ({n for a in edit for n in range(a.start, a.end)} for edit in (one, other))
    assert _both_delete(one, other) == len(deleted & also)
