"""The laws of deltas on which merging depends."""

from itertools import combinations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab.merge.delta import IDENTITY, Delta, compose, transform
from collab.merge.splice import Splice, apply_splices, edit_size

from .strategies import deltas, splice_lists, texts


def test_deltas_are_equal_only_if_their_ops_are() -> None:
    """The other tests compare deltas."""
    edits = [IDENTITY, *(Delta.of(*ops) for ops in ((1, "a"), (1, "b"), (2, "a"), (-1,), (-2,)))]
    for first, second in combinations(edits, 2):
        assert first != second
        assert first == Delta(first.ops) and hash(first) == hash(Delta(first.ops))
    assert Delta.of("a") != ("a",)


@given(st.data())
def test_a_delta_does_what_its_splices_do(data: st.DataObject) -> None:
    text = data.draw(texts)
    splices = data.draw(splice_lists(len(text)))
    delta = Delta.from_splices(splices)
    assert delta.apply(text) == apply_splices(text, splices)
    assert Delta.from_splices(delta.to_splices()) == delta
    assert edit_size(delta.to_splices()) == edit_size(splices)


@given(st.data())
def test_a_delta_is_canonical_however_it_was_made(data: st.DataObject) -> None:
    text = data.draw(texts)
    first = data.draw(deltas(len(text)))
    then = data.draw(deltas(len(first.apply(text))))
    for delta in (
        first,
        then,
        compose(first, then),
        *transform(first, data.draw(deltas(len(text)))),
    ):
        assert Delta.of(*delta.ops) == delta


@given(st.data())
def test_composing_equals_applying_one_after_the_other(data: st.DataObject) -> None:
    text = data.draw(texts)
    first = data.draw(deltas(len(text)))
    between = first.apply(text)
    then = data.draw(deltas(len(between)))
    assert compose(first, then).apply(text) == then.apply(between)


@given(st.data())
def test_composing_is_associative(data: st.DataObject) -> None:
    text = data.draw(texts)
    a = data.draw(deltas(len(text)))
    b = data.draw(deltas(len(a.apply(text))))
    c = data.draw(deltas(len(b.apply(a.apply(text)))))
    assert compose(compose(a, b), c).apply(text) == compose(a, compose(b, c)).apply(text)


@given(st.data())
def test_either_order_of_two_edits_ends_equal(data: st.DataObject) -> None:
    """TP1, as deltas and not only as texts."""
    text = data.draw(texts)
    a, b = data.draw(deltas(len(text))), data.draw(deltas(len(text)))
    a_after_b, b_after_a = transform(a, b)
    assert compose(a, b_after_a) == compose(b, a_after_b)
    assert b_after_a.apply(a.apply(text)) == a_after_b.apply(b.apply(text))


@given(st.data())
def test_a_transform_deletes_no_insertion(data: st.DataObject) -> None:
    size = data.draw(st.integers(0, 20))
    letters = iter(map(chr, range(0x4E00, 0x9000)))
    text = "".join(next(letters) for _ in range(size))

    def unique(delta: Delta) -> Delta:
        return Delta.of(
            *("".join(next(letters) for _ in op) if isinstance(op, str) else op for op in delta.ops)
        )

    a, b = unique(data.draw(deltas(size))), unique(data.draw(deltas(size)))
    merged = transform(b, a)[0].apply(a.apply(text))
    kept = (set(text) & set(a.apply(text)) & set(b.apply(text))) | (
        (set(a.apply(text)) | set(b.apply(text))) - set(text)
    )
    assert sorted(merged) == sorted(kept)


def test_a_deletion_splits_around_foreign_text() -> None:
    deletion, insertion = Delta.of(1, -4), Delta.of(3, "new")
    after, _ = transform(deletion, insertion)
    assert after == Delta.of(1, -2, 3, -2)
    assert after.apply(insertion.apply("a1234b")) == "anewb"


def test_the_winners_text_comes_first() -> None:
    ours, theirs = transform(Delta.of(1, "X"), Delta.of(1, "Y"))
    assert ours.apply("aYb") == theirs.apply("aXb") == "aXYb"


def test_two_deletions_of_one_text_delete_it_once() -> None:
    assert transform(Delta.of(1, -3), Delta.of(2, -3)) == (Delta.of(1, -1), Delta.of(1, -1))


def test_neighbours_merge_and_an_insertion_comes_before_a_deletion() -> None:
    assert Delta.of(1, 1, -1, "a", -1, 0, "b", "", 3, 4).ops == (2, "ab", -2)
    assert Delta.of(5).is_identity
    assert Delta.of() == IDENTITY


def test_a_delta_for_a_longer_text_is_refused() -> None:
    with pytest.raises(ValueError, match="reaches 4"):
        Delta.of(3, -1).apply("abc")
    with pytest.raises(ValueError, match="out of order"):
        apply_splices("abc", [Splice(2, 3, ""), Splice(1, 2, "")])


@pytest.mark.no_cover
def test_a_hundred_thousand_edits_are_one_delta() -> None:
    """A member that gets no receive for long costs one delta; nothing recurses or accumulates."""
    random = Random(7)
    start = text = "x" * 2_000
    delta, spot = IDENTITY, 0
    for _ in range(100_000):
        if random.random() < 0.02:
            spot = random.randint(0, len(text))
        if random.random() < 0.55 or not spot:
            edit = Delta.of(spot, "y")
            text = text[:spot] + "y" + text[spot:]
            spot += 1
        else:
            edit = Delta.of(spot - 1, -1)
            text = text[: spot - 1] + text[spot:]
            spot -= 1
        delta = compose(delta, edit)
    assert delta.apply(start) == text
    edit, _ = transform(Delta.of(1_000, "z"), delta)
    assert "z" in edit.apply(text)
