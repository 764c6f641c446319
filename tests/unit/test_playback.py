"""A playback: entries played forward as edits, with authors, in the units of JavaScript."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from collab.merge.delta import Delta
from collab.merge.diff import diff
from collab.merge.replica import Replica
from collab.merge.units import utf16_ops
from collab.rooms.author import Author
from collab.rooms.playback import Playback, final_text
from collab.store.records import Entry, Reading, entry_text

TEXTS = st.text(alphabet="ab \nß€𝄞🐍", max_size=12)


def reading(texts: list[str], compacted: int) -> Reading:
    """Return a journal of texts in their order, the first ``compacted`` of them in the base."""
    replica = Replica()
    entries, base = [], b""
    for i, text in enumerate(texts):
        update = replica.edit(Delta.from_splices(diff(replica.text, text)))
        if i < compacted:
            base = replica.state()
        else:
            entries.append(Entry((i, 0), f"{i} Somebody", update))
    return Reading("epoch", (len(texts), 0), entries, 1800.0, complete=True, base=base)


def in_javascript(text: str, ops: list[int | str]) -> str:
    """Apply ops with lengths in UTF-16 units, as JavaScript does."""
    units, out, position = text.encode("utf-16-le"), b"", 0
    for op in ops:
        if isinstance(op, str):
            out += op.encode("utf-16-le")
        elif op > 0:
            out += units[position : position + 2 * op]
        position += 0 if isinstance(op, str) else 2 * abs(op)
    return (out + units[position:]).decode("utf-16-le")


@given(st.lists(TEXTS, min_size=1, max_size=8), st.integers(0, 8))
def test_played_forward_it_ends_in_the_text(texts: list[str], compacted: int) -> None:
    journal = reading(texts, compacted)
    playback = Playback("room", journal)
    text = playback.base
    for step in playback.play():
        assert step is not None
        assert step.before == text
        text = in_javascript(text, list(utf16_ops(step.before, step.edit)))
    assert text == texts[-1] == final_text("room", journal)


@given(st.lists(TEXTS, min_size=2, max_size=8), st.integers(0, 7), st.integers(0, 7))
def test_it_can_be_played_from_any_entry_on(texts: list[str], compacted: int, at: int) -> None:
    journal = reading(texts, compacted)
    after = f"{at % len(texts)}-0"
    playback = Playback("room", journal, after)
    known = after in [entry_text(entry.id) for entry in journal.entries]
    assert playback.after == (after if known else None)
    text = texts[at % len(texts)] if known else playback.base
    for step in playback.play():
        if step is not None:
            assert step.before == text
            text = in_javascript(text, list(utf16_ops(step.before, step.edit)))
    assert text == texts[-1]


def test_it_can_be_played_from_the_last_entry_of_the_base_on() -> None:
    journal = replace(reading(["a", "ab", "abc"], 2), base_id=(1, 0))
    playback = Playback("room", journal, "1-0")
    assert playback.after == "1-0"
    assert [step.before for step in playback.play() if step] == ["ab"]


def test_a_starter_is_the_base_of_a_history_without_entries() -> None:
    starter = Reading(None, (0, 0), [], None, complete=True, code="größe 🐍".encode())
    playback = Playback("room", starter)
    again = Replica()
    again.apply_update(playback.base_update)
    assert playback.base == again.text == "größe 🐍" and list(playback.play()) == []


def test_an_entry_that_is_no_valid_update_is_skipped() -> None:
    journal = reading(["a", "ab"], 0)
    journal.entries.insert(1, Entry((0, 1), "x X", b"not an update"))
    steps = list(Playback("room", journal).play())
    assert [step.edit.ops for step in steps if step] == [("a",), (), (1, "b")]


def test_an_author_is_an_id_and_a_name_that_may_have_spaces() -> None:
    for id in ("sid-1", "https://id.example/u#1 %20#text#c2410c"):
        for look in (("", ""), ("#c2410c", "yjs"), ("#abc", "text"), ("", "api")):
            author = Author(id, "Ada von L. #1", *look)
            assert Author.parse(str(author)) == author
    assert Author.parse("") is None


def test_an_author_of_an_earlier_version_has_no_look() -> None:
    assert Author.parse("u#1 Ada") == Author("u#1", "Ada")
    assert Author.parse("u#1#2 Ada") == Author("u#1#2", "Ada")
    assert Author.parse("sid-of-before") == Author("sid-of-before", "")
