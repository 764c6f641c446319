"""Forged updates of every kind: each is merged or refused, and the replica stays whole."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest

from collab.merge.clocks import read_state_vector
from collab.merge.errors import MergeError
from collab.merge.gate import Gate
from collab.merge.limits import Limits
from collab.merge.replay import Examination, Replay
from collab.merge.replica import Replica
from tests.support import forge

from .conftest import EFFORT

LIMITS = Limits(text_bytes=1 << 16, document_bytes=1 << 18)
WORLDS = 150 * EFFORT
CLIENTS = (1, 2, 3, 4)
GC, DELETED, JSON, BINARY, SKIP = 0, 1, 2, 3, 10
CONTENTS = {
    DELETED: (b"\2", 2),
    JSON: (b"\1" + forge.varstring("1"), 1),
    BINARY: (forge.varstring("x"), 1),
    forge.EMBED: (forge.varstring("{}"), 1),
    forge.FORMAT: (forge.varstring("bold") + forge.varstring("true"), 1),
    forge.TYPE: (forge.varuint(forge.TEXT), 1),
    forge.ANY: (b"\2\x7f\x7e", 2),
}
"""Of each kind of content: its bytes, and how many clocks it takes."""

FORGED_FORMATS = (
    "020302000401036d617003efbfbd050104636f6465027b7d040104636f64650378797a010300040104636f646502c3a9"
    "00",
    "0103020546020104626f6c6404747275650501036d6170027b7d850300027b7d00",
    "02020100c40300030003efbfbdc60203020704626f6c640474727565030301040104636f64650661f09f988062040104"
    "636f646503efbfbdc4030002070661f09f9880620103010001",
    "0202030a840100026263810101020204004401000161070104636f6465020103010201",
    "02020402060104636f646504626f6c64047472756542020401013103030e4702040244020404f09f9880c40101030a03"
    "78797a00",
)


def _struct(random: Random, clocks: Counter[int], others: Sequence[int]) -> tuple[bytes, int]:
    """Return a struct, which may refer to anything, and how many clocks it takes.

    It is a string, or of one of the ``others``, which are kinds of content.
    """

    known = [client for client in CLIENTS if clocks[client]] or CLIENTS

    def any_id() -> tuple[int, int]:
        client = random.choice(known)
        return client, random.randrange(clocks[client] + (random.random() < 0.02 or not clocks))

    if random.random() < 0.02:
        size = random.randint(1, 3)
        return bytes([random.choice((GC, SKIP)), size]), size
    kind = random.choice([forge.STRING] * 7 + [*others])
    if kind == forge.STRING:
        text = random.choice(["a", "bc", "😀", "é", "\ufffd", "xyz", "a😀b"])
        content, size = forge.varstring(text), len(text.encode("utf-16-le")) // 2
    else:
        content, size = CONTENTS[kind]
    parent = random.choice([forge.root()] * 8 + [forge.root("map"), forge.inside(any_id())])
    origin, right = (any_id() if clocks and random.random() < 0.5 else None for _ in range(2))
    return forge.struct(kind, content, origin, right, parent), size


def _update(random: Random, clocks: Counter[int], others: Sequence[int]) -> bytes:
    """Return an update; ``clocks`` are how far each client has got."""
    blocks = []
    for client in random.sample(CLIENTS, random.randint(1, 2)):
        structs = []
        clock = end = max(0, clocks[client] + random.choice([0] * 12 + [-1, -2, 1]))
        for _ in range(random.randint(1, 3)):
            struct, size = _struct(random, clocks, others)
            structs.append(struct)
            end += size
        blocks.append((client, clock, structs))
    deletions = []
    if clocks and random.random() < 0.3:
        client = random.choice([*clocks])
        deletions.append((client, [(random.randrange(clocks[client]), random.randint(1, 2))]))
    return forge.update(blocks, deletions)


@pytest.mark.parametrize("others", [(), tuple(CONTENTS)], ids=["strings", "everything"])
def test_whatever_a_forged_update_holds_the_replica_stays_whole(others: Sequence[int]) -> None:
    """Of strings, another node makes the same text. Not always of forged types: yrs sorts them."""
    merged = 0
    for seed in range(WORLDS):
        random, replica, clocks = Random(seed), Replica(), Counter[int]()
        gate, follower = Gate(replica, LIMITS), Replica()
        for _ in range(15):
            update = _update(random, clocks, others)
            before = replica.text
            try:
                edit, repair = gate.admit(update)
            except MergeError:
                assert replica.text == before
                continue
            merged += 1
            clocks = Counter(read_state_vector(replica.state_vector()))
            assert edit.delta.apply(before) == replica.text, seed
            replica.check()
            if not others:
                follower.apply_update(edit.update)
                if repair:
                    follower.apply_update(repair)
                assert follower.text == replica.text, seed
    assert merged > 2 * WORLDS


def test_forged_formatting_does_not_end_the_process() -> None:
    """pycrdt's report of what the last of these changed reads memory that is not its own."""
    replica = Replica()
    gate = Gate(replica, LIMITS)
    for forged in FORGED_FORMATS:
        with contextlib.suppress(MergeError):
            gate.admit(bytes.fromhex(forged))
    replica.check()


def test_a_replay_of_forged_formatting_does_not_end_the_process() -> None:
    """The journal of an older version may contain it."""
    updates = [bytes.fromhex(forged) for forged in FORGED_FORMATS]
    examination = Examination()
    for update in updates:
        examination.add(update)
    replay = Replay(needs_replica=examination.needs_replica)
    for update in updates:
        before = replay.text
        assert replay.play(update).apply(before) == replay.text
