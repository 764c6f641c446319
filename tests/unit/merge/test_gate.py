"""Updates that no editor sends are refused before yrs reads them, quickly, and change nothing."""

import contextlib
from time import process_time

import pytest
from pycrdt import Doc, Text

from collab.merge.clocks import read_state_vector
from collab.merge.delta import Delta
from collab.merge.errors import BadUpdate, DocumentTooLarge, MergeError, UpdateTooLarge
from collab.merge.gate import Gate
from collab.merge.limits import Limits
from collab.merge.replay import Replay
from collab.merge.replica import Replica
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
    assert process_time() - start < 0.7
    assert replica.state() == before
    gate.admit(_with("honest").state())
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
    doc: Doc[Text] = Doc()
    text = doc.get("code", type=Text)
    for number in range(9_000):  # each at another place: none continues another
        text.insert(number * 7919 % (number + 1), "x")
    replica = _with("text")
    Gate(replica, LIMITS).admit(doc.get_update())
    assert len(replica.text) == 9_004


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
    gate = Gate(replica, SMALL)
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


def test_forged_formatting_does_not_end_the_process() -> None:
    """pycrdt's report of what the last of these changed reads memory that is not its own."""
    replica = Replica()
    gate = Gate(replica, SMALL)
    for forged in FORGED_FORMATS:
        with contextlib.suppress(MergeError):
            gate.admit(bytes.fromhex(forged))
    replica.check()


@pytest.mark.parametrize("pairs", [False, True])
def test_a_replay_of_forged_formatting_does_not_end_the_process(pairs: bool) -> None:
    """The journal of an older version may contain it."""
    updates = [bytes.fromhex(forged) for forged in FORGED_FORMATS]
    replay = Replay(updates if pairs else [])
    for update in updates:
        before = replay.text
        assert replay.play(update).apply(before) == replay.text
