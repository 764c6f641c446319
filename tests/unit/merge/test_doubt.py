"""What a page that has come back did perhaps not delete stays."""

from __future__ import annotations

from random import Random
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab.merge.diff import diff
from collab.merge.differ import Differ
from collab.merge.doubt import doubtful, sparing
from collab.merge.splice import Splice

from .desk import Desk, typing


def returned(before: str, after: str) -> Desk:
    """Return a page that shows ``before``, whose link broke when ``after`` was on its way."""
    desk = typing(before)
    desk.edit_by_others(after)
    assert desk.receive() is not None
    desk.reconnect()
    return desk


def test_a_letter_that_the_page_may_not_have_shown_is_not_deleted_with_those_around_it() -> None:
    """The text on its way, with L, is nearer to the next one, but was not on the screen."""
    desk = returned("xyPQRz", "xyPLz")
    outcome = desk.change("xytz")
    assert desk.text == "xytLz"
    assert outcome.guessed and outcome.needs_receive


def test_its_own_letter_that_a_text_from_before_had_replaced_on_the_screen_is_not_deleted() -> None:
    """The page has shown the text on its way, in which its own M was missing, and deleted its Z."""
    desk = typing("abcd")
    desk.edit_by_others("abZcd")
    assert desk.receive() == "abZcd"
    desk.change("abMcd")  # it crosses the receive
    assert desk.text == "abZMcd"
    desk.reconnect()
    desk.change("abNcd")
    assert desk.text.replace("Z", "") in ("abMNcd", "abNMcd")


def test_what_all_texts_have_that_the_page_may_show_can_be_deleted() -> None:
    desk = returned("first line, second line", "first line, second line, third")
    desk.change("second line")
    assert desk.text == "second line, third"


def test_a_page_whose_text_is_clearly_made_from_the_newer_one_deletes_what_it_deletes() -> None:
    desk = returned("one", "one, and two, and three, by somebody else")
    desk.change("one, and two, by somebody else!")
    assert desk.text == "one, and two, by somebody else!"


def test_the_doubt_ends_with_the_first_change() -> None:
    desk = returned("xyPQRz", "xyPLz")
    desk.change("xytz")
    desk.edit_by_others("xytLzK")
    desk.change("xyz")
    assert desk.text == "xyLzK"


def test_the_most_and_largest_texts_that_a_page_may_show_take_a_moment() -> None:
    random = Random(1)
    base, *others = ("".join(random.choices("abcdefgh \n", k=250_000)) for _ in range(34))
    text, differ = base[:1000] + base[1500:], Differ()
    splices = differ(base, text)
    began = process_time()
    doubtful(base, splices, text, others, differ)
    assert process_time() - began < 0.1


texts = st.text("abc", max_size=8)


@given(texts, texts, st.sets(st.integers(0, 7)))
def test_the_spared_edit_and_its_rest_make_the_text_and_what_was_spared(
    base: str, text: str, spared: set[int]
) -> None:
    splices = diff(base, text)
    edit, rest = sparing(base, splices, spared)
    assert edit.apply(base) == rest.apply(text)
    deleted = {i for splice in splices for i in range(splice.start, splice.end)}
    assert len(edit.apply(base)) == len(text) + len(deleted & spared)


@pytest.mark.parametrize("others", [[], [""], ["abc"]])
def test_without_another_text_nothing_is_doubtful(others: list[str]) -> None:
    assert doubtful("abc", [Splice(1, 2, "")], "ac", others, diff) == set()
