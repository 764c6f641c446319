"""A change is compared with dozens of texts at a bounded price."""

from __future__ import annotations

from random import Random
from time import process_time

import pytest
from hypothesis import given

from collab.merge import differ as module
from collab.merge.choice import choose
from collab.merge.delta import Delta
from collab.merge.diff import MAX_DISTANCE, MAX_QUICK_DISTANCE, diff, quick_diff
from collab.merge.differ import MAX_EFFORT, Differ
from collab.merge.lateness import Habit
from collab.merge.splice import Splice, apply_splices, edit_size
from collab.merge.trail import View
from collab.merge.views import Views
from collab.merge.window import MAX_UNCONFIRMED_VIEWS

from .strategies import texts

LARGEST = 256 * 1024


def _words(size: int, seed: int) -> str:
    return "".join(Random(seed).choices("abcdefgh \n", k=size))


def _full_diffs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list of the texts from which `diff` is computed from now on."""
    computed: list[str] = []

    def counting(old: str, new: str) -> list[Splice]:
        computed.append(old)
        return diff(old, new)

    monkeypatch.setattr(module, "diff", counting)
    return computed


@given(texts, texts)
def test_a_quick_diff_is_minimal_if_the_texts_are_near(old: str, new: str) -> None:
    splices, best = quick_diff(old, new), diff(old, new)
    assert apply_splices(old, splices) == new
    assert splices == best or edit_size(best) > MAX_QUICK_DISTANCE


def test_the_edits_between_near_texts_are_those_of_diff() -> None:
    differ, old = Differ(), _words(3000, 1)
    for number in range(200):
        new = f"<{old[:number]}{old[number + 9 :]}>"
        assert differ(old, new) == diff(old, new)


def test_pastes_are_no_effort(monkeypatch: pytest.MonkeyPatch) -> None:
    computed, differ = _full_diffs(monkeypatch), Differ()
    old = "".join(map(chr, range(0x4E00, 0x4E00 + 3000)))
    for number in range(100):
        differ(old, old[: number + 1] + "paste" * 100 + old[number + 1 :])
        differ(old, old[:number] + old[number + 500 :])
    assert len(computed) == 200


def test_of_many_texts_that_are_far_away_only_a_few_are_compared_exactly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    computed, differ, new = _full_diffs(monkeypatch), Differ(), _words(5000, 0)
    far = [_words(5000, seed) for seed in range(1, 30)]
    first = [differ(old, new) for old in far]
    assert len(computed) == MAX_EFFORT
    assert all(apply_splices(old, edit) == new for old, edit in zip(far, first, strict=True))
    assert [differ(old, new) for old in far] == first, "whatever was computed since"
    assert len(computed) == MAX_EFFORT


def test_a_near_text_is_found_among_many_that_are_far_away() -> None:
    new = _words(5000, 0)
    near = new[:100] + "!" + new[101:4000] + new[4010:]
    candidates = [*(_words(5000, seed) for seed in range(1, 30)), near]
    for place in (0, 15, 29):
        candidates[place], candidates[-1] = candidates[-1], candidates[place]
        index, splices = choose(new, candidates, Differ())
        assert candidates[index] == near
        assert splices == diff(near, new)
        candidates[place], candidates[-1] = candidates[-1], candidates[place]


def test_the_effort_of_a_comparison_grows_with_the_square_of_the_distance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    computed, differ, old = _full_diffs(monkeypatch), Differ(), "." * 5000
    half = MAX_DISTANCE // 2
    for number in range(20 * MAX_EFFORT):
        new = "".join(chr(0x4E00 + 100 * number + at) + "." * 9 for at in range(half))
        differ(old, new + old[9 * half :])
    assert len(computed) == 4 * MAX_EFFORT


def _with_receives(text: str, *, confirmed: bool) -> tuple[Views, str]:
    """Return views with as many receives as there may be, and the replica's text."""
    random, views = Random(3), Views(View(text, Delta()), Habit())
    for number in range(MAX_UNCONFIRMED_VIEWS):
        edit = Delta.of(random.randrange(len(text) - 2), "#", -1)
        text = edit.apply(text)
        now = number / 1000
        views.advance(edit, now)
        reached = views.write(text)
        if confirmed:
            views.confirm(reached, reached, now)
    if not confirmed:
        views.reconnected()
    return views, text


@pytest.mark.no_cover
@pytest.mark.parametrize("confirmed", [True, False], ids=["late", "reconnected"])
@pytest.mark.parametrize("kind", ["rewritten", "shuffled", "indented"])
def test_a_large_change_is_compared_with_all_views_in_a_moment(kind: str, confirmed: bool) -> None:
    lines = [_words(12, seed).replace("\n", "") + "\n" for seed in range(LARGEST // 13)]
    views, present = _with_receives("".join(lines), confirmed=confirmed)
    Random(4).shuffle(lines)
    new = {
        "rewritten": _words(LARGEST, 5),
        "shuffled": "".join(lines),
        "indented": "".join("  " + line for line in present.splitlines(keepends=True)),
    }[kind]
    start = process_time()
    outcome = views.change(new, 0.05, None)
    assert process_time() - start < 0.3, "with an exact diff from each it takes over a second"
    views.check(outcome.delta.apply(present))


@pytest.mark.parametrize("confirmed", [True, False])
def test_the_texts_of_views_are_known_without_their_deltas(confirmed: bool) -> None:
    views, _ = _with_receives("some text", confirmed=confirmed)
    assert views.texts() == [view.text for view in views.views()]
    assert len(views.texts()) > MAX_UNCONFIRMED_VIEWS or confirmed
