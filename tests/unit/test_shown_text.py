"""What a page was showing that no node knows, and that may lack the newest letters of the room."""

from __future__ import annotations

import asyncio
from itertools import repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab.merge.diff import diff
from collab.merge.splice import edit_size
from collab.merge.trail import View
from collab.rooms import search
from collab.rooms.search import UNSEEN_SECONDS, Found, Searches, shown_text
from collab.store.records import Reading

from .merge.desk import Desk
from .test_search import journal

SOON = int(UNSEEN_SECONDS * 1000 / 20)
LATER = int(UNSEEN_SECONDS * 1000) + 1


async def find(code: str, *texts: str, by: str = "", every: int = SOON) -> Found:
    """Return what ``code`` was made from; ``by`` has a letter for the author of each text."""
    reading = journal(*texts, every=every, authors=by or repeat("m"))
    found = await shown_text(code, reading, Searches(), max_distance=1000)
    assert found is not None
    assert found.distance == edit_size(diff(found.text, code))
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
    found = await find("one twoY!", "one two", "one Ptwo", "one PtwoY", by="opy")
    assert (found.text, found.distance) == ("one twoY", 1)
    assert merged("one twoY!", found) == "one PtwoY!"


async def test_the_pages_own_letter_is_not_there_twice_though_it_lacks_more_than_it_has() -> None:
    """The text without P, Q and Y is nearer than the one that the page has typed its Y in."""
    texts = ("one two", "one Ptwo", "oneQ Ptwo", "oneQ PtwoY")
    found = await find("one twoY!", *texts, by="opqy")
    assert (found.text, found.distance) == ("one twoY", 1)
    assert merged("one twoY!", found) == "oneQ PtwoY!"


async def test_what_the_page_has_shown_long_enough_can_be_deleted() -> None:
    texts = ("one two", "one Ptwo", "one PtwoY")
    found = await find("one twoY!", *texts, by="opy", every=LATER)
    assert merged("one twoY!", found) == "one twoY!"


async def test_the_page_has_seen_its_own_letters_and_can_delete_them() -> None:
    texts = ("one two", "one twoX", "one twoXY", "one PtwoXY", "one PtwoXYZ")
    found = await find("one twoYZ", *texts, by="oyypy")
    assert (found.text, found.distance) == ("one twoXYZ", 1)
    assert merged("one twoYZ", found) == "one PtwoYZ"


async def test_a_page_that_shows_a_letter_of_others_has_seen_their_earlier_ones() -> None:
    texts = ("one two", "one Ptwo", "one QPtwo", "one QPtwoY")
    found = await find("one QtwoY!", *texts, by="oppy")
    assert merged("one QtwoY!", found) == "one QtwoY!"


async def test_letters_that_a_new_line_has_in_common_with_one_of_others_are_no_proof() -> None:
    """The page has typed its line while another one, which it has not seen, was typed above it."""
    for texts, by in (
        (("begin\n", "begin\nsrgbzvoowlki\n"), "op"),
        (tuple("begin\n" + "srgbzvoowlki\n"[:length] for length in range(14)), "o" + 13 * "p"),
    ):
        found = await find("begin\ndwtgmlqucavl\n", *texts, by=by)
        assert found.text == "begin\n"
        assert sorted(merged("begin\ndwtgmlqucavl\n", found).split()) == [
            "begin", "dwtgmlqucavl", "srgbzvoowlki",
        ]  # fmt: skip


async def test_later_letters_of_others_stay_too() -> None:
    texts = ["one two", "one Ptwo", *("one PtwoY" + "+" * more for more in range(60))]
    found = await find("one twoY!", *texts, by="opy" + 59 * "+")
    assert found.text == "one twoY"
    assert merged("one twoY!", found) in ("one PtwoY!" + "+" * 59, "one PtwoY" + "+" * 59 + "!")


async def test_letters_of_others_that_came_before_the_recent_texts_stay_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Others type so fast that the page's own last letters are not among the recent texts."""
    monkeypatch.setattr(search, "MAX_RECENT", 20)
    texts = ["one two", "one Ptwo", *("one PtwoYZ" + "+" * more for more in range(30))]
    found = await find("one twoYZ!", *texts, by="opy" + 29 * "p", every=15)
    assert (found.text, found.distance) == ("one twoYZ", 1)
    assert sorted(merged("one twoYZ!", found)) == sorted(texts[-1] + "!")


async def test_a_search_without_time_left_spares_what_was_on_its_way_to_the_page_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Older texts were searched, which took all the time that a search may take."""
    run = search._Search.run

    async def long(self: search._Search, first: int, near: int) -> search._Best | None:
        best = await run(self, first, near)
        self._slices.spent += 2 * search.MAX_SEARCH_SECONDS
        return best

    monkeypatch.setattr(search._Search, "run", long)
    found = await find("one twoY!", "one two", "one Ptwo", "one PtwoY", by="opy")
    assert merged("one twoY!", found) == "one PtwoY!"


async def test_pages_of_text_that_were_on_their_way_to_the_page_are_not_deleted() -> None:
    pasted = "".join(chr(0x4E00 + n) for n in range(3000))
    texts = ("one two", "one two" + pasted, f"one twoY{pasted}", f"one twoY{pasted}.")
    found = await find("one twoY!", *texts, by="opyp")
    assert merged("one twoY!", found) == f"one twoY{pasted}.!"


async def test_a_page_that_was_blank_has_not_shown_the_letters_that_its_text_has_by_chance() -> (
    None
):
    """All of what it sends is somewhere in a text that is as new as can be."""
    texts = ("h", "the quick brown fox jumps over the lazy dog, and so on, well told")
    found = await find("hello", *texts, by="op")
    assert found.text == "h"
    assert len(merged("hello", found)) == len(texts[-1]) + len("ello")


async def test_without_a_journal_nothing_is_found() -> None:
    nothing = Reading(None, (0, 0), [], None, complete=True)
    assert await shown_text("a", nothing, Searches(), max_distance=9) is None


@st.composite
def breaks(draw: st.DrawFn, letters: str | None = None) -> tuple[list[str], str, str]:
    """Return the texts of a room, their authors, and the first text of a page that came back.

    Its link broke: it has its own letters, and those of others up to a moment; it has typed some
    more since. Each letter is another one, or any of ``letters``.
    """
    each = iter(map(chr, range(0x4E00, 0x9000)))

    def letter() -> str:
        return draw(st.sampled_from(letters)) if letters else next(each)

    text: list[tuple[str, bool]] = []  # and whether the page has it
    texts: list[str] = []
    authors = draw(st.text("abc", min_size=12, max_size=30))
    seen = draw(st.integers(len(authors) // 2, len(authors)))
    for number, author in enumerate(authors):
        at = draw(st.integers(0, len(text)))
        text.insert(at, (letter(), author == "a" or number < seen))
        texts.append("".join(letter for letter, _ in text))
    shown = [letter for letter, has in text if has]
    for _ in range(draw(st.integers(1, 4))):
        shown.insert(draw(st.integers(0, len(shown))), letter())
    return texts, authors, "".join(shown)


@given(breaks())
def test_every_letter_is_there_once(case: tuple[list[str], str, str]) -> None:
    texts, by, code = case
    text = merged(code, asyncio.run(find(code, *texts, by=by)))
    assert sorted(text) == sorted({*texts[-1], *code})


@given(breaks(letters="abcdefghijklmnopqrstuvwxyz"))
def test_what_is_found_is_never_farther_than_any_text_that_the_room_had(
    case: tuple[list[str], str, str],
) -> None:
    texts, by, code = case
    found = asyncio.run(find(code, *texts, by=by))
    assert found.distance <= min(edit_size(diff(text, code)) for text in ("", *texts))
