"""The deleted parts of a document, read from its bytes, and updates that delete."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from collab.merge.deletions import Ranges, covers, deleted, deletion, inserted, normalized
from collab.merge.delta import Delta
from collab.merge.diff import diff
from collab.merge.replica import Replica

TEXT = st.text("ab🐍\n", max_size=12)
RANGES = st.lists(
    st.tuples(st.integers(1, 3), st.integers(0, 20), st.integers(1, 5)).map(
        lambda drawn: (drawn[0], drawn[1], drawn[1] + drawn[2])
    )
)


def clocks(ranges: Ranges) -> set[tuple[int, int]]:
    return {
        (client, clock)
        for client, own in ranges.items()
        for start, end in own
        for clock in range(start, end)
    }


def write(replica: Replica, text: str) -> bytes:
    return replica.edit(Delta.from_splices(diff(replica.text, text)))


@given(RANGES)
def test_ranges_are_sorted_and_apart_and_cover_their_input(
    given: list[tuple[int, int, int]],
) -> None:
    ranges = normalized(given)
    assert clocks(ranges) == {(c, clock) for c, start, end in given for clock in range(start, end)}
    for own in ranges.values():
        assert all(one[1] < other[0] for one, other in itertools.pairwise(own))


@given(RANGES, RANGES)
def test_ranges_cover_others_if_they_have_all_their_clocks(
    one: list[tuple[int, int, int]], other: list[tuple[int, int, int]]
) -> None:
    ranges, parts = normalized(one), normalized(other)
    assert covers(ranges, parts) == (clocks(parts) <= clocks(ranges))


@given(st.lists(TEXT, min_size=1))
def test_a_copy_has_the_same_deletions_which_are_all_that_the_text_does_not_show(
    texts: list[str],
) -> None:
    replica, copy = Replica(), Replica()
    for text in texts:
        write(replica, text)
    copy.apply_update(replica.state())
    assert deleted(copy) == deleted(replica)
    held = clocks(inserted(replica))
    assert len(held - clocks(deleted(replica))) == len(replica.text.encode("utf-16-le")) // 2


@given(TEXT, TEXT, TEXT)
def test_an_update_that_deletes_a_document_spares_what_excepted_updates_inserted(
    first: str, others: str, later: str
) -> None:
    mine, theirs = Replica(), Replica()
    write(mine, first)
    spared = mine.edit(Delta.of(later))
    write(theirs, others)
    mine.apply_update(theirs.state())
    theirs.apply_update(mine.state())
    gone = inserted(mine, but=[spared])
    mine.apply_update(deletion(gone))
    mine.check()
    assert mine.text == later
    theirs.apply_update(deletion(gone))
    assert theirs.text == later and deleted(theirs) == deleted(mine)
