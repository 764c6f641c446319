"""What a page was showing that no node knows, and that may lack the newest letters of the room."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from collab.merge.trail import View
from collab.rooms.search import UNSEEN_SECONDS, Found, Searches, shown_text
from collab.store.records import Reading

from .merge.desk import Desk
from .test_search import journal

SOON = int(UNSEEN_SECONDS * 1000 / 20)
LATER = int(UNSEEN_SECONDS * 1000) + 1


async def find(code: str, *texts: str, every: int = SOON) -> Found:
    found = await shown_text(code, journal(*texts, every=every), Searches(), max_distance=1000)
    assert found is not None
    assert found.to_tail.apply(found.text) == found.tail == texts[-1]
    return found


def merged(code: str, found: Found) -> str:
    """Return the room's text after the page has sent ``code``."""
    desk = Desk(found.tail, shown="")
    desk.peer.offer_former(View(found.text, found.to_tail))
    outcome = desk.change(code)
    assert outcome.needs_receive is (desk.text != code)
    return desk.text


async def test_a_letter_of_others_that_was_on_its_way_to_the_page_is_not_deleted() -> None:
    """The page lacks P, which came before its own Y: it shows no text that the room had."""
    found = await find("one twoY!", "one two", "one Ptwo", "one PtwoY")
    assert (found.text, found.distance) == ("one twoY", 1)
    assert merged("one twoY!", found) == "one PtwoY!"


async def test_the_pages_own_letter_is_not_there_twice_though_it_lacks_more_than_it_has() -> None:
    """The text without P, Q and Y is nearer than the one that the page has typed its Y in."""
    found = await find("one twoY!", "one two", "one Ptwo", "oneQ Ptwo", "oneQ PtwoY")
    assert (found.text, found.distance) == ("one twoY", 1)
    assert merged("one twoY!", found) == "oneQ PtwoY!"


async def test_what_the_page_has_shown_long_enough_can_be_deleted() -> None:
    found = await find("one twoY!", "one two", "one Ptwo", "one PtwoY", every=LATER)
    assert merged("one twoY!", found) == "one twoY!"


async def test_later_letters_of_others_stay_too() -> None:
    texts = ["one two", "one Ptwo", *("one PtwoY" + "+" * more for more in range(60))]
    found = await find("one twoY!", *texts)
    assert found.text == "one twoY"
    assert merged("one twoY!", found) in ("one PtwoY!" + "+" * 59, "one PtwoY" + "+" * 59 + "!")


async def test_pages_of_text_that_were_on_their_way_to_the_page_are_not_deleted() -> None:
    pasted = "".join(chr(0x4E00 + n) for n in range(3000))
    texts = ("one two", "one two" + pasted, f"one twoY{pasted}", f"one twoY{pasted}.")
    assert merged("one twoY!", await find("one twoY!", *texts)) == f"one twoY{pasted}.!"


async def test_a_page_that_was_blank_has_not_shown_the_letters_that_its_text_has_by_chance() -> (
    None
):
    """All of what it sends is somewhere in a text that is as new as can be."""
    texts = ("h", "the quick brown fox jumps over the lazy dog, and so on, well told")
    found = await find("hello", *texts)
    assert found.text == "h"
    assert len(merged("hello", found)) == len(texts[-1]) + len("ello")


async def test_without_a_journal_nothing_is_found() -> None:
    nothing = Reading(None, (0, 0), [], None, complete=True)
    assert await shown_text("a", nothing, Searches(), max_distance=9) is None


@st.composite
def breaks(draw: st.DrawFn) -> tuple[list[str], str]:
    """Return the texts of a room, and the first one of a page whose link broke meanwhile.

    Each letter is another one. The page has its own letters, and those of others up to a moment;
    it has typed some more since.
    """
    letters = iter(map(chr, range(0x4E00, 0x9000)))
    text, missing = "", set[str]()
    texts: list[str] = []
    steps = draw(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), min_size=12, max_size=30))
    seen = draw(st.integers(len(steps) // 2, len(steps)))
    for number, (own, place) in enumerate(steps):
        letter, at = next(letters), place % (len(text) + 1)
        if not own and number >= seen:
            missing.add(letter)
        text = text[:at] + letter + text[at:]
        texts.append(text)
    shown = "".join(letter for letter in text if letter not in missing)
    for place in draw(st.lists(st.integers(0, 30), min_size=1, max_size=4)):
        at = place % (len(shown) + 1)
        shown = shown[:at] + next(letters) + shown[at:]
    return texts, shown


@given(breaks())
def test_every_letter_is_there_once(case: tuple[list[str], str]) -> None:
    texts, code = case
    text = merged(code, asyncio.run(find(code, *texts)))
    assert sorted(text) == sorted({*texts[-1], *code})
