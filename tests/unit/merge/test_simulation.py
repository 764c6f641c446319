"""Naive clients on slow links end equal, and lose nothing."""

from dataclasses import replace

import pytest

from .conftest import EFFORT
from .simulator import Setting, World

RACE = Setting(nodes=1, clients=3, edits=40, delay=0.1, pause=0.1, torn=0.0)
FREE = Setting(clients=4, edits=40, delay=0.3, pause=0.1, unique=False, resets=True)


def _seeds(count: int) -> range:
    return range(count * EFFORT)


@pytest.mark.timeout(60 * EFFORT)
@pytest.mark.parametrize(
    "setting",
    [
        RACE,
        replace(RACE, clients=6, pause=0.02, edits=25),
        replace(RACE, nodes=2, clients=2, delay=0.3),
        replace(RACE, nodes=4, clients=6, pause=0.2, edits=25, heartbeat=0.3),
        replace(RACE, nodes=2, clients=4, echoes=0.4),
        replace(RACE, clients=4, echoes=1.0, pause=0.02, edits=20),
    ],
    ids=["one node", "a crowd", "two nodes", "four nodes", "some echo", "all echo"],
)
def test_every_character_is_there_exactly_once_unless_somebody_deleted_it(
    setting: Setting,
) -> None:
    """From the first letter on, with marks next to their receives on the wire."""
    typed = 0
    for seed in _seeds(6):
        world = World(seed, setting)
        world.run()
        assert (world.lost(), world.risen()) == (set(), set()), f"seed {seed}"
        assert setting.echoes or not world.guesses, f"seed {seed}"
        typed += len(world.typed)
    assert typed > 500


@pytest.mark.timeout(60 * EFFORT)
def test_where_no_view_was_guessed_nothing_is_lost() -> None:
    """Where a mark and its receive arrive apart, the smallest edit decides, and can be wrong."""
    typed = harmed = 0
    for seed in _seeds(15):
        setting = Setting(nodes=1 + seed % 3, clients=2 + seed % 3, edits=25, torn=0.1)
        world = World(seed, setting)
        world.run()
        harm = len(world.lost() | world.risen())
        assert not harm or world.guesses
        typed += len(world.typed)
        harmed += harm
    assert harmed <= typed * 0.002


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
    """Whatever people do: pastes, undo, resets, empty texts."""
    for seed in _seeds(6):
        World(seed, setting).run()


def test_echoing_clients_make_nothing_grow() -> None:
    for seed in _seeds(5):
        setting = Setting(nodes=2, clients=4, typists=1, edits=20, echoes=1.0)
        world = World(seed, setting)
        world.clients[0].echoes = False
        world.run()
        assert not world.lost()
        assert not world.risen()
        text = world.nodes[0].replica.text
        assert len(text) == len(set(text)) <= len(world.typed)


def test_a_single_typist_gets_nothing_and_the_others_no_more_than_the_plain_protocol() -> None:
    for seed in _seeds(10):
        world = World(seed, Setting(nodes=2, clients=4, typists=1, edits=40, start="wxyz"))
        typist, *others = world.clients
        world.run()
        joined = 1
        assert typist.received <= joined
        assert all(other.received <= typist.sent + joined for other in others)
        assert not world.lost()
        assert not world.risen()
