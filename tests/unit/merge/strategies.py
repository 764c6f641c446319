"""Strategies for texts and edits: few letters, so that edits collide, and some difficult ones."""

from hypothesis import strategies as st

from collab.merge.delta import Delta
from collab.merge.splice import Splice

LETTERS = "ab\n é\u0301€😀👍🏽"

texts = st.text(alphabet=LETTERS, max_size=24)


@st.composite
def splice_lists(draw: st.DrawFn, size: int) -> list[Splice]:
    """Splices on a text of ``size`` code points."""
    marks = sorted(draw(st.lists(st.integers(0, size), max_size=8)))
    pairs = zip(marks[::2], marks[1::2], strict=False)
    return [Splice(start, end, draw(st.text(alphabet="XY😀", max_size=4))) for start, end in pairs]


@st.composite
def deltas(draw: st.DrawFn, size: int) -> Delta:
    """An edit of a text of ``size`` code points."""
    return Delta.from_splices(draw(splice_lists(size)))
