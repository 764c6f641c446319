"""Updates that no editor sends are refused before yrs reads them, quickly, and change nothing."""

import gc
from collections.abc import Iterator
from dataclasses import replace
from time import process_time

import pytest
from pycrdt import Doc, Text

from collab.merge.clocks import read_state_vector
from collab.merge.delta import Delta
from collab.merge.errors import (
    BadUpdate,
    DocumentTooLarge,
    EarlyUpdate,
    MergeError,
    UpdateTooLarge,
)
from collab.merge.gate import MAX_MERGE_SECONDS, Gate
from collab.merge.limits import Limits
from collab.merge.replica import Edit, Replica
from tests.support import forge

LIMITS = Limits(text_bytes=1 << 18, document_bytes=1 << 22)
SMALL = Limits(text_bytes=100, document_bytes=2000, document_structs=50, update_structs=30,
               update_ranges=10, nesting=3, state_vector=5)  # fmt: skip

HOSTILE = {
    "types that lie in each other": forge.nested(7, 40_000),
    "a few types too many in each other": forge.nested(7, LIMITS.nesting + 1),
    "letters typed one by one": forge.typed(7, 40_000),
    "letters typed one by one, in a whole frame": forge.typed(7, 300_000),
    "values put one behind the other": forge.values(7, 20_000),
    "one list of values": forge.update([(7, 0, [
        forge.struct(forge.ANY, forge.varuint(500_000) + b"\x7f" * 500_000)
    ])]),
    "letters that are compared with all others": forge.conflicting(7, 9_000),
    "deletions": forge.deleted(7, *((2 * clock, 1) for clock in range(300_000))),
    "deletions of nobody's": forge.update([], [(client, []) for client in range(300_000)]),
    "runs without structs": forge.update([(client, 0, []) for client in range(300_000)]),
}  # fmt: skip


def _with(text: str) -> Replica:
    replica = Replica()
    replica.edit(Delta.of(text))
    return replica


@pytest.mark.no_cover
@pytest.mark.parametrize("case", HOSTILE)
def test_an_update_that_costs_too_much_is_refused_and_changes_nothing(case: str) -> None:
    replica = _with("text")
    gate = Gate(replica, LIMITS)
    before = replica.state()
    start = process_time()
    with pytest.raises(UpdateTooLarge):
        gate.admit(HOSTILE[case])
    assert process_time() - start < MAX_MERGE_SECONDS + 0.5
    assert replica.state() == before
    gate.admit(_with("honest").state())
    replica.check()


def _scattered_letters(letters: int) -> bytes:
    """Return the update of a client that types each letter at another place."""
    doc: Doc[Text] = Doc()
    text = doc.get("code", type=Text)
    for number in range(letters):
        text.insert(number * 7919 % (number + 1), "x")
    return doc.get_update()


WHOLE = forge.update([(7, 0, [forge.struct(forge.STRING, forge.varstring("a" * 30_000))])])
LARGE = {
    "letters all over": _scattered_letters(LIMITS.update_structs),
    "letters typed one by one": forge.typed(9, LIMITS.update_structs),
    "letters of many clients": forge.update([
        (client, 0, [
            forge.struct(forge.STRING, b"\1a", (7, 2 * client), (7, 2 * client + 1))
        ])
        for client in range(10, LIMITS.state_vector)
    ]),
    "letters that are compared with all others": forge.conflicting(9, 600),
    "deletions": forge.deleted(7, *((2 * clock, 1) for clock in range(LIMITS.update_ranges))),
    "embeds": forge.update([
        (9, 0, [forge.struct(forge.EMBED, forge.varstring("{}"))] * LIMITS.update_structs)
    ]),
    "halves of pairs": forge.update([
        (9, 0, [forge.struct(forge.STRING, forge.varstring("\ufffda" * 50_000))])
    ]),
    "pairs": forge.update([
        (9, 0, [forge.struct(forge.STRING, forge.varstring("😀" * 50_000))])
    ]),
}  # fmt: skip


@pytest.fixture
def only_own_garbage() -> Iterator[None]:
    """Keep the collector from what other tests have left: a node does not have it."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.no_cover
@pytest.mark.usefixtures("only_own_garbage")
@pytest.mark.parametrize("case", LARGE)
def test_an_update_at_its_limits_is_merged_in_short_steps(case: str) -> None:
    replica = Replica()
    gate = Gate(replica, LIMITS)
    gate.admit(WHOLE)
    before, typed, longest = replica.text, 0, 0.0
    steps, start = gate.steps(LARGE[case]), process_time()
    for admitted in steps:
        longest = max(longest, process_time() - start)
        if admitted is None:
            assert (replica.text, replica.version) == ("!" * typed + before, typed + 1)
        if typed < 5:
            replica.edit(Delta.of("!"))  # another member types meanwhile
            typed += 1
        start = process_time()
    longest = max(longest, process_time() - start)
    assert typed
    assert longest < 0.15, "in one step it takes up to 0.3 s"
    assert replica.text.startswith("!" * typed)
    assert replica.version > typed + 1
    gate.admit(forge.update([(8, 0, [forge.struct(forge.STRING, forge.varstring("later"))])]))
    assert "later" in replica.text
    replica.check()


def _formatted(places: int, size: int) -> tuple[bytes, bytes, str]:
    """Return a pasted text, an update that inserts at that many places of it, and the result."""
    doc: Doc[Text] = Doc()
    text = doc.get("code", type=Text)
    text += "a" * size
    pasted, vector = doc.get_update(), doc.get_state()
    with doc.transaction():
        for place in range(size, 0, -size // places):  # from the end: then none moves another
            text.insert(place, "b")
    return pasted, doc.get_update(vector), str(text)


@pytest.mark.no_cover
def test_a_formatters_edit_of_a_large_text_that_was_pasted_is_merged_in_parts() -> None:
    """Its time grows with the places and with the text, and it is honest."""
    text, update, result = _formatted(2000, 250_000)
    replica = Replica()
    gate = Gate(replica, LIMITS)
    gate.admit(text)
    longest, edits, start = 0.0, list[Edit](), process_time()
    for admitted in gate.steps(update):
        longest = max(longest, process_time() - start)
        if admitted is not None:
            edits.append(admitted[0])
        start = process_time()
    assert longest < 0.12, "in one step it takes 0.2 s"
    assert len(edits) > 3
    assert replica.text == result
    shown = "a" * 250_000
    other = Replica()
    other.apply_update(text)
    for edit in edits:
        shown = edit.delta.apply(shown)
        other.apply_update(edit.update)
    assert shown == other.text == result
    replica.check()


def test_an_ordinary_update_is_merged_in_one_step() -> None:
    gate = Gate(_with("text"), LIMITS)
    (admitted,) = gate.steps(_scattered_letters(20))
    assert admitted is not None and len(admitted[0].delta.apply("text")) == 24


def test_an_update_that_comes_too_early_costs_no_copy_of_the_document(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copies = 0
    copy = Replica.copy

    def counting(replica: Replica) -> Replica:
        nonlocal copies
        copies += 1
        return copy(replica)

    monkeypatch.setattr(Replica, "copy", counting)
    gate = Gate(_with("text"), LIMITS)
    gate.admit(forge.typed(7, 3))
    for _ in range(5):
        with pytest.raises(EarlyUpdate):
            gate.admit(forge.typed(7, 3, first=5))
    gate.admit(forge.typed(7, 3, first=3))
    assert copies == 1


@pytest.mark.parametrize(
    "update",
    [
        forge.update([(8, 0, [forge.struct(forge.STRING, forge.varstring("x"), (9, 0))]),
                      (9, 0, [forge.struct(forge.STRING, forge.varstring("x"), (8, 0))])]),
        forge.update([(8, 0, [forge.struct(forge.STRING, forge.varstring("xyz"), (8, 1))])]),
        forge.update([(8, 0, [forge.struct(forge.STRING, forge.varstring("x"), right=(8, 0))])]),
        forge.update([(8, 0, [forge.struct(forge.ANY, b"\1\x7f", parent=forge.inside((8, 0)))])]),
    ],
    ids=["each other", "a struct itself", "a struct itself, at its right", "a parent itself"],
)  # fmt: skip
def test_structs_that_wait_for_each_other_are_not_merged(update: bytes) -> None:
    replica = _with("text")
    before = replica.state()
    with pytest.raises((EarlyUpdate, BadUpdate)):
        Gate(replica, LIMITS).admit(update)
    assert replica.state() == before


@pytest.mark.parametrize("structs", [[b"\x0a\x02"], [b"\x0a\x02", forge.struct(1, b"\1")]])
def test_what_an_update_skips_must_be_known(structs: list[bytes]) -> None:
    """Otherwise yrs takes it for known, and ignores it when it comes."""
    replica = _with("text")
    gate = Gate(replica, LIMITS)
    with pytest.raises(EarlyUpdate):
        gate.admit(forge.update([(7, 0, structs)]))
    gate.admit(forge.typed(7, 2))
    gate.admit(forge.update([(7, 0, structs)]))
    replica.check()


def test_news_are_merged_as_on_other_nodes_if_their_struct_begins_with_known_content() -> None:
    """Other nodes get only the news; pycrdt would put a forged struct elsewhere."""
    replica, other = Replica(), Replica()
    gate = Gate(replica, LIMITS)
    bold = forge.struct(forge.FORMAT, forge.varstring("bold") + forge.varstring("true"))
    for clock, structs in (
        (0, [forge.struct(forge.STRING, forge.varstring("bc")), bold]),
        (1, [forge.struct(forge.STRING, forge.varstring("xyz"), parent=forge.root("other"))]),
    ):
        edit, _ = gate.admit(forge.update([(7, clock, structs)]))
        other.apply_update(edit.update)
        assert replica.text == other.text
        replica.check()


def test_half_of_a_surrogate_pair_is_no_news() -> None:
    replica = Replica()
    gate = Gate(replica, LIMITS)
    gate.admit(forge.typed(7, 2))
    for text, right in (("a😀", False), ("aa😀", True)):
        update = forge.update([(7, 0, [forge.struct(forge.STRING, forge.varstring(text))])])
        if right:
            gate.admit(update)
        else:
            with pytest.raises(BadUpdate):
                gate.admit(update)
        replica.check()
    assert replica.text == "aa😀"


def test_a_struct_that_begins_with_known_content_is_merged() -> None:
    replica = Replica()
    gate = Gate(replica, LIMITS)
    for text in ("abc", "abcdef"):
        before = replica.text
        whole = forge.struct(forge.STRING, forge.varstring(text))
        edit, _ = gate.admit(forge.update([(7, 0, [whole])]))
        assert edit.delta.apply(before) == replica.text == text
    replica.check()


def test_nesting_is_bounded_over_several_updates_before_anything_is_deleted() -> None:
    gate = Gate(_with("text"), LIMITS)
    for first in range(0, LIMITS.nesting, 16):
        gate.admit(forge.nested(7, 16, first=first))
    with pytest.raises(UpdateTooLarge, match="64 types"):
        gate.admit(forge.nested(7, 1, first=LIMITS.nesting))
    gate.admit(forge.deleted(7, (0, LIMITS.nesting)))


def test_the_nesting_of_a_loaded_room_is_known() -> None:
    replica = Replica()
    replica.apply_update(forge.nested(7, LIMITS.nesting))
    loaded = Replica()
    loaded.apply_update(replica.state())
    with pytest.raises(UpdateTooLarge, match="64 types"):
        Gate(loaded, LIMITS).admit(forge.nested(7, 1, first=LIMITS.nesting))


def test_a_text_that_was_typed_for_hours_is_admitted_whole() -> None:
    replica = _with("text")
    Gate(replica, LIMITS).admit(_scattered_letters(10_000))
    assert len(replica.text) == 10_004


@pytest.mark.parametrize(
    ("within", "over"),
    [
        (forge.typed(7, 30), forge.typed(7, 31)),
        (forge.deleted(7), forge.deleted(7, *((2 * clock, 1) for clock in range(11)))),
        (forge.nested(7, 3), forge.nested(7, 4)),
    ],
    ids=["structs", "ranges", "nesting"],
)
def test_each_limit_is_checked_separately(within: bytes, over: bytes) -> None:
    Gate(_with("text"), SMALL).admit(within)
    with pytest.raises(UpdateTooLarge):
        Gate(_with("text"), SMALL).admit(over)


def test_a_document_is_bounded_in_bytes_structs_and_text() -> None:
    replica = _with("text")
    gate = Gate(replica, replace(SMALL, state_vector=100))
    with pytest.raises(DocumentTooLarge, match="100"):
        gate.admit(_with("x" * 97).state())
    with pytest.raises(DocumentTooLarge, match="2000"):
        gate.admit(_foreign("x" * 2000))
    for client in range(2, 50):
        try:
            gate.admit(_scattered(client))
        except DocumentTooLarge as refusal:
            assert "50 structs" in str(refusal)
            break
    assert client > 10, "what was joined counts as one"
    replica.check()


def test_the_clients_that_write_a_document_are_bounded() -> None:
    """Otherwise an update would cost more the more there are, and nobody could send a vector."""
    replica = _with("text")
    gate = Gate(replica, SMALL)
    for client in range(1, SMALL.state_vector):
        gate.admit(_scattered(client))
    with pytest.raises(DocumentTooLarge, match="5 clients"):
        gate.admit(_scattered(SMALL.state_vector))
    assert len(read_state_vector(replica.state_vector(), SMALL)) == SMALL.state_vector


def _foreign(value: str) -> bytes:
    """Return an update that changes no text."""
    content = b"\1\x77" + forge.varstring(value)
    return forge.update([(9, 0, [forge.struct(forge.ANY, content, parent=forge.root("array"))])])


def _scattered(client: int) -> bytes:
    """Return an update with two letters at the beginning that cannot be joined."""
    letter = forge.struct(forge.STRING, forge.varstring("x"))
    return forge.update([(client, 0, [letter, letter])])


def test_a_state_vector_is_bounded() -> None:
    assert len(read_state_vector(forge.state_vector(5), SMALL)) == 5
    with pytest.raises(UpdateTooLarge):
        read_state_vector(forge.state_vector(6), SMALL)
    with pytest.raises(BadUpdate):
        read_state_vector(forge.state_vector(5)[:-1], SMALL)


def test_a_refused_update_raises_an_error_of_the_core() -> None:
    assert issubclass(UpdateTooLarge, MergeError)
    assert not UpdateTooLarge.retryable
