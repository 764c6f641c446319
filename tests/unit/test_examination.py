"""What is found in the keys of a room, and what is written in their place, without Redis."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collab.merge.delta import Delta
from collab.merge.diff import diff
from collab.merge.limits import Limits
from collab.merge.replica import Replica
from collab.rooms.examination import MENDS, Mend, examine, is_there, life
from collab.rooms.history import add_up
from collab.store.mending import Contents, Key
from collab.store.records import Entry

TEXTS = ("one", "one two", "one two three 🐍")
TEXT = TEXTS[-1]
SECRET = "three"
"""A part of the text, which no finding may repeat."""
LIFE = 1_800_000


def a_room(texts: tuple[str, ...] = TEXTS, base: int = 0) -> Contents:
    """Return the keys of a room that had these texts, the first ``base`` of them in its base."""
    replica, compacted = Replica(7), b""
    entries: list[list[Any]] = []
    for number, text in enumerate(texts):
        update = replica.edit(Delta.from_splices(diff(replica.text, text)))
        if number < base:
            compacted = replica.state()
        else:
            entries.append([b"%d-7" % (1000 + number), [b"a", b"ada", b"u", update]])
    fields = {
        b"epoch": b"e1", b"tail": entries[-1][0], b"snap": entries[-1][0], b"base": compacted,
        b"base_id": b"%d-7" % (999 + base) if base else b"0-0", b"origin": b"room",
        b"bytes": b"%d" % sum(len(fields[3]) for _, fields in entries),
    }  # fmt: skip
    return Contents(
        "r",
        Key("code_r", "string", LIFE, "", 1, 9, texts[-1].encode()),
        Key("journal:{code_r}", "stream", LIFE, "", len(entries), 9, entries),
        Key("journal-head:{code_r}", "hash", LIFE, "", 7, 9, hash_of(fields)),
        Key("journal-ended:{code_r}", "list", LIFE, "", 1, 9, [b"end"]),
    )


def hash_of(fields: Mapping[bytes, bytes]) -> list[bytes]:
    return [word for pair in fields.items() for word in pair]


def with_head(room: Contents, **changed: bytes | None) -> Contents:
    value = room.head.value
    fields = dict(zip(value[::2], value[1::2], strict=True))
    for name, word in changed.items():
        if word is None:
            del fields[name.encode()]
        else:
            fields[name.encode()] = word
    return replace(room, head=replace(room.head, value=hash_of(fields)))


def with_entry(room: Contents, number: int, fields: list[bytes] | None) -> Contents:
    """Give an entry other fields; None removes it."""
    entries = list(room.journal.value)
    if fields is None:
        del entries[number]
    else:
        entries[number] = [entries[number][0], fields]
    return replace(room, journal=replace(room.journal, value=entries))


def with_key(room: Contents, name: str, **changed: Any) -> Contents:
    changes: dict[str, Any] = {name: replace(getattr(room, name), **changed)}
    return replace(room, **changes)


def without(room: Contents, name: str) -> Contents:
    changes: dict[str, Any] = {name: Key(getattr(room, name).name)}
    return replace(room, **changes)


def written(room: Contents) -> Contents:
    """Return the keys as a mend writes them."""
    found = examine(room)
    new = found.mended("e2", 60.0)
    if new.journal is None:
        gone = replace(without(without(room, "journal"), "head"))
        if new.text is None:
            return without(gone, "code")
        return with_key(gone, "code", kind="string", value=new.text.encode(), ttl=60_000)
    entries: list[list[Any]] = []
    last = b"0-0"
    for number, (id, author, update) in enumerate(new.journal.entries):
        last = b"%d-%d" % id if id else b"%d-1" % (9_000_000 + number)
        entries.append([last, [b"a", author.encode(), b"u", update]])
    fields = {
        b"epoch": b"e2", b"tail": last, b"snap": last, b"base": new.journal.base,
        b"base_id": b"%d-%d" % new.journal.base_id, b"origin": new.journal.origin.encode(),
        b"bytes": b"%d" % sum(len(each[1][3]) for each in entries),
    }  # fmt: skip
    assert new.text is not None
    return Contents(
        "r",
        Key("code_r", "string", 60_000, "", 1, 9, new.text.encode()),
        Key("journal:{code_r}", "stream", 60_000, "", len(entries), 9, entries),
        Key("journal-head:{code_r}", "hash", 60_000, "", 7, 9, hash_of(fields)),
        Key("journal-ended:{code_r}"),
    )


def words(room: Contents) -> list[str]:
    return [finding.word for finding in examine(room).findings]


@pytest.mark.parametrize("base", [0, 1, 2])
def test_a_healthy_room_has_no_findings(base: int) -> None:
    room = a_room(base=base)
    found = examine(room, Limits(1000, 10_000))
    assert not found.findings and found.text == TEXT
    assert is_there(room) and life(room, 1.0) == 1800


def test_a_room_without_keys_and_a_starter_are_healthy() -> None:
    nothing = Contents("r", Key("code_r"), Key("j"), Key("h"), Key("e"))
    assert not words(nothing) and not is_there(nothing)
    starter = with_key(without(without(a_room(), "journal"), "head"), "code", ttl=-1)
    assert not words(starter) and is_there(starter), "a starter may live for ever"


BAD: dict[str, tuple[Callable[[Contents], Contents], str, str | None]] = {
    "code is a list": (lambda room: with_key(room, "code", kind="list"), "wrong_type", TEXT),
    "journal is a string": (
        lambda room: with_key(room, "journal", kind="string", value=b"x"), "wrong_type", TEXT),
    "head is a set": (
        lambda room: with_key(room, "head", kind="set", value=None), "wrong_type", TEXT),
    "ends are a hash": (
        lambda room: with_key(room, "ends", kind="hash", value=[]), "wrong_type", TEXT),
    "an end is no text": (lambda room: with_key(room, "ends", value=[b"\xff"]), "bad_end", TEXT),
    "the journal is huge": (
        lambda room: with_key(room, "journal", value=None, items=10**7), "too_large", TEXT),
    "no journal": (lambda room: without(room, "journal"), "half_a_journal", TEXT),
    "no head": (lambda room: without(room, "head"), "half_a_journal", TEXT),
    "no snapshot": (lambda room: without(room, "code"), "snapshot_missing", TEXT),
    "garbage in an entry": (
        lambda room: with_entry(room, 1, [b"a", b"", b"u", b"\xff garbage"]),
        "entry_unreadable", TEXT),
    "an update that comes too early": (
        lambda room: with_entry(room, 0, [b"a", b"", b"u", b"\0\0"]), "entry_unreadable", TEXT),
    "an entry without an update": (
        lambda room: with_entry(room, 2, [b"a", b"ada"]), "bad_entry", TEXT),
    "an entry is gone": (lambda room: with_entry(room, 1, None), "bytes_differ", TEXT),
    "the last entry is gone": (lambda room: with_entry(room, 2, None), "tail_differs", TEXT),
    "no tail": (lambda room: with_head(room, tail=None), "head_lacks_field", TEXT),
    "no base": (lambda room: with_head(room, base=None, base_id=None), "head_lacks_field", TEXT),
    "the base is garbage": (
        lambda room: with_head(room, base=b"\xff garbage"), "base_unreadable", TEXT),
    "base_id beyond the tail": (
        lambda room: with_head(room, base_id=b"9999-0"), "base_beyond_tail", TEXT),
    "base_id beyond an entry": (
        lambda room: with_head(room, base_id=b"1001-7"), "base_beyond_entry", TEXT),
    "tail is no id": (lambda room: with_head(room, tail=b"yesterday"), "bad_head", TEXT),
    "bytes is no number": (lambda room: with_head(room, bytes=b"many"), "bad_head", TEXT),
    "bytes is another number": (lambda room: with_head(room, bytes=b"7"), "bytes_differ", TEXT),
    "epoch is no text": (lambda room: with_head(room, epoch=b"\xff"), "bad_head", TEXT),
    "the snapshot is not UTF-8": (
        lambda room: with_key(room, "code", value=b"caf\xe9"), "not_utf8", TEXT),
    "the snapshot is another text": (
        lambda room: with_key(room, "code", value=b"other"), "snapshot_differs", TEXT),
    "the journal does not expire": (
        lambda room: with_key(room, "journal", ttl=-1), "no_expiry", TEXT),
    "the head expires earlier": (
        lambda room: with_key(room, "head", ttl=9000), "expiries_differ", TEXT),
    "the snapshot lives for ever": (
        lambda room: with_key(room, "code", ttl=10**15), "long_expiry", TEXT),
    "a starter is not UTF-8": (
        lambda room: with_key(
            without(without(room, "journal"), "head"), "code", value=b"caf\xe9"
        ), "not_utf8", "caf\ufffd"),
    "a starter is a list": (
        lambda room: with_key(without(without(room, "journal"), "head"), "code", kind="list"),
        "wrong_type", None),
}  # fmt: skip


@pytest.mark.parametrize("base", [0, 1])
@pytest.mark.parametrize("kind", BAD)
def test_each_damage_is_found_and_what_is_written_instead_is_healthy(kind: str, base: int) -> None:
    break_it, word, text = BAD[kind]
    if "entry" in kind or kind.startswith("an update that comes"):
        base = 0  # these are counted from the first text on
    room = break_it(a_room(base=base))
    findings = examine(room).findings
    assert word in [finding.word for finding in findings]
    for finding in findings:
        assert SECRET not in "".join(finding) and MENDS[finding.mend]
    assert examine(room).text == text
    healthy = written(room)
    assert not words(healthy), examine(healthy).findings
    found = examine(healthy)
    assert found.text == text
    if found.has_journal:  # as a node reads it
        assert add_up("r", found.base, [Entry.parse(each) for each in healthy.journal.value])


def test_a_mend_keeps_the_history_that_can_be_read() -> None:
    found = examine(with_entry(a_room(), 2, [b"a", b"", b"u", b"\xff"]))
    new = found.mended("e2", 60.0)
    assert new.journal is not None
    ids = [id for id, _, _ in new.journal.entries]
    assert ids == [(1000, 7), (1001, 7), None], "the last is what only the snapshot had"


def test_what_was_appended_by_others_behind_the_tail_is_kept() -> None:
    room = with_head(a_room(), tail=b"1001-7", snap=b"1001-7")
    assert examine(with_key(room, "code", value=TEXTS[1].encode())).text == TEXT


def test_a_document_over_its_limits_is_a_finding_that_people_mend() -> None:
    room = a_room((*TEXTS, "two three 🐍"))
    for limits in (Limits(3, 10_000), Limits(1000, 3), Limits(1000, 10_000, 1)):
        [finding] = examine(room, limits).findings
        assert (finding.word, finding.mend) == ("over_limit", Mend.NOTHING)


VALUES: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.binary(max_size=30), st.lists(st.binary(max_size=9), max_size=6),
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn) -> Contents:
    """Return a room of which some bytes, fields, entries or keys are others, or are missing."""
    room = a_room(base=draw(st.integers(0, 2)))
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(("code", "journal", "head", "ends")))
        key: Key = getattr(room, name)
        how = draw(st.sampled_from(("flip", "truncate", "retype", "delete", "expiry")))
        if how == "delete" or not key.exists:
            room = without(room, name)
        elif how == "retype":
            kind = draw(st.sampled_from(("string", "hash", "list", "set", "zset", "stream")))
            read = {"string": b"x", "hash": [b"a", b"b"], "list": [b"a"], "stream": []}
            value = key.value if kind == key.kind else read.get(kind)
            room = with_key(room, name, kind=kind, value=value)
        elif how == "expiry":
            room = with_key(room, name, ttl=draw(st.sampled_from((-1, 1, 10**16))))
        else:
            room = with_key(room, name, value=spoil(draw, key.value, how))
    return room


def spoil(draw: st.DrawFn, value: Any, how: str) -> Any:
    """Flip a byte of a value, or cut something off, at any depth."""
    if isinstance(value, bytes):
        at = draw(st.integers(0, max(0, len(value) - 1)))
        if how == "truncate" or not value:
            return value[:at]
        return value[:at] + bytes([value[at] ^ draw(st.integers(1, 255))]) + value[at + 1 :]
    if not value:
        return value
    at = draw(st.integers(0, len(value) - 1))
    if how == "truncate" and draw(st.booleans()):
        return value[:at] if not isinstance(value[0], bytes) else value[: at // 2 * 2]
    changed = list(value)
    if isinstance(value[at], list):  # an entry: its id is one that Redis has made
        changed[at] = [value[at][0], spoil(draw, value[at][1], how)]
    else:
        changed[at] = spoil(draw, value[at], how)
    return changed


@settings(max_examples=300, deadline=None)
@given(damaged())
def test_no_damage_makes_the_doctor_crash_and_what_it_writes_is_healthy(room: Contents) -> None:
    found = examine(room, Limits(1000, 10_000))
    if not found.broken and is_there(room):
        return
    healthy = written(room)
    assert not words(healthy)
