"""Joining, slicing and measuring updates changes no document."""

from random import Random
from typing import Any

import pytest
from pycrdt import Array, Doc, Map, Text, merge_updates

from collab.merge.replica import Replica
from collab.merge.structs import Nesting, joined, slices
from collab.merge.update_reader import SKIP, structs_of, survey
from tests.support import forge

from .conftest import EFFORT

LETTERS = "ab\né😀"


class Author:
    """A document that others edit too, and the updates that were made in it."""

    def __init__(self) -> None:
        self.doc: Doc[Any] = Doc()
        self.text = self.doc.get("code", type=Text)
        self.array = self.doc.get("array", type=Array)
        self.map = self.doc.get("map", type=Map)
        self.updates: list[bytes] = []
        self.doc.observe(lambda event: self.updates.append(event.update))

    def work(self, random: Random) -> None:
        """Edit one of the types: mostly append to the text."""
        choice = random.random()
        cuts = [0]  # between two characters, in bytes
        for character in str(self.text):
            cuts.append(cuts[-1] + len(character.encode()))
        if choice < 0.5:
            self.text.insert(cuts[-1], random.choice(LETTERS))
        elif choice < 0.6:
            self.text.insert(random.choice(cuts), random.choice(LETTERS) * 3)
        elif choice < 0.7 and len(cuts) > 1:
            at = random.randrange(len(cuts) - 1)
            del self.text[cuts[at] : cuts[at + 1]]
        elif choice < 0.8:
            self.array.append(random.choice((1, "two", None, {"a": [1.5]})))
        elif choice < 0.9:
            self.map[random.choice("xyz")] = random.choice((1, Map({"in": Array([1])}), Text("t")))
        elif len(self.array):
            self.array.insert(random.randrange(len(self.array)), Array([Map({"k": 1})]))

    def everything(self) -> Any:
        return str(self.text), self.array.to_py(), self.map.to_py()


def _work_together(seed: int) -> tuple[bytes, Any]:
    """Return one update with all structs of several authors, not joined, and its content."""
    random = Random(seed)
    authors = [Author() for _ in range(3)]
    applied = [0, 0, 0]
    journal: list[bytes] = []
    for _ in range(60):
        number = random.randrange(3)
        author = authors[number]
        for update in journal[applied[number] :]:
            author.doc.apply_update(update)
        author.updates.clear()
        for _ in range(random.randint(1, 4)):
            author.work(random)
        journal += author.updates
        applied[number] = len(journal)
    reader = Author()
    for update in journal:
        reader.doc.apply_update(update)
    return merge_updates(*journal), reader.everything()


def _read(*updates: bytes) -> Any:
    reader = Author()
    for update in updates:
        reader.doc.apply_update(update)
    return reader.everything()


def _count(update: bytes) -> int:
    blocks, _ = structs_of(update)
    return sum(struct.kind != SKIP for block in blocks for struct in block)


@pytest.mark.parametrize("seed", range(10 * EFFORT))
def test_a_joined_update_makes_the_same_document_with_fewer_structs(seed: int) -> None:
    update, made = _work_together(seed)
    shorter = joined(update)
    before, after = survey(update), survey(shorter)
    assert before.joinable > 0
    assert after.joinable == 0
    assert after.built == before.built - before.joinable
    assert (after.runs, after.deleted) == (before.runs, before.deleted)
    assert _read(shorter) == made
    assert joined(shorter) == shorter


@pytest.mark.parametrize("seed", range(10 * EFFORT))
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_slices_build_on_those_before_them_and_make_the_same_document(seed: int, size: int) -> None:
    update, made = _work_together(seed)
    parts = list(slices(update, size))
    assert max(_count(part) for part in parts) <= size
    assert sum(_count(part) for part in parts) == _count(update)
    replica = Replica()
    for part in parts:
        replica.apply_update(part)  # it would refuse a slice that came too early
        replica.check()
    assert _read(*parts) == _read(replica.state()) == made


def test_structs_that_need_each_other_are_all_in_the_slices() -> None:
    circle = forge.update([
        (1, 0, [forge.struct(forge.STRING, forge.varstring("a"), origin=(2, 0))]),
        (2, 0, [forge.struct(forge.STRING, forge.varstring("b"), origin=(1, 0))]),
    ])  # fmt: skip
    runs = [run for part in slices(circle, 1) for run in survey(part).runs]
    assert sorted(runs) == [(1, 0, 1), (2, 0, 1)]


def test_successive_letters_are_joined_only_if_their_right_origins_are_equal() -> None:
    """Two letters at one place are one struct only if both were typed before the same letter."""
    apart = forge.update([(1, 0, [
        forge.struct(forge.STRING, forge.varstring("ac")),
        forge.struct(forge.STRING, forge.varstring("b"), origin=(1, 1), right=(1, 0)),
        forge.struct(forge.STRING, forge.varstring("c"), origin=(1, 2)),
    ])])  # fmt: skip
    assert joined(apart) == apart


@pytest.mark.parametrize("kind", [forge.ARRAY, forge.MAP, forge.TEXT])
def test_nesting_is_counted_across_updates(kind: int) -> None:
    nesting = Nesting()
    assert nesting.add(forge.nested(7, 3, kind=kind)) == 3
    assert nesting.add(forge.nested(7, 5, first=3, kind=kind)) == 8
    assert nesting.add(forge.nested(7, 5, first=3, kind=kind)) == 8


def test_a_struct_beside_a_nested_type_is_as_deep() -> None:
    """A struct with an origin does not name its parent: it has the parent of its origin."""
    nesting = Nesting()
    nesting.add(forge.nested(7, 3))
    beside = forge.struct(forge.TYPE, forge.varuint(forge.ARRAY), origin=(7, 2))
    deeper = forge.struct(forge.TYPE, forge.varuint(forge.ARRAY), parent=forge.inside((8, 0)))
    assert nesting.add(forge.update([(8, 0, [beside]), (9, 0, [deeper])])) == 4
