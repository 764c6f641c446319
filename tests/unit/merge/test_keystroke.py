"""A keystroke is read and admitted as every update is, only in fewer steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycrdt import Doc, Text

from collab.merge.clocks import read_state_vector
from collab.merge.delta import Delta
from collab.merge.errors import MergeError
from collab.merge.gate import Gate
from collab.merge.keystroke import read_keystroke
from collab.merge.limits import Limits
from collab.merge.replica import Edit, Replica
from collab.merge.survey import EMPTY_UPDATE
from collab.merge.update_reader import survey
from tests.support import forge

from .conftest import EFFORT

LIMITS = Limits(text_bytes=300, document_bytes=1 << 18)
CLIENTS = (1, 2, 200, 2**32 - 1)
WORLDS = 60 * EFFORT

ids = st.tuples(st.sampled_from(CLIENTS), st.sampled_from((0, 1, 5, 127, 128, 70_000)))


@st.composite
def updates(draw: st.DrawFn) -> bytes:
    """Return an update that is a keystroke, or nearly so, or no update at all."""
    blocks, deletions = [], []
    if draw(st.booleans()):
        kind = draw(st.sampled_from([forge.STRING] * 9 + [forge.EMBED, 0, 1, 10]))
        content = forge.varstring(
            draw(st.sampled_from(["", "a", "a\n", "a" * 200, "é", "a漢", "😀", "\ufffd"]))
        )
        origin, right = draw(st.none() | ids), draw(st.none() | ids)
        parent = draw(st.sampled_from([forge.root(), forge.root("map"), forge.inside((1, 0))]))
        structs = [forge.struct(kind, content, origin, right, parent)]
        blocks.append((*draw(ids), structs * draw(st.sampled_from((1, 1, 1, 0, 2)))))
    if draw(st.booleans()):
        client, start = draw(ids)
        deletions.append((client, [(start, draw(st.integers(0, 130)))]))
        if draw(st.booleans()):
            deletions[0][1].append((start + 500, 1))
    update = bytearray(forge.update(blocks, deletions))
    if draw(st.integers(0, 3)) == 0:
        update[draw(st.integers(0, len(update) - 1))] = draw(st.integers(0, 255))
    return bytes(update) + draw(st.sampled_from([b""] * 9 + [b"\0"]))


@given(updates())
def test_what_is_read_as_a_keystroke_is_what_a_survey_finds(update: bytes) -> None:
    stroke = read_keystroke(update)
    if stroke is None:
        return
    seen = survey(update)
    end = stroke.clock + stroke.units
    assert seen.runs == ([(stroke.client, stroke.clock, end)] if stroke.size else [])
    assert seen.deleted == ([stroke.deleted] if stroke.deleted else [])
    assert [
        (client, clock)
        for client, clock in stroke.needs
        if client != stroke.client or clock >= stroke.clock
    ] == seen.needs
    assert seen.built == (stroke.size > 0)
    assert not (seen.strings or seen.has_halves or seen.has_formats or seen.types)
    assert not seen.joinable


def _typed(change: Callable[[Text], object]) -> bytes:
    """Return the update of a change of a shared text "text"."""
    doc: Doc[Text] = Doc(client_id=2**53 - 1)
    text = doc.get("code", type=Text)
    text += "text"
    before = doc.get_state()
    change(text)
    return doc.get_update(before)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.insert(0, "a"),
        lambda text: text.insert(2, "pasted\r\n"),
        lambda text: text.insert(4, "\n"),
        lambda text: text.insert(4, "é"),
        lambda text: text.__delitem__(slice(1, 2)),
        lambda text: text.__setitem__(slice(1, 3), "b"),
    ],
)
def test_typing_makes_keystrokes(change: Callable[[Text], object]) -> None:
    assert read_keystroke(_typed(change)) is not None


@pytest.mark.parametrize("update", [b"", b"\0", EMPTY_UPDATE, b"\1\1", b"\xff" * 20])
def test_nothing_is_no_keystroke(update: bytes) -> None:
    assert read_keystroke(update) is None


def _struct(random: Random, clocks: Counter[int]) -> tuple[bytes, int]:
    """Return a struct beside any others, mostly of ASCII text, and its size in clocks."""

    def any_id() -> tuple[int, int]:
        client = random.choice([*clocks])
        return client, random.randrange(clocks[client] + (random.random() < 0.02))

    origin, right = (any_id() if clocks and random.random() < 0.7 else None for _ in range(2))
    if random.random() < 0.02:
        content, size = forge.varstring("{}"), 1
        return forge.struct(forge.EMBED, content, origin, right), size
    if random.random() < 0.02:
        inner = forge.varuint(forge.TEXT)
        return forge.struct(forge.TYPE, inner, origin, right), 1
    text = random.choice(["a", "b\n", "xyz", "é", "漢a"] * 20 + ["\ufffd", "c" * 90])
    parent = random.choice([forge.root()] * 30 + [forge.root("map")])
    size = len(text.encode("utf-16-le")) // 2
    return forge.struct(forge.STRING, forge.varstring(text), origin, right, parent), size


def _update(random: Random, clocks: Counter[int]) -> bytes:
    blocks, deletions = [], []
    if not clocks or random.random() < 0.8:
        client = random.choice(CLIENTS)
        clock = max(0, clocks[client] + random.choice([0] * 20 + [-1, 1]))
        struct, _ = _struct(random, clocks)
        blocks.append((client, clock, [struct]))
    if clocks and random.random() < 0.3:
        client = random.choice([*clocks])
        start = random.randrange(clocks[client])
        deletions.append((client, [(start, random.randint(0, 2))]))
    return forge.update(blocks, deletions)


class _Careful(Gate):
    """A gate that admits every update step by step."""

    def admit_keystroke(self, update: bytes) -> Edit | None:
        return None


def _admit(gate: Gate, update: bytes) -> object:
    try:
        return gate.admit(update)
    except MergeError as problem:
        return str(problem)


def test_a_keystroke_changes_what_it_changes_step_by_step() -> None:
    """Also if it is forged, and whatever the document holds; the text's limit is the same."""
    short = 0
    for seed in range(WORLDS):
        random, clocks = Random(seed), Counter[int]()
        replica, other = Replica(client_id=9), Replica(client_id=9)
        gate, careful = Gate(replica, LIMITS), _Careful(other, LIMITS)
        follower = Replica()
        for _ in range(40):
            update = _update(random, clocks)
            expected = read_keystroke(update)
            short += expected is not None and replica.expects(expected)
            outcome = _admit(gate, update)
            careful_outcome = _admit(careful, update)
            if careful_outcome == "the replica cannot be copied":
                break  # yrs sorts some forged structs otherwise if they come all at once
            assert outcome == careful_outcome, (seed, update)
            assert replica.state() == other.state(), (seed, update)
            assert (replica.text, replica.structs) == (other.text, other.structs)
            replica.check()
            if isinstance(outcome, tuple):
                edit, repair = outcome
                for each in (edit.update, repair or EMPTY_UPDATE):
                    follower.apply_update(each)
                assert follower.state_vector() == replica.state_vector()
                follower.check()
            clocks = Counter(read_state_vector(replica.state_vector()))
            if random.random() < 0.1:
                update = replica.edit(Delta.of(random.randint(0, len(replica.text)), "!"))
                assert careful._replica.apply_update(update)
                follower.apply_update(update)
    assert short > 5 * WORLDS
