"""The states that clients show each other: the same as pycrdt's `Awareness` keeps, in less."""

from __future__ import annotations

import json
import random
import time

import pytest
from pycrdt import Awareness, Doc

from collab.merge.awareness import AwarenessStates
from collab.merge.encoding import packed

CLIENTS = (1, 2, 2**32 - 1)


@pytest.mark.parametrize("seed", range(20))
def test_the_states_and_clocks_are_those_that_pycrdt_would_have(seed: int) -> None:
    rng = random.Random(seed)
    ours, theirs = AwarenessStates(), Awareness(Doc())
    theirs.set_local_state(None)
    for step in range(200):
        client, clock = rng.choice(CLIENTS), rng.randrange(step // 10 + 2)
        state = rng.choice([None, {}, {"user": {"name": "Zoë", "step": step}}])
        ours.set(client, clock, state)
        update = packed(1) + packed(client, clock, json.dumps(state).encode())
        theirs.apply_awareness_update(update, None)
        for each in CLIENTS:
            assert ours.state(each) == theirs.states.get(each)
            assert ours.has_state(each) == (each in theirs.states)
            assert (each in ours) == (each in theirs.meta)
            if each in ours:
                assert ours.next_clock(each) == theirs.meta[each]["clock"] + 1
        assert ours.clients() == set(theirs.states)


def test_a_state_with_no_later_clock_changes_nothing() -> None:
    states = AwarenessStates()
    states.set(1, 5, {"at": "five"})
    for clock in (4, 5):
        states.set(1, clock, {"at": "later"})
    assert states.state(1) == {"at": "five"}
    states.set(1, 5, None)
    assert not states.has_state(1) and 1 in states


def test_clocks_of_states_that_are_gone_are_forgotten_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    states = AwarenessStates()
    states.set(1, 1, {})
    states.set(2, 1, {})
    states.set(2, 2, None)
    states.forget(60)
    assert 2 in states and not states.is_older(2, 60) and states.is_older(2, 0)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    assert states.is_older(1, 60)
    states.forget(60)
    assert 1 in states and 2 not in states
