"""Naive pages on slow links end with equal texts, and lose nothing."""

from dataclasses import replace

import pytest

from collab.merge.lateness import Habit

from .conftest import EFFORT
from .simulator import Setting, World
from .worlds import (
    ASKING,
    AT_ONCE,
    CUT_OFF,
    KEEPING,
    LATE,
    MOUNTING,
    SENT_AWAY,
    TORN,
    WORLDS,
)

FREE = Setting(clients=4, edits=40, delay=0.3, pause=0.1, unique=False, resets=True)
FEW = 0.002
"""The share of letters that guesses may harm in a test: twice the promised share."""


def _seeds(count: int) -> range:
    return range(count * EFFORT)


def _shares(setting: Setting, runs: int) -> tuple[float, float]:
    """Return the shares of letters that are lost and that have risen; all pages are of one site."""
    habit, typed, lost, risen = Habit(), 0, 0, 0
    for seed in _seeds(runs):
        world = World(seed, setting, habit)
        world.run()
        typed += len(world.typed)
        lost += len(world.lost())
        risen += len(world.risen())
    assert typed > 500
    return lost / typed, risen / typed


@pytest.mark.timeout(60 * EFFORT)
@pytest.mark.parametrize("name", [*AT_ONCE, *ASKING, *SENT_AWAY, *MOUNTING])
def test_every_character_is_there_exactly_once_unless_somebody_deleted_it(name: str) -> None:
    """From the first letter on, with marks next to their receives on the wire."""
    typed = 0
    for seed in _seeds(6):
        world = World(seed, WORLDS[name])
        world.run()
        assert (world.lost(), world.risen()) == (set(), set()), f"seed {seed}"
        if name in AT_ONCE and not world.setting.echoes:
            assert not world.guesses, f"seed {seed}"
        typed += len(world.typed)
    assert typed > 500


@pytest.mark.timeout(60 * EFFORT)
def test_where_no_view_was_guessed_nothing_is_lost() -> None:
    """When a mark and its receive arrive apart, the smallest edit decides, and can be wrong."""
    typed = harmed = 0
    for seed in _seeds(15):
        setting = replace(*TORN.values(), nodes=1 + seed % 3, clients=2 + seed % 3)
        world = World(seed, setting)
        world.run()
        harm = len(world.lost() | world.risen())
        assert not harm or world.guesses
        typed += len(world.typed)
        harmed += harm
    assert harmed <= typed * FEW


@pytest.mark.timeout(60 * EFFORT)
@pytest.mark.parametrize("name", KEEPING)
def test_pages_that_keep_changes_until_others_are_acknowledged_lose_few_letters(name: str) -> None:
    assert sum(_shares(WORLDS[name], 15)) <= FEW


@pytest.mark.timeout(60 * EFFORT)
def test_pages_that_keep_changes_would_lose_many_letters_if_waiting_were_not_detected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("collab.merge.turns.Turns.before_acknowledgement", lambda _: None)
    assert max(_shares(WORLDS["all keep changes"], 5)) > 10 * FEW


@pytest.mark.timeout(60 * EFFORT)
@pytest.mark.parametrize("name", LATE)
def test_late_pages_lose_few_letters(name: str) -> None:
    few = FEW if name == "16 ms late" else 4 * FEW
    assert max(_shares(WORLDS[name], 15)) <= few


@pytest.mark.timeout(60 * EFFORT)
def test_late_pages_would_lose_many_letters_if_none_counted_as_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Show that the test above would fail without `late_edit`."""
    monkeypatch.setattr("collab.merge.lateness.late_edit", lambda *_: None)
    assert max(_shares(WORLDS["16 ms late"], 5)) > 10 * FEW


@pytest.mark.timeout(60 * EFFORT)
@pytest.mark.parametrize("name", CUT_OFF)
def test_broken_links_lose_few_letters(name: str) -> None:
    """A deletion of nearly all text as the link breaks may be undone: the page looks blank."""
    lost, risen = _shares(WORLDS[name], 15)
    assert lost <= 2 * FEW
    assert risen <= 5 * FEW


@pytest.mark.timeout(60 * EFFORT)
@pytest.mark.parametrize(
    "setting",
    [
        replace(FREE, start="def f():\n    return 1\n"),
        replace(FREE, alphabet="a", start="aaaa", nodes=2),
        replace(FREE, alphabet="e\u0301😀👍🏽\n", nodes=4, echoes=0.3),
        replace(FREE, nodes=3, clients=6, edits=20, pause=0.5, torn=0.5),
    ],
    ids=["code", "one letter", "wide characters", "torn"],
)
def test_everyone_ends_with_the_same_text(setting: Setting) -> None:
    """For all kinds of edits: pastes, undo, resets, empty texts."""
    for seed in _seeds(6):
        World(seed, setting).run()


def test_echoing_clients_make_nothing_grow() -> None:
    for seed in _seeds(5):
        setting = Setting(nodes=2, clients=4, typists=1, edits=20, echoes=1.0)
        world = World(seed, setting)
        world.pages[0].echoes = False
        world.run()
        assert not world.lost()
        assert not world.risen()
        text = world.nodes[0].replica.text
        assert len(text) == len(set(text)) <= len(world.typed)


def test_a_single_typist_gets_nothing_and_the_others_no_more_than_the_plain_protocol() -> None:
    for seed in _seeds(10):
        world = World(seed, Setting(nodes=2, clients=4, typists=1, edits=40, start="wxyz"))
        typist, *others = world.pages
        world.run()
        joined = 1
        assert typist.received <= joined
        assert all(other.received <= typist.sent + joined for other in others)
        assert not world.lost()
        assert not world.risen()
