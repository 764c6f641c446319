"""An edit at thousands of places costs little, wherever it comes from, and stays right."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab.merge import splice as module
from collab.merge import trail
from collab.merge.delta import Delta, transform
from collab.merge.diff import MAX_LINES, diff
from collab.merge.lateness import Habit
from collab.merge.replica import Replica
from collab.merge.splice import MAX_SPLICES, Splice, apply_splices, joined
from collab.merge.trail import MAX_OPS, Trail, View
from collab.merge.units import byte_ops
from collab.merge.views import Views

LINES = [f"value[{number % 97}] = 7" for number in range(20_000)]
TEXT = "\n".join(LINES)


def _indented(seed: int = 1) -> str:
    random = Random(seed)
    return "\n".join(" " * random.randrange(6) + line for line in LINES)


def _scattered(places: int) -> tuple[str, Delta]:
    """Return a text, and an edit of it at that many places."""
    ops: list[int | str] = []
    for number in range(places):
        ops += (9, "ab" if number % 2 else -1)
    return "abcdefghi\n" * places, Delta.of(*ops)


def test_twenty_thousand_lines_indented_at_random_are_a_few_hundred_short_splices() -> None:
    new = _indented()
    splices = diff(TEXT, new)
    assert apply_splices(TEXT, splices) == new
    assert MAX_SPLICES // 4 < len(splices) <= MAX_SPLICES
    assert max(splice.end - splice.start for splice in splices) < 3 * len(TEXT) / MAX_SPLICES
    operations = [*byte_ops(TEXT, Delta.from_splices(splices))]
    assert len(operations) <= 2 * MAX_SPLICES


@pytest.mark.no_cover
def test_a_change_that_indents_twenty_thousand_lines_at_random_takes_a_moment() -> None:
    replica = Replica()
    replica.edit(Delta.of(TEXT))
    views = Views(View(TEXT, Delta()), Habit())
    start = process_time()
    outcome = views.change(_indented(), 0.0, None)
    replica.edit(outcome.delta)
    assert process_time() - start < 0.3, "with a splice a line it takes 1.4 s"
    views.check(replica.text)


def test_a_letter_that_another_types_between_the_lines_stays_near_its_place() -> None:
    edit = Delta.from_splices(diff(TEXT, _indented()))
    place = TEXT.index("\n", len(TEXT) // 2)
    ours, theirs = transform(Delta.of(place, "#"), edit)
    text = theirs.apply(Delta.of(place, "#").apply(TEXT))
    assert text == ours.apply(edit.apply(TEXT))
    assert text.replace("#", "") == _indented()
    lines_before = text[: text.index("#")].count("\n")
    assert abs(lines_before - TEXT[:place].count("\n")) < 4 * len(LINES) / MAX_SPLICES


def test_texts_of_more_lines_than_are_compared_differ_in_one_place() -> None:
    old, new = "x" + "a\n" * (MAX_LINES + 1), "b\n" * (MAX_LINES + 1) + "y"
    assert diff(old, new) == [Splice(0, len(old), new)]
    old, new = old.replace("\n", "\r"), new.replace("\n", "\r")
    assert diff(old, new) == [Splice(0, len(old), new)]


@given(
    st.text("ab", max_size=60),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 3), st.text("xy", max_size=2))),
    st.integers(3, 8),
)
def test_joined_splices_make_the_same_edit_and_are_few(
    text: str, places: list[tuple[int, int, str]], limit: int
) -> None:
    splices: list[Splice] = []
    position = 0
    for start, size, insert in sorted(places):
        if position < start and start + size <= len(text) and (size or insert):
            splices.append(Splice(start, start + size, insert))
            position = start + size
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_SPLICES", limit)
        found = joined(text, splices)
    assert apply_splices(text, found) == apply_splices(text, splices)
    assert len(found) <= limit
    assert found == splices or len(splices) > limit
    assert all(one.end < other.start for one, other in pairwise(found))


def test_far_apart_splices_are_not_joined() -> None:
    text, delta = _scattered(1000)
    splices = [*delta.to_splices(), Splice(len(text) + 50_000, len(text) + 50_000, "!")]
    assert joined(text + " " * 60_000, splices)[-1] == splices[-1]


def test_the_delta_of_an_update_at_thousands_of_places_is_coarse() -> None:
    text, delta = _scattered(3000)
    writer, reader = Replica(), Replica()
    reader.apply_update(writer.edit(Delta.of(text)))
    edit = reader.apply_update(writer.edit(delta))
    assert edit.delta.apply(text) == reader.text == writer.text
    assert len(edit.delta.to_splices()) <= MAX_SPLICES < len(delta.to_splices())
    reader.check()


def test_a_delta_of_few_splices_is_as_coarse_as_it_is() -> None:
    text, delta = _scattered(MAX_SPLICES // 4)
    assert delta.coarse(text) is delta


@pytest.mark.parametrize("texts", [1, 4])
def test_the_delta_of_a_view_does_not_grow_with_the_edits_of_others(texts: int) -> None:
    random = Random(7)
    text = "abcdefghi\n" * 3000
    view, steps, replica = View(text, Delta()), Trail(), text
    for number in range(2000):
        if number % (2000 // texts) == 0:
            steps.append(replica)
        edit = Delta.of(random.randrange(len(replica)), "x" if random.random() < 0.5 else -1)
        replica = edit.apply(replica)
        view = view.advanced(edit)
        steps.advance(edit)
        assert len(view.to_present.ops) <= MAX_OPS
    for each in (view, *steps.views()):
        assert each.to_present.apply(each.text) == replica
        assert len(each.to_present.ops) <= MAX_OPS
    assert steps.views()[-1].to_present == view.to_present or texts > 1
    oldest = steps.pop_through(1)
    assert oldest is not None and oldest.to_present.apply(text) == replica


def test_a_view_within_the_bound_is_as_exact_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    text, delta = _scattered(MAX_OPS // 4)
    assert len(delta.ops) <= MAX_OPS
    assert View(text, delta).advanced(Delta.of("x")).to_present == Delta.of("x", *delta.ops)
    monkeypatch.setattr(trail, "MAX_OPS", len(delta.ops))
    coarse = View(text, delta).advanced(Delta.of("x"))
    assert len(coarse.to_present.to_splices()) <= MAX_SPLICES
    assert coarse.to_present.apply(text) == "x" + delta.apply(text)
