"""Playback as people meet it: who typed what, played, paused, scrubbed and sped up."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import visitors

pytestmark = pytest.mark.timeout(60)

Nodes = tuple[str, str]
Visit = Callable[..., Any]

PHONE = {"width": 360, "height": 740}
END = "# two of us\nprint('by Ada')\n"
COLOURS = """list => [...list.children].map(each =>
    [each.querySelector(".person").textContent, each.style.getPropertyValue("--person")])"""


@pytest.fixture(scope="module")
def typed(browser: Browser, two_nodes: Nodes) -> str:
    """A room in which Ada and Bob have typed."""
    room = f"played-{uuid4().hex[:12]}"
    with visitors(browser) as visit:
        ada = visit("Ada").enters(two_nodes[0], room)
        bob = visit("Bob").enters(two_nodes[1], room)
        # Brackets and quotes close themselves, and typing the second half goes over the first.
        # Slowly enough for the journal to have many entries: what comes at once is one commit.
        ada.code.press_sequentially("print('by Ada')\n", delay=30)
        bob.sees("print('by Ada')\n")
        bob.code.press("Control+Home")
        bob.types("# two of us\n").has_state("saved")
        ada.sees(END)
    return room


def reel(person: Any) -> Any:
    return person.page.locator("#reel")


def edit_shown(person: Any) -> int:
    return int(reel(person).get_attribute("data-edit"))


def test_it_begins_with_the_rooms_text_and_who_typed_it(
    visit: Visit, two_nodes: Nodes, typed: str
) -> None:
    eve = visit("Eve").plays_back(two_nodes[0], typed)
    eve.sees(END)
    legend = eve.page.get_by_role("list", name="Who typed").get_by_role("listitem")
    expect(legend).to_have_count(2)
    expect(legend.nth(0)).to_contain_text("Ada16")
    expect(legend.nth(1)).to_contain_text("Bob12")
    for author, text in (("Ada", "print('by Ada')"), ("Bob", "# two of us")):
        written = eve.page.locator(f".cm-written[data-author='{author}']")
        expect(written.first).to_be_visible()
        assert "".join(written.all_text_contents()) == text
    colors = {
        author: eve.page.locator(f".cm-written[data-author='{author}']").first.evaluate(
            "element => getComputedStyle(element).color"
        )
        for author in ("Ada", "Bob")
    }
    assert colors["Ada"] != colors["Bob"]


def test_it_plays_to_the_end_and_can_be_paused(visit: Visit, two_nodes: Nodes, typed: str) -> None:
    eve = visit("Eve").plays_back(two_nodes[0], typed)
    eve.page.get_by_role("button", name="Play", exact=True).click()
    # Within the page: a busy machine would let the film end before a click from here arrived.
    eve.page.wait_for_function(
        """() => {
            const edit = Number(document.querySelector("#reel").dataset.edit);
            if (edit > 0 && edit < 10) document.querySelector("[aria-label=Pause]").click();
            return edit > 0;
        }"""
    )
    expect(reel(eve)).to_have_attribute("data-playing", "false")
    stopped = edit_shown(eve)
    assert 0 < stopped < 10
    expect(eve.page.locator(".cm-caret")).to_have_text("Ada")
    expect(eve.page.locator("#clock time")).to_have_text(re.compile(r"\d\d:\d\d:\d\d"))
    expect(eve.page.locator("#clock")).to_contain_text(f"edit {stopped} of")
    eve.page.locator("#speed label").last.click()
    expect(eve.page.get_by_role("radio", name="16")).to_be_checked()
    eve.page.get_by_role("button", name="Play", exact=True).click()
    expect(reel(eve)).to_have_attribute("data-edit", reel(eve).get_attribute("data-edits"))
    expect(reel(eve)).to_have_attribute("data-playing", "false")
    eve.sees(END)


def test_it_can_be_scrubbed(visit: Visit, two_nodes: Nodes, typed: str) -> None:
    eve = visit("Eve").plays_back(two_nodes[0], typed)
    line = eve.page.get_by_role("slider", name="Time line")
    box = line.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    eve.page.mouse.move(box["x"] + box["width"] - 2, middle)
    eve.page.mouse.down()
    eve.page.mouse.move(box["x"] + 1, middle, steps=5)
    expect(reel(eve)).to_have_attribute("data-edit", "0")
    eve.sees("")
    eve.page.mouse.move(box["x"] + box["width"] / 2, middle, steps=5)
    halfway = edit_shown(eve)
    assert 0 < halfway < int(reel(eve).get_attribute("data-edits"))
    eve.page.mouse.move(box["x"] + box["width"] - 1, middle, steps=5)
    eve.page.mouse.up()
    eve.sees(END)


def test_it_works_by_keyboard(visit: Visit, two_nodes: Nodes, typed: str) -> None:
    eve = visit("Eve").plays_back(two_nodes[0], typed)
    keys = eve.page.keyboard
    keys.press("Home")
    expect(reel(eve)).to_have_attribute("data-edit", "0")
    eve.sees("")
    texts = []
    for edit in range(1, 5):
        keys.press("ArrowRight")
        expect(reel(eve)).to_have_attribute("data-edit", str(edit))
        texts.append(eve.page.locator(".cm-content").inner_text())
    assert texts[0].startswith("p")
    assert len(set(texts)) == 4
    for edit in (3, 2):
        keys.press("ArrowLeft")
        expect(reel(eve)).to_have_attribute("data-edit", str(edit))
        assert eve.page.locator(".cm-content").inner_text() == texts[edit - 1]
    eve.page.get_by_role("slider", name="Time line").focus()
    slider = eve.page.get_by_role("slider", name="Time line")
    expect(slider).to_have_attribute("aria-valuetext", re.compile(r"edit 2 of \d+, Ada$"))
    keys.press(" ")
    expect(reel(eve)).to_have_attribute("data-playing", "true")
    keys.press(" ")
    expect(reel(eve)).to_have_attribute("data-playing", "false")
    keys.press("End")
    eve.sees(END)
    # Nothing of this is typing: the room is as it was.
    eve.enters(two_nodes[1], typed).sees(END)


def test_what_the_plain_client_wrote_has_its_author_too(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    tom = visit("Tom").enters(two_nodes[0], room, client="plain")
    tom.types("plain 🙂 text").has_state("saved")
    eve = visit("Eve").plays_back(two_nodes[1], room)
    eve.sees("plain 🙂 text")
    legend = eve.page.get_by_role("list", name="Who typed").get_by_role("listitem")
    expect(legend).to_have_text(re.compile("Tom"))
    expect(eve.page.get_by_text("Tom: letters of plain clients")).to_contain_text(
        "credited by difference"
    )


def test_nothing_is_said_of_plain_clients_where_none_typed(
    visit: Visit, two_nodes: Nodes, typed: str
) -> None:
    eve = visit("Eve").plays_back(two_nodes[0], typed)
    expect(eve.page.get_by_text("credited by difference")).to_be_hidden()


def test_people_keep_their_colors_and_two_of_one_name_stay_two(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    people = [
        visit("Ada").enters(two_nodes[0], room),
        visit("Ada").enters(two_nodes[1], room),
        visit("Tom").enters(two_nodes[0], room, client="plain"),
    ]
    last = people[-1]
    expect(last.people).to_have_count(3)
    here = last.page.get_by_role("list", name="People in this room")
    for number, person in enumerate(people):
        person.code.press("Control+End")
        person.types(f"{number}" * (number + 2)).has_state("saved")
        last.sees("".join(f"{each}" * (each + 2) for each in range(number + 1)))
    seen = here.evaluate(COLOURS)
    for person in people:
        person.context.close()
    eve = visit("Eve").plays_back(two_nodes[1], room)
    legend = eve.page.get_by_role("list", name="Who typed")
    expect(legend.get_by_role("listitem")).to_have_text(
        [re.compile("Ada2"), re.compile(r"Ada \(2\)3"), re.compile("Tom4")]
    )
    shown = [(name.removesuffix(" (2)"), color) for name, color in legend.evaluate(COLOURS)]
    assert sorted(shown) == sorted(map(tuple, seen))
    assert len({color for _, color in shown}) == 3


def test_somebody_who_comes_back_is_one_person(visit: Visit, two_nodes: Nodes, room: str) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    ada.types("one").has_state("saved")
    ada.page.reload()
    ada.has_state("connected").code.press("Control+End")
    ada.types(" two").has_state("saved")
    eve = visit("Eve").plays_back(two_nodes[0], room)
    legend = eve.page.get_by_role("list", name="Who typed").get_by_role("listitem")
    expect(legend).to_have_text([re.compile("Ada7")])


def test_pauses_are_skipped_unless_somebody_wants_them(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    edits = [
        {"at": f"2026-01-01T00:{minute:02}:00.000Z", "author": None, "delta": [{"insert": "x"}]}
        for minute in (0, 20)
    ]
    eve = visit("Eve", timezone_id="UTC")
    eve.gets_history([{"base": "", "entries": 2}, *edits])
    eve.plays_back(two_nodes[0], room)
    slider, skip = eve.page.get_by_role("slider", name="Time line"), eve.page.get_by_label("Skip")
    assert float(slider.get_attribute("max")) == 2500
    eve.page.keyboard.press("ArrowLeft")
    expect(eve.page.locator("#clock time")).to_have_text("12:00:00 AM")
    skip.uncheck()
    expect(slider).to_have_attribute("max", str(20 * 60_000 + 1000))
    expect(reel(eve)).to_have_attribute("data-edit", "1")
    eve.page.reload()
    expect(skip).not_to_be_checked()
    expect(slider).to_have_attribute("max", str(20 * 60_000 + 1000))
    skip.check()
    eve.page.get_by_role("button", name="One edit on").click()
    expect(eve.page.locator("#clock time")).to_have_text("12:20:00 AM")


def test_a_link_leads_to_the_moment(visit: Visit, two_nodes: Nodes, typed: str) -> None:
    eve = visit("Eve", permissions=["clipboard-read", "clipboard-write"])
    eve.plays_back(two_nodes[0], typed)
    eve.page.keyboard.press("Home")
    for _ in range(5):
        eve.page.keyboard.press("ArrowRight")
    expect(reel(eve)).to_have_attribute("data-edit", "5")
    text = eve.page.locator(".cm-content").inner_text()
    eve.page.get_by_role("button", name="Copy link to this moment").click()
    expect(eve.page.get_by_role("button", name="Link copied")).to_be_visible()
    link = eve.page.evaluate("navigator.clipboard.readText()")
    assert re.search(r"&playback&at=\d+-\d+$", link)
    eve.page.wait_for_url(link)  # the address names it too
    eve.page.get_by_role("button", name="Copy this text").click()
    assert eve.page.evaluate("navigator.clipboard.readText()").startswith(text)
    bob = visit("Bob")
    bob.page.goto(link)
    expect(reel(bob)).to_have_attribute("data-edit", "5")
    assert bob.page.locator(".cm-content").inner_text() == text
    expect(bob.notices).to_have_count(0)
    # At the end the address names no moment: playback goes on from there.
    bob.page.keyboard.press("End")
    bob.page.wait_for_url(lambda url: url.endswith("&playback"))


NOT_HERE = "is not in the history, which begins at"
NO_MOMENT = "names no moment that can be understood"


def test_a_moment_that_is_not_there_shows_the_nearest_and_says_so(
    visit: Visit, two_nodes: Nodes, typed: str
) -> None:
    eve = visit("Eve")
    for at, edit, said in (
        ("start", "0", ""),
        ("1000000000000-7", "0", NOT_HERE),
        ("2001-01-01T00:00:00Z", "0", NOT_HERE),
        ("9000000000000-7", "end", "The edit of this link is not in the history"),
        ("2200-01-01", "end", ""),
        ("yesterday", "end", NO_MOMENT),
        ("%00%3Cb%3E", "end", NO_MOMENT),
        ("", "end", NO_MOMENT),
    ):
        eve.page.goto(f"{two_nodes[0]}/?room={typed}&playback&at={at}")
        expect(eve.page.get_by_role("button", name="Play", exact=True)).to_be_enabled()
        shown = reel(eve).get_attribute("data-edits") if edit == "end" else edit
        expect(reel(eve)).to_have_attribute("data-edit", shown)
        expect(eve.notices).to_have_count(1 if said else 0)
        if said:
            expect(eve.notices).to_contain_text(said)


def test_a_room_without_history_says_so(visit: Visit, two_nodes: Nodes, room: str) -> None:
    eve = visit("Eve")
    eve.page.goto(f"{two_nodes[0]}/?room={room}&playback")
    expect(eve.page.get_by_text("Nothing has been typed here yet")).to_be_visible()
    expect(eve.page.get_by_role("button", name="Play", exact=True)).to_be_disabled()
    # The browser itself reports the answer 404.
    eve.failures = [failure for failure in eve.failures if "404" not in failure]


def test_it_fits_a_phone_and_names_every_control(
    visit: Visit, two_nodes: Nodes, typed: str
) -> None:
    eve = visit("Eve", viewport=PHONE, has_touch=True, is_mobile=True)
    eve.plays_back(two_nodes[0], typed)
    assert eve.fits_the_screen()
    player = eve.page.get_by_role("region", name="Player")
    for control in player.get_by_role("button").all():
        expect(control).to_be_in_viewport(ratio=1)
    expect(eve.page.locator("#clock time")).to_be_in_viewport(ratio=1)
    roles = eve.controls()
    assert {"slider", "radio", "checkbox"} <= {role for role, _ in roles}
    assert [role for role, name in roles if not name] == []
