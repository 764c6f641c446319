"""The document that a whole journal adds up to, and the base that replaces its older half."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from collab.errors import RoomUnreadable
from collab.merge.clocks import read_state_vector
from collab.merge.deletions import deleted
from collab.merge.errors import MergeError
from collab.merge.replay import replica_of
from collab.merge.replica import Replica
from collab.merge.steps import Steps, finish
from collab.store.records import STARTER, BadRecord, Entry, EntryId, Reading

MIN_LIMIT = 256 * 1024
"""Bytes that each journal may have: some thousand entries of people who type."""
TEXTS_KEPT = 4
"""How many times its text a journal may have. A room of a large text would otherwise cost Redis ten
times as much as its text, if somebody replaces that again and again."""
SCARCE_DIVISOR = 8
"""The part of that, and of no less, that a journal may have while Redis has little memory."""


def add_up(room: str, base: bytes, entries: Iterable[Entry]) -> Replica:
    """Return the document that ``base`` and the entries behind it add up to."""
    return finish(add_up_steps(room, base, entries))


def add_up_steps(
    room: str, base: bytes, entries: Iterable[Entry], digest: str = "", *, exact: bool = False
) -> Steps[Replica]:
    """Return the document that ``base`` and the entries behind it add up to, in steps.

    Raises RoomUnreadable if an update cannot be applied. To leave it out would lose what it holds,
    and all that builds on it, with the next compaction: `collab doctor` mends such a room.

    Whether an update is missing on which another builds is found out if this is to be ``exact``, or
    if the text does not have this SHA-1 ``digest``, that of the snapshot.
    """
    updates = [update for update in (base, *(entry.update for entry in entries)) if update]
    try:
        replica = yield from replica_of(updates, exact=exact)
        if exact or not digest or digest == text_digest(replica.text):
            return replica
        return (yield from replica_of(updates, exact=True))
    except MergeError:
        return (yield from _apply_each(room, updates))


def text_digest(text: str) -> str:
    """Return a text's SHA-1, as the scripts compute it."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _apply_each(room: str, updates: list[bytes]) -> Steps[Replica]:
    replica = Replica()
    for number, update in enumerate(updates):
        yield
        try:
            replica.apply_update(update)
        except MergeError as problem:
            reason = f"update {number} of {len(updates)}: {problem.code}"
            raise RoomUnreadable(room, reason) from problem
    return replica


def starter_text(code: bytes) -> str:
    """Return a starter's text. Raises BadRecord: the next change would write over other bytes."""
    try:
        return code.decode()
    except UnicodeDecodeError:
        raise BadRecord("code_{room} is not UTF-8") from None


def same(one: Replica, other: Replica) -> bool:
    """Whether two documents are equal, outside the text too."""
    return (
        one.text == other.text and _clocks(one) == _clocks(other) and deleted(one) == deleted(other)
    )


def share_authors(one: Replica, other: Replica) -> bool:
    """Whether two documents have a Yjs client in common, that is, a common origin."""
    return not _clocks(one).keys().isdisjoint(_clocks(other))


def _clocks(replica: Replica) -> dict[int, int]:
    return read_state_vector(replica.state_vector())  # the order of its bytes varies


def earlier_state(room: str, reading: Reading, last: EntryId) -> Replica:
    """Return the document of a journal's entries up to ``last``, an entry of another journal.

    These entries are from an older dump: an earlier room of the same name. If the journal began
    with a starter, that entry counts as earlier at any time: a node without the room found the
    starter in place of the room.
    """
    older = [entry for entry in reading.entries if entry.id <= last]
    if reading.origin == STARTER and not reading.base and not older:
        older = reading.entries[:1]
    return add_up(room, reading.base if reading.base_id <= last else b"", older)


@dataclass(frozen=True, slots=True)
class Compaction:
    """A new base in place of the oldest entries, up to ``last``, which have ``size`` bytes.

    ``authors`` are who wrote them, each once.
    """

    base: bytes
    last: EntryId
    size: int
    authors: Sequence[str] = ()


def size_limit(max_bytes: int, text: str, *, scarce: bool) -> int:
    """Return how many bytes of updates a journal may have whose room has this ``text`` now.

    ``scarce`` says that Redis has little memory left.
    """
    limit = min(max_bytes, max(MIN_LIMIT, TEXTS_KEPT * len(text)))
    return limit // SCARCE_DIVISOR if scarce else limit


def compact(
    room: str, reading: Reading, max_entries: int, max_bytes: int
) -> Steps[Compaction | None]:
    """Return the compaction of a journal to half of its bounds; None if it is within them."""
    count, size = _surplus(reading.entries, max_entries // 2, max_bytes // 2)
    if not count:
        return None
    replaced = reading.entries[:count]
    older = yield from add_up_steps(room, reading.base, replaced, exact=True)
    authors = [author for author in dict.fromkeys(entry.author for entry in replaced) if author]
    return Compaction(older.state(), replaced[-1].id, size, authors)


def _surplus(entries: Sequence[Entry], max_entries: int, max_bytes: int) -> tuple[int, int]:
    """Return how many of the oldest entries exceed the bounds, and their size in bytes."""
    left = sum(len(entry.update) for entry in entries)
    count = size = 0
    while count < len(entries) and (len(entries) - count > max_entries or left > max_bytes):
        entry_size = len(entries[count].update)
        size += entry_size
        left -= entry_size
        count += 1
    return count, size
