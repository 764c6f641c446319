"""Replicas and documents are freed: none outlives its last use.

pycrdt's documents keep their callbacks in Rust, which Python's garbage collector can't see: a
callback that refers to its document keeps both alive for ever.
"""

import asyncio
import gc
from collections.abc import Callable

import pytest
from pycrdt import Doc

from collab.merge.clocks import read_state_vector
from collab.merge.delta import Delta
from collab.merge.document import Changes, Document
from collab.merge.errors import MergeError
from collab.merge.gate import Gate
from collab.merge.limits import Limits
from collab.merge.replica import Replica
from collab.merge.steps import finish
from collab.rooms.history import add_up, compact
from collab.rooms.search import Searches, nearest_text
from collab.store.records import Entry, Reading

LIMITS = Limits(text_bytes=1 << 20, document_bytes=1 << 22)
TEXT = "one two\nthree 🐍\n"
FORGED = bytes.fromhex("010107000701010007")
"""Well encoded, but pycrdt panics half-way."""
MALFORMED = b"\xff" * 20


def _entries() -> list[Entry]:
    author = Replica()
    updates = [author.edit(Delta.of(letter)) for letter in TEXT]
    return [Entry((number, 0), "", update) for number, update in enumerate(updates)]


ENTRIES = _entries()
READING = Reading("epoch", ENTRIES[-1].id, ENTRIES, None, complete=True)


def _edit() -> None:
    replica = Replica()
    replica.edit(Delta.of(TEXT))
    replica.edit(Delta.of(1, -3, "é"))


def _break_a_pair() -> None:
    author = Replica()
    author.edit(Delta.of("🐍"))
    replica = Replica()
    replica.apply_update(author.state())
    # JavaScript deletes half of a surrogate pair: the replica replaces its document.
    (client,) = read_state_vector(author.state_vector())
    replica.apply_update(bytes([0, 1, *_varuint(client), 1, 1, 1]))
    assert replica.text == "\ufffd"


def _varuint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(0x80 | number & 0x7F)
        number >>= 7
    return bytes([*out, number])


def _refuse(update: bytes) -> Callable[[], None]:
    def refuse() -> None:
        replica = Replica()
        replica.edit(Delta.of(TEXT))
        with pytest.raises(MergeError):
            Gate(replica, LIMITS).admit(update)

    return refuse


def _admit() -> None:
    replica = Replica()
    gate = Gate(replica, LIMITS)
    for entry in ENTRIES:
        gate.admit(entry.update)


USES: dict[str, Callable[[], object]] = {
    "an edit": _edit,
    "a room that is loaded": lambda: add_up("room", b"", ENTRIES),
    "a compaction": lambda: finish(compact("room", READING, 4, 1 << 20)),
    "a search of a room's history": lambda: asyncio.run(nearest_text("two", READING, Searches())),
    "an update of a Yjs member": _admit,
    "a broken surrogate pair": _break_a_pair,
    "an update that is refused": _refuse(MALFORMED),
    "an update that pycrdt panics on": _refuse(FORGED),
}


def _alive() -> int:
    """Count what is alive; pycrdt's document holds the changes that it tells its Python half."""
    gc.collect()
    return sum(isinstance(thing, Replica | Document | Changes | Doc) for thing in gc.get_objects())


@pytest.mark.parametrize("use", USES)
def test_no_replica_or_document_outlives_its_use(use: str) -> None:
    USES[use]()
    before = _alive()
    for _ in range(20):
        USES[use]()
    assert _alive() == before
