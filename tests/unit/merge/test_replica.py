"""A replica's cached text equals its document's, whatever is applied to it."""

import json
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycrdt import Doc, Map, Text

from collab.merge.delta import IDENTITY, Delta
from collab.merge.errors import BadText, BadUpdate, EarlyUpdate
from collab.merge.gate import Gate
from collab.merge.limits import Limits
from collab.merge.replica import Edit, Replica
from collab.merge.survey import EMPTY_UPDATE

from .strategies import deltas

LIMITS = Limits(text_bytes=1 << 20, document_bytes=1 << 22)
RECORDED = json.loads((Path(__file__).parent / "yjs_updates.json").read_text())


def _with(text: str) -> Replica:
    replica = Replica()
    replica.edit(Delta.of(text))
    return replica


def _copy(replica: Replica) -> Replica:
    copy = Replica()
    copy.apply_update(replica.state())
    return copy


@given(st.data())
def test_replicas_that_apply_each_others_updates_are_equal(data: st.DataObject) -> None:
    one = _with("e\u0301 😀\n")
    two = _copy(one)
    for _ in range(data.draw(st.integers(1, 4))):
        before = one.text, two.text
        first, second = (
            replica.edit(data.draw(deltas(len(replica.text)))) for replica in (one, two)
        )
        middle = one.text
        assert one.apply_update(second).delta.apply(middle) == one.text
        two.apply_update(first)
        one.check()
        two.check()
        assert one.text == two.text, before


@given(st.data())
def test_an_edit_and_its_update_do_the_same(data: st.DataObject) -> None:
    replica = _with(data.draw(st.text(alphabet="aé€😀\u0301", max_size=12)))
    other = _copy(replica)
    delta = data.draw(deltas(len(replica.text)))
    want = delta.apply(replica.text)
    before = other.text
    assert other.apply_update(replica.edit(delta)).delta.apply(before) == want == replica.text
    replica.check()
    other.check()


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_a_replica_shows_what_javascript_shows(name: str) -> None:
    """Step by step, from the whole state, and through the gate; also with split surrogate pairs."""
    record = RECORDED[name]
    steps, whole, gated = Replica(), Replica(), Replica()
    gate = Gate(gated, LIMITS)
    for update in map(bytes.fromhex, record["updates"]):
        before = steps.text
        assert steps.apply_update(update).delta.apply(before) == steps.text
        steps.check()
        gate.admit(update)
        gated.check()
    whole.apply_update(bytes.fromhex(record["state"]))
    whole.check()
    # The author of lone halves sees a pair until the repair reaches it.
    want = "a\ufffd\ufffdb" if name == "lone" else record["text"]
    assert steps.text == _copy(steps).text == want
    assert sorted(gated.text) == sorted(want)
    assert whole.text == record["text"]


def test_an_update_twice_is_harmless() -> None:
    replica, update = Replica(), _with("ab😀").state()
    assert replica.apply_update(update) == Edit(Delta.of("ab😀"), update)
    assert not replica.apply_update(update)
    replica.check()


def test_a_broken_pair_is_broken_alike_from_the_journal_and_from_a_merged_entry() -> None:
    from pycrdt import merge_updates

    updates = [bytes.fromhex(update) for update in RECORDED["split_then_end"]["updates"]]
    replica = Replica()
    replica.apply_update(merge_updates(*updates))
    replica.check()
    assert replica.text == RECORDED["split_then_end"]["text"]
    replica.apply_update(updates[0])
    replica.edit(Delta.of(len(replica.text), "!"))
    replica.check()
    assert _copy(replica).text == RECORDED["split_then_end"]["text"] + "!"


def test_updates_out_of_order_are_refused_and_change_nothing() -> None:
    author = Replica()
    updates = [
        author.edit(Delta.of(spot, letter)) for spot, letter in ((0, "a"), (0, "b"), (1, "c"))
    ]
    for order in permutations(updates):
        replica = Replica()
        for update in order:
            before = replica.text, replica.state()
            try:
                replica.apply_update(update)
            except EarlyUpdate:
                assert (replica.text, replica.state()) == before
            replica.check()
        for update in updates:
            replica.apply_update(update)
        assert replica.text == author.text


def test_a_deletion_of_what_is_missing_is_refused() -> None:
    author = _with("abc")
    with pytest.raises(EarlyUpdate):
        Replica().apply_update(author.edit(Delta.of(1, -1)))


@pytest.mark.parametrize("cut", [1, 3, 5])
def test_malformed_updates_change_nothing(cut: int) -> None:
    replica = _with("text 😀")
    before = replica.state()
    good = _with("other").state()
    for bad in (b"", good[:-cut], good + b"x", b"\xff" * 30, b"\x01\x01\x05" + good[cut:]):
        # The last holds a random client id, so it may look like an update that needs a missing one.
        with pytest.raises((BadUpdate, EarlyUpdate)):
            replica.apply_update(bad)
        assert replica.state() == before
    with pytest.raises(BadUpdate):
        replica.diff_since(b"\x05\x01")
    replica.check()


def test_a_type_that_pycrdt_cannot_write_again_is_refused() -> None:
    """An XML hook would make every later state of the document unreadable."""
    with pytest.raises(BadUpdate, match="type"):
        Replica().apply_update(bytes.fromhex("010107000701017805016800"))


@pytest.mark.parametrize("forged", ["010107000701010007", "0101070101040104636f646502ff0100"])
def test_a_forgery_leaves_the_gate_and_the_replica_usable(forged: str) -> None:
    replica = _with("text")
    gate = Gate(replica, LIMITS)
    with pytest.raises((BadUpdate, EarlyUpdate)):
        gate.admit(bytes.fromhex(forged))
    edit, repair = gate.admit(_with("honest").state())
    assert repair is None
    assert edit.delta.apply("text") == replica.text
    replica.check()


def test_the_gate_keeps_up_with_edits_that_do_not_pass_it() -> None:
    replica = _with("a😀b")
    gate = Gate(replica, LIMITS)
    doc: Doc[Text] = Doc()
    text = doc.get("code", type=Text)
    for letter in "xyz":
        doc.apply_update(
            replica.edit(Delta.of(1, letter, -1)) if letter == "y" else replica.state()
        )
        state = doc.get_state()
        text.insert(len(text), letter)
        edit, repair = gate.admit(doc.get_update(state))
        assert repair is None
        assert edit.delta.ops[-1] == letter
        assert str(text) == replica.text
        replica.check()


def test_a_lone_surrogate_is_refused_and_changes_nothing() -> None:
    replica = _with("ab")
    with pytest.raises(BadText):
        replica.edit(Delta.of("ok", 1, "\ud83d"))
    assert replica.text == "ab"
    replica.check()


def test_an_edit_beyond_the_text_is_refused_and_changes_nothing() -> None:
    replica = _with("ab")
    with pytest.raises(ValueError, match="reaches"):
        replica.edit(Delta.of(5, -1))
    replica.check()


def test_an_edit_that_changes_nothing_is_an_empty_update() -> None:
    assert _with("a").edit(IDENTITY) == EMPTY_UPDATE


def _foreign(fill: bool = True) -> tuple[Doc, Text]:  # type: ignore[type-arg]
    doc: Doc[Text] = Doc()
    text = doc.get("code", type=Text)
    if fill:
        text.insert(0, "aé😀b")
        text.insert_embed(3, {"image": "x"})
        text.insert_embed(0, 5)
    return doc, text


def test_embeds_are_removed_for_everyone() -> None:
    doc, text = _foreign()
    replica = Replica()
    edit, repair = Gate(replica, LIMITS).admit(doc.get_update())
    assert edit.delta.apply("") == replica.text == "aé😀b"
    replica.check()
    assert repair is not None
    doc.apply_update(repair)
    assert [content for content, _ in text.diff() if not isinstance(content, str)] == []
    assert str(text) == replica.text
    assert replica.repair() is None


def test_an_embed_in_a_document_with_formatting_is_refused() -> None:
    """To remove it, pycrdt would read what forged formatting refers to."""
    doc, text = _foreign()
    text.format(1, 4, {"bold": True})
    replica = Replica()
    with pytest.raises(BadUpdate, match="formatting"):
        Gate(replica, LIMITS).admit(doc.get_update())
    assert replica.state() == Replica().state()


def test_an_edit_among_embeds_goes_where_it_belongs() -> None:
    """On a node that has applied the embed but not yet its repair."""
    doc, text = _foreign()
    replica = Replica()
    replica.apply_update(doc.get_update())
    doc.apply_update(replica.edit(Delta.of(2, "X", -1, 1, "Y")))
    assert replica.text == str(text) == "aéXbY"
    replica.check()


def test_two_nodes_that_repair_one_embed_stay_equal() -> None:
    doc, _ = _foreign()
    one, two = Replica(), Replica()
    one.apply_update(doc.get_update())
    two.apply_update(doc.get_update())
    first, second = one.repair(), two.repair()
    assert first is not None
    assert second is not None
    one.apply_update(second)
    two.apply_update(first)
    one.check()
    two.check()
    assert one.text == two.text == "aé😀b"


def test_half_a_pair_from_an_author_is_replaced_for_the_author_too() -> None:
    updates = [bytes.fromhex(update) for update in RECORDED["lone"]["updates"]]
    replica = Replica()
    gate = Gate(replica, LIMITS)
    repairs = [gate.admit(update)[1] for update in updates]
    assert all(repairs)
    assert sorted(replica.text) == sorted("a\ufffd\ufffdb")
    other = Replica()
    for update, repair in zip(updates, repairs, strict=True):
        other.apply_update(update)
        assert repair is not None
        other.apply_update(repair)
    assert other.text == replica.text


def test_formatting_changes_no_text() -> None:
    doc, text = _foreign(fill=False)
    text.insert(0, "é😀b")
    replica = _copy_of(doc)
    state = doc.get_state()
    text.format(2, 7, {"bold": True})
    assert replica.apply_update(doc.get_update(state)).delta.is_identity
    replica.edit(Delta.of(1, "X"))
    replica.check()


def _copy_of(doc: Doc) -> Replica:  # type: ignore[type-arg]
    replica = Replica()
    replica.apply_update(doc.get_update())
    return replica


def test_other_shared_types_are_kept_and_synced() -> None:
    doc, text = _foreign(fill=False)
    meta = doc.get("meta", type=Map)
    meta["language"] = "python"
    text.insert(0, "x")
    late: Doc = Doc()  # type: ignore[type-arg]
    late.apply_update(_copy(_copy_of(doc)).state())
    assert late.get("meta", type=Map).to_py() == {"language": "python"}


def test_a_difference_brings_a_replica_up_to_date() -> None:
    replica = _with("abc")
    other = _copy(replica)
    replica.edit(Delta.of(1, "é😀", -1))
    other.apply_update(replica.diff_since(other.state_vector()))
    assert other.text == replica.text
    other.check()
