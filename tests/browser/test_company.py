"""The others in the room: going to them, following them, and room for many in the header."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

pytestmark = pytest.mark.timeout(60)

Nodes = tuple[str, str]
Visit = Callable[..., Any]
LINES = "\n".join(f"line {number}" for number in range(200))
START, END = {"tname": "code", "assoc": -1}, {"tname": "code"}
LONG = "Maximiliane Wolfeschlegelsteinhausenbergerdorff of the South, MA"
FINGERTIP = 44
"""Pixels, each way."""
SMALL = """least => [...document.querySelectorAll("header, footer, #everyone, .edge, #following")]
    .flatMap(part => [...part.querySelectorAll("button, a, select")])
    .filter(each => each.checkVisibility())
    .filter(each => Math.min(each.offsetWidth, each.offsetHeight) < least)
    .map(each => `${each.outerHTML} ${each.offsetWidth} ${each.offsetHeight}`)"""
ALL_COUNT = """() => {
    const more = document.querySelector("#more-people .count").textContent;
    const shown = document.querySelectorAll("#people li:not([hidden])").length;
    return shown + (more.startsWith("+") ? Number(more) : 0) === 20;
}"""
CUT = """() => [...document.querySelectorAll(".person")]
    .filter(each => each.checkVisibility() && !each.closest(".compact"))
    .filter(each => {
        const [name, box] = [each, each.closest("ul")].map(part => part.getBoundingClientRect());
        const outside = name.left < box.left - 1 || name.right > box.right + 1;
        return outside || each.scrollWidth > each.clientWidth;
    })
    .map(each => each.textContent)"""


def line(person: Any, number: int) -> Locator:
    found: Locator = person.page.get_by_text(f"line {number}", exact=True)
    return found


def test_one_goes_to_somebody_and_follows_them_until_one_does_something_else(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    bob = visit("Bob").enters(two_nodes[1], room)
    ada.code.fill(LINES)
    ada.code.press("Control+Home")
    bob.code.press("Control+End")
    below = ada.page.get_by_role("button", name="Go to Bob, below")
    expect(below).to_be_visible()
    below.click()
    expect(ada.caret_of("Bob")).to_be_in_viewport()
    expect(below).to_have_count(0)
    expect(ada.page.locator("#spoken")).to_have_text("Bob is in line 200")
    ada.code.press("Control+Home")
    ada.page.get_by_role("button", name="Bob Go to their cursor").click()
    expect(ada.caret_of("Bob")).to_be_in_viewport()
    expect(ada.following).to_be_hidden()
    # Followed, Bob takes Ada along.
    ada.follows("Bob")
    expect(ada.page.locator("#spoken")).to_contain_text("Following Bob")
    bob.code.press("Control+Home")
    expect(line(ada, 0)).to_be_in_viewport()
    bob.code.press("Control+End")
    expect(line(ada, 199)).to_be_in_viewport()
    # The list tells whom one follows, and ends it too; its own Escape does not.
    ada.page.get_by_role("button", name="Show all").click()
    follow = ada.page.get_by_role("button", name="Follow Bob", exact=True)
    expect(follow).to_have_attribute("aria-pressed", "true")
    ada.page.keyboard.press("Escape")
    expect(ada.following).to_be_visible()
    ada.page.get_by_role("button", name="Show all").click()
    follow.click()
    expect(ada.following).to_be_hidden()
    expect(ada.page.locator("#spoken")).to_have_text("You no longer follow Bob.")
    ends: list[Callable[[], Any]] = [
        lambda: ada.code.press("x"),
        lambda: ada.page.keyboard.press("Escape"),
        lambda: ada.page.mouse.wheel(0, -50),
        lambda: ada.page.get_by_role("button", name="Stop following Bob").click(),
    ]
    ada.code.hover()
    for end in ends:
        ada.follows("Bob")
        expect(line(ada, 199)).to_be_in_viewport()  # Bob is there
        ada.code.focus()
        end()
        expect(ada.following).to_be_hidden()
    bob.code.press("Control+Home")
    expect(ada.page.get_by_role("button", name="Go to Bob, above")).to_be_visible()
    expect(line(ada, 0)).not_to_be_in_viewport()
    # Somebody who leaves is not followed any more, and that is said.
    ada.follows("Bob")
    bob.page.close()
    expect(ada.following).to_have_text(re.compile("Bob is not here any more"))
    expect(ada.page.locator("#spoken")).to_contain_text("You no longer follow Bob")
    expect(ada.page.locator(".edge button")).to_have_count(0)
    expect(ada.following).to_be_hidden()


def test_twenty_people_have_room_in_the_header_on_every_screen(
    visit: Visit, two_nodes: Nodes, room: str, crowd: list[Any]
) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    ada.code.fill(LINES)
    names = [LONG, "Nobody", "Twin", "Twin", *(f"Person {number}" for number in range(5, 20))]
    for number, (stranger, name) in enumerate(zip(crowd, names, strict=True)):
        place = START if number == 2 else END
        cursor = {} if name == "Nobody" else {"cursor": {"anchor": place, "head": place}}
        stranger.says({"user": {"name": name}, **cursor})
    expect(ada.page.locator("#everyone li")).to_have_count(20)
    expect(ada.page.locator("#everyone .follow")).to_have_count(18)
    ada.code.press("Control+Home")
    everyone = ada.page.get_by_role("list", name="Everyone in this room")
    more = ada.page.locator("#more-people")
    for width in (1920, 1280, 768, 390):
        ada.page.set_viewport_size({"width": width, "height": 844})
        # All have a place on the widest screen, and the others say for how many there is none.
        expect(more.locator(".count")).to_have_text(
            "20" if width == 1920 else re.compile(r"^\+\d+$")
        )
        expect(ada.page.locator("#people li:not([hidden])")).not_to_have_count(1)
        ada.page.wait_for_function(ALL_COUNT)
        expect(ada.code).to_be_focused()
        assert ada.fits_the_screen()
        assert ada.page.evaluate(CUT) == []
        more.click()
        expect(more).to_have_attribute("aria-expanded", "true")
        expect(everyone.get_by_role("listitem")).to_have_count(20)
        assert ada.page.evaluate(CUT) == []
        assert ada.fits_the_screen()
        if width == 390:
            assert ada.page.evaluate(SMALL, FINGERTIP) == []
        ada.page.keyboard.press("Escape")
        expect(everyone).to_be_hidden()
        expect(more).to_be_focused()
        ada.code.focus()
    # At the edge three of those who are below, and how many more there are.
    below = ada.page.get_by_role("group", name="People below")
    expect(below.get_by_role("button")).to_have_count(4)
    expect(below.get_by_role("button").last).to_have_text("+14")
    assert ada.page.evaluate(SMALL, FINGERTIP) == []
    below.get_by_role("button").last.click()
    expect(everyone).to_be_visible()
    nobody = everyone.get_by_role("listitem").filter(has_text="Nobody")
    expect(nobody).to_contain_text("has no cursor")
    expect(nobody.get_by_role("button")).to_have_count(0)
    # Two of one name are two people.
    lines = set()
    for twin in range(2):
        if not everyone.is_visible():
            more.click()
        everyone.get_by_role("button", name="Go to Twin").nth(twin).click()
        lines.add(ada.page.locator("#spoken").inner_text())
    assert lines == {"Twin is in line 1", "Twin is in line 200"}


def test_a_client_without_carets_shows_who_is_there_and_promises_no_more(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    tom = visit("Tom").enters(two_nodes[0], room, client="plain")
    ada = visit("Ada").enters(two_nodes[1], room)
    expect(tom.people).to_have_count(2)
    expect(tom.people.nth(1).get_by_role("button")).to_have_count(0)
    expect(ada.people.nth(1)).to_have_attribute("title", "Tom has no cursor")
    tom.page.get_by_role("button", name="Show all 2 people").click()
    everyone = tom.page.get_by_role("list", name="Everyone in this room")
    expect(everyone.get_by_role("button")).to_have_count(1)
    everyone.get_by_role("button", name="Change your name").click()
    expect(tom.page.get_by_role("dialog")).to_be_visible()
