"""A playback: entries played forward as edits, with authors, in the units of JavaScript."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collab.merge.delta import Delta
from collab.merge.diff import diff
from collab.merge.replica import Replica
from collab.merge.units import utf16_ops
from collab.rooms.author import Author
from collab.rooms.playback import Playback, final_text
from collab.store.records import Entry, Reading

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
        assert step.before == text
        text = in_javascript(text, list(utf16_ops(step.before, step.edit)))
    assert text == texts[-1] == final_text("room", journal)


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
    assert [step.edit.ops for step in steps] == [("a",), (), (1, "b")]


def test_an_author_is_an_id_and_a_name_that_may_have_spaces() -> None:
    author = Author("sid-1", "Ada von L.")
    assert Author.parse(str(author)) == author
    assert Author.parse("") is None
    assert Author.parse("sid-of-before") == Author("sid-of-before", "")
