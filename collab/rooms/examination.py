"""What is wrong with the keys of a room, and what is left of it: from their contents alone.

Pure: no Redis, no event loop. `examine` compares the keys with each other and with the rules that
the scripts keep; docs/doctor.md lists the findings. `Examination.mended` is the room as it can be
written anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from collab.merge.delta import Delta
from collab.merge.diff import diff
from collab.merge.errors import MergeError
from collab.merge.limits import Limits
from collab.merge.replica import Replica
from collab.merge.steps import Steps, finish
from collab.merge.update_reader import survey
from collab.rooms.pending import SEVERAL
from collab.store.mending import NO_EXPIRY, Contents, Key, NewJournal, NewRoom
from collab.store.records import ROOM, STARTER, ZERO, BadRecord, Entry, EntryId, entry_id

FIELDS: Final = ("epoch", "tail", "snap", "base", "base_id", "origin", "bytes")
"""The fields of a head."""
TTL_TOLERANCE: Final = 2000
"""Milliseconds by which the expiries of a room's keys may differ."""
MAX_TTL: Final = 31 * 86_400_000
"""Milliseconds that no room lives: COLLAB_ROOM_TTL is 30 days at most."""


class Mend(StrEnum):
    """What mends a finding, the smallest first."""

    NOTHING = "nothing"
    EXPIRY = "expiry"
    ENDS = "ends"
    SNAPSHOT = "snapshot"
    REWRITE = "rewrite"


MENDS: Final = {
    Mend.NOTHING: "nothing: people can do it",
    Mend.EXPIRY: "let all keys of the room expire together",
    Mend.ENDS: "put the list of ends aside; holders that missed an end write the room back",
    Mend.SNAPSHOT: "write the text that the journal adds up to into code_{room}",
    Mend.REWRITE: "put the keys aside, and write what can be read as the room's new journal",
}
"""What is done, in words."""


class Finding(NamedTuple):
    """Something wrong: a stable word, the key, what it means, and what mends it. It has no text."""

    word: str
    key: str
    meaning: str
    mend: Mend


@dataclass(slots=True)
class Examination:
    """The findings, and what can be read of the room.

    ``entries`` are the good ones, ``replica`` what they add up to behind ``base``. ``epoch`` is
    None if it can't be read. ``text`` is the best text that there is: None if the room has none.
    ``lost`` says that the journal lacks something that it had.
    """

    room: str
    findings: list[Finding] = field(default_factory=list)
    epoch: str | None = None
    origin: str = ROOM
    base: bytes = b""
    base_id: EntryId = ZERO
    entries: list[Entry] = field(default_factory=list)
    replica: Replica = field(default_factory=Replica)
    text: str | None = None
    has_journal: bool = False
    lost: bool = False

    def add(self, word: str, key: Key, meaning: str, mend: Mend = Mend.REWRITE) -> None:
        """Add a finding."""
        self.findings.append(Finding(word, key.name, meaning, mend))

    @property
    def broken(self) -> bool:
        """Whether the journal must be written anew."""
        return any(each.mend is Mend.REWRITE for each in self.findings)

    def mended(self, epoch: str, ttl: float) -> NewRoom:
        """Return the room as it is to be written: with the journal ``epoch``, for ``ttl`` seconds.

        What the journal has lost and the snapshot still has becomes an entry of its own.
        """
        if self.text is None or not self.has_journal:
            return NewRoom(self.text, None, ttl)
        replica, text = self.replica, self.text
        entries = [(each.id, each.author, each.update) for each in self.entries]
        extra: list[tuple[EntryId | None, str, bytes]] = []
        if replica.text != text:
            update = replica.edit(Delta.from_splices(diff(replica.text, text)))
            extra = [(None, SEVERAL, update)]
        if not entries and not extra:  # a journal has an entry
            return NewRoom(
                text, NewJournal(epoch, ROOM, b"", ZERO, [(None, SEVERAL, replica.state())]), ttl
            )
        journal = NewJournal(epoch, self.origin, self.base, self.base_id, [*entries, *extra])
        return NewRoom(text, journal, ttl)


def examine(contents: Contents, limits: Limits | None = None) -> Examination:
    """Examine a room. ``limits`` are those of documents, if these are to be checked."""
    return finish(examine_steps(contents, limits))


def examine_steps(contents: Contents, limits: Limits | None = None) -> Steps[Examination]:
    """Examine a room in steps, because a long journal takes some hundred milliseconds."""
    found = Examination(contents.room)
    found.has_journal = contents.journal.exists or contents.head.exists
    of_code = Mend.SNAPSHOT if found.has_journal else Mend.REWRITE
    has_code = _check_type(found, contents.code, "string", of_code)
    has_entries = _check_type(found, contents.journal, "stream", Mend.REWRITE)
    has_head = _check_type(found, contents.head, "hash", Mend.REWRITE)
    if _check_type(found, contents.ends, "list", Mend.ENDS):
        _check_ends(found, contents.ends)
    snapshot = _snapshot(found, contents.code, of_code) if has_code else None
    if not found.has_journal:
        found.text = snapshot
        return found
    for key, other in (
        (contents.journal, contents.head), (contents.head, contents.journal),
    ):  # fmt: skip
        if not key.exists:
            meaning = f"{other.name} is there without it: nobody can open the room"
            found.add("half_a_journal", key, meaning)
    head = _check_head(found, contents.head) if has_head else None
    entries = _read_entries(found, contents.journal) if has_entries else []
    found.lost = head is None or not has_entries or found.broken
    yield
    yield from _add_up(found, contents, head, entries)
    _check_snapshot(found, contents, head, snapshot)
    _check_expiry(found, contents)
    if limits is not None:
        _check_limits(found, contents, limits)
    return found


def _check_type(found: Examination, key: Key, kind: str, mend: Mend) -> bool:
    """Return whether the key is there and can be read."""
    if not key.exists:
        return False
    if key.kind != kind:
        found.add("wrong_type", key, f"it is a {key.kind}, and should be a {kind}", mend)
        return False
    if key.value is None:
        meaning = f"it is too large to be read: {key.items} items, {key.size} bytes"
        found.add("too_large", key, meaning, mend)
        return False
    return True


def _check_ends(found: Examination, ends: Key) -> None:
    for name in ends.value:
        try:
            name.decode()
        except UnicodeDecodeError:
            found.add("bad_end", ends, "the name of an end is no text", Mend.ENDS)
            return


def _snapshot(found: Examination, code: Key, mend: Mend) -> str | None:
    raw: bytes = code.value
    try:
        return raw.decode()
    except UnicodeDecodeError:
        found.add("not_utf8", code, "it is not UTF-8", mend)
        # Of a starter nothing else is left; beside a journal nobody knows what it was.
        return None if found.has_journal else raw.decode("utf-8", errors="replace")


class _Head(NamedTuple):
    epoch: str
    tail: EntryId
    snap: EntryId
    base: bytes
    base_id: EntryId
    origin: str
    bytes: int


def _check_head(found: Examination, key: Key) -> _Head | None:
    """Return the head, None if it has not the form of one."""
    words = dict(zip(key.value[::2], key.value[1::2], strict=True))
    missing = [name for name in FIELDS if name.encode() not in words]
    if missing:
        found.add("head_lacks_field", key, "it lacks " + ", ".join(missing))
        _keep_base(found, words)
        return None
    try:
        size = int(words[b"bytes"])
        head = _Head(
            words[b"epoch"].decode(), entry_id(words[b"tail"]), entry_id(words[b"snap"]),
            words[b"base"], entry_id(words[b"base_id"]), words[b"origin"].decode(), size,
        )  # fmt: skip
        if not head.epoch or head.origin not in (STARTER, ROOM) or size < 0:
            raise BadRecord("a field has an impossible value")
    except ValueError:
        found.add("bad_head", key, "a field of it is not what the service writes")
        _keep_base(found, words)
        return None
    found.epoch, found.origin = head.epoch, head.origin
    found.base, found.base_id = head.base, head.base_id
    if head.base_id > head.tail:
        found.add("base_beyond_tail", key, "the base reaches beyond the last entry")
    return head


def _keep_base(found: Examination, words: dict[bytes, bytes]) -> None:
    """Keep the base of a head that is not whole: what it holds is in no other place."""
    found.base = words.get(b"base", b"")
    try:
        found.base_id = entry_id(words.get(b"base_id", b""))
    except BadRecord:
        found.base_id = ZERO


def _read_entries(found: Examination, key: Key) -> list[Entry]:
    entries, bad = [], 0
    for raw in key.value:
        try:
            entry = Entry.parse(raw)
            if raw[1][::2] != [b"a", b"u"]:
                raise BadRecord("other fields")
            entries.append(entry)
        except BadRecord:
            bad += 1
    if bad:
        meaning = f"{bad} of {len(key.value)} entries do not have the fields of one"
        found.add("bad_entry", key, meaning)
    return entries


def _add_up(
    found: Examination, contents: Contents, head: _Head | None, entries: list[Entry]
) -> Steps[None]:
    """Apply base and entries in their order, and leave out what cannot be applied."""
    if found.base and not _applied(found.replica, found.base):
        found.add("base_unreadable", contents.head, "the base is no update that can be applied")
        found.base, found.base_id, found.replica = b"", ZERO, Replica()
        found.lost = True
    refused: dict[str, int] = {}
    overlapping = 0
    if head is not None and head.base_id <= head.tail:
        overlapping = sum(entry.id <= head.base_id for entry in entries)
    for entry in entries:
        yield
        if problem := _problem(found.replica, entry.update):
            refused[problem] = refused.get(problem, 0) + 1
        else:
            found.entries.append(entry)
    for problem, count in refused.items():
        meaning = f"{count} of {len(entries)} entries cannot be applied: {problem}"
        found.add("entry_unreadable", contents.journal, meaning)
        found.lost = True
    if overlapping:
        meaning = f"{overlapping} entries are not later than the base"
        found.add("base_beyond_entry", contents.head, meaning)
    if found.entries and found.entries[0].id <= found.base_id:
        # Entries in the base are harmless a second time, but its id must be before theirs.
        found.base_id = ZERO
    if head is None or contents.journal.kind != "stream" or contents.journal.value is None:
        return
    last = entries[-1].id if entries else head.base_id
    if last != head.tail:
        meaning = "the journal does not end with the entry that the head names"
        found.add("tail_differs", contents.journal, meaning)
    size = sum(len(entry.update) for entry in entries)
    if size != head.bytes:
        meaning = f"the entries have {size} bytes of updates, and {head.bytes} were counted"
        found.add("bytes_differ", contents.head, meaning)
    # More than was counted is not less than there was: it was appended by something else.
    found.lost |= last < head.tail or size < head.bytes


def _applied(replica: Replica, update: bytes) -> bool:
    return _problem(replica, update) is None


def _problem(replica: Replica, update: bytes) -> str | None:
    """Apply an update; return why it cannot be applied."""
    try:
        if update:
            replica.apply_update(update)
        return None
    except MergeError as problem:
        return problem.code


def _check_snapshot(
    found: Examination, contents: Contents, head: _Head | None, snapshot: str | None
) -> None:
    """Compare the snapshot with the journal, and choose the text.

    If the journal has lost something, a snapshot that had all of it has the best text.
    """
    total = found.replica.text
    found.text = total
    code = contents.code
    if not code.exists:
        meaning = "there is a journal without it: other services do not see the text"
        found.add("snapshot_missing", code, meaning, Mend.SNAPSHOT)
    elif snapshot is not None and (snapshot != total or code.value != total.encode()):
        complete = head is None or head.snap == head.tail
        if found.lost and complete:
            found.text = snapshot
        elif not found.broken:
            behind = "" if complete else ", because a node that owed it is gone"
            meaning = "it is not the text that the journal adds up to" + behind
            found.add("snapshot_differs", code, meaning, Mend.SNAPSHOT)


def _check_expiry(found: Examination, contents: Contents) -> None:
    keys = [key for key in (contents.code, contents.journal, contents.head) if key.exists]
    lives = [key.ttl for key in keys if key.ttl >= 0]
    for key in keys:
        if key.ttl == NO_EXPIRY:
            found.add("no_expiry", key, "it does not expire", Mend.EXPIRY)
        elif key.ttl > MAX_TTL:
            found.add("long_expiry", key, "it lives longer than any room", Mend.EXPIRY)
    if lives and max(lives) - min(lives) > TTL_TOLERANCE:
        meaning = "the keys of the room do not expire together"
        found.add("expiries_differ", contents.journal, meaning, Mend.EXPIRY)


def _check_limits(found: Examination, contents: Contents, limits: Limits) -> None:
    state = found.replica.state()
    structs = survey(state).built
    for what, size, limit in (
        ("bytes of text", len(found.replica.text.encode()), limits.text_bytes),
        ("bytes of the document", len(state), limits.document_bytes),
        ("structs of the document", structs, limits.document_structs),
    ):
        if size > limit:
            meaning = f"{size} {what}, and {limit} are allowed: people can only shorten it"
            found.add("over_limit", contents.journal, meaning, Mend.NOTHING)


def life(contents: Contents, ttl: float) -> float:
    """Return how many seconds a mended room shall live: as long as it would have, or ``ttl``."""
    left = [key.ttl for key in (contents.journal, contents.head, contents.code)]
    lives = [each / 1000 for each in left if 0 < each <= MAX_TTL]
    return max(lives) if lives else ttl


def is_there(contents: Contents) -> bool:
    """Whether Redis has anything of the room; the list of its ends does not count."""
    return any(key.exists for key in (contents.code, contents.journal, contents.head))
