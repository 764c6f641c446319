"""Finding and replacing, on every screen, by keyboard and on a phone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

pytestmark = pytest.mark.timeout(60)

Nodes = tuple[str, str]
Visit = Callable[..., Any]

TEXT = "one two\nOne Two\nbone\none"
PHONE = {"width": 360, "height": 740}
FINGER_PX = 44


def panel_of(person: Any) -> Locator:
    panel: Locator = person.page.get_by_role("search", name="Find in the text")
    return panel


def test_matches_are_counted_found_and_replaced(visit: Visit, two_nodes: Nodes, room: str) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    bob = visit("Bob").enters(two_nodes[1], room)
    ada.code.fill(TEXT)
    ada.code.press("Control+Home")
    bob.sees(TEXT)
    ada.code.press("Control+f")
    panel, keys = panel_of(ada), ada.page.keyboard
    query, count = panel.get_by_role("textbox", name="Find"), panel.locator("output")
    expect(query).to_be_focused()
    keys.type("one")
    expect(count).to_have_text("4 matches")
    for place in (1, 2, 3, 4, 1):
        keys.press("Enter")
        expect(count).to_have_text(f"{place} of 4")
    keys.press("Shift+Enter")
    expect(count).to_have_text("4 of 4")
    # What others type is counted.
    bob.code.press("Control+End")
    bob.types(" one")
    expect(count).to_have_text("4 of 5")
    panel.get_by_role("checkbox", name="Whole words").check()
    expect(count).to_have_text("3 of 4")
    panel.get_by_role("checkbox", name="Match case").check()
    expect(count).to_have_text("2 of 3")
    panel.get_by_role("checkbox", name="Regular expression").check()
    for expression, found in {
        "o(ne": "Not valid",
        "nothing": "No matches",
        "o|e": "No matches",
        "^(o)(ne)": "2 of 2",
    }.items():
        query.fill(expression)
        expect(count).to_have_text(found)
        invalid = "Not" in found
        assert (query.get_attribute("aria-invalid") is not None) is invalid
    panel.get_by_role("textbox", name="Replace with").fill("$2$1")
    panel.get_by_role("button", name="Replace all").click()
    for person in (ada, bob):
        person.sees("neo two\nOne Two\nbone\nneo one")
    panel.get_by_role("checkbox", name="Regular expression").uncheck()
    query.fill("Two")
    panel.get_by_role("textbox", name="Replace with").fill("\\n")
    panel.get_by_role("button", name="Next match").click()
    panel.get_by_role("button", name="Replace", exact=True).click()
    bob.sees("neo two\nOne \\n\nbone\nneo one")
    keys.press("Escape")
    expect(panel).to_have_count(0)
    expect(ada.code).to_be_focused()
    # What is selected is searched for, as it is; the button opens the panel as the keys do.
    ada.page.get_by_role("button", name="Find", exact=True).click()
    expect(query).to_have_value("\\n")
    expect(count).to_have_text("1 of 1")
    panel.get_by_role("button", name="Close").click()
    expect(ada.code).to_be_focused()


def test_counting_has_an_end(visit: Visit, two_nodes: Nodes, room: str) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    url = f"{two_nodes[1]}/api/rooms/{room}"
    assert ada.page.request.put(url, data={"code": "x\n" * 100_000}).ok
    expect(ada.page.locator(".cm-line").first).to_have_text("x")
    ada.code.press("Control+f")
    count = panel_of(ada).locator("output")
    ada.page.keyboard.type("x")
    expect(count).to_have_text("999+")
    ada.page.keyboard.press("Enter")
    expect(count).to_have_text("1 of 999+")
    panel_of(ada).get_by_role("checkbox", name="Regular expression").check()
    panel_of(ada).get_by_role("textbox", name="Find").fill("x*")
    expect(count).to_have_text("1 of 999+")


@pytest.mark.parametrize("client", ["", "plain", "playback"])
def test_who_may_not_type_finds_and_replaces_nothing(
    visit: Visit, two_nodes: Nodes, viewers_node: str, room: str, client: str
) -> None:
    visit("Ada").enters(two_nodes[0], room).types("one two one").has_state("saved")
    vic = visit("viewer Vic")
    if client == "playback":
        vic.plays_back(two_nodes[0], room)
    else:
        query = f"&client={client}" if client else ""
        vic.page.goto(f"{viewers_node}/?room={room}{query}#token=viewer+Vic")
        vic.sees("one two one").has_state("connected", "viewing")
        vic.types("!").has_state("viewing")
    vic.page.get_by_role("button", name="Find", exact=True).click()
    vic.page.keyboard.type("one ")
    panel = panel_of(vic)
    expect(panel.locator("output")).to_have_text("1 match")
    panel.get_by_role("button", name="Next match").click()
    expect(panel.locator("output")).to_have_text("1 of 1")
    expect(panel.get_by_role("textbox")).to_have_count(1)
    expect(panel.get_by_role("button", name="Replace")).to_have_count(0)
    vic.page.keyboard.press("Control+f")
    vic.page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    vic.sees("one two one")


def test_the_panel_fits_a_phone_and_a_finger(visit: Visit, two_nodes: Nodes, room: str) -> None:
    ada = visit("Ada", viewport=PHONE, has_touch=True, is_mobile=True).enters(two_nodes[0], room)
    ada.code.fill(TEXT)
    ada.page.get_by_role("button", name="Find", exact=True).click()
    panel = panel_of(ada)
    panel.get_by_role("checkbox", name="Regular expression").check()
    count = panel.locator("output")
    for query, found in {"o(ne": "Not valid", "nothing": "No matches", "o|O": "6 matches"}.items():
        panel.get_by_role("textbox", name="Find").fill(query)
        expect(count).to_have_text(found)
        assert count.evaluate("element => element.scrollWidth <= element.clientWidth")
    assert ada.fits_the_screen()
    touched = panel.locator("button, label, input[type=text]").all()
    assert len(touched) == 10
    for each in touched:
        expect(each).to_be_in_viewport(ratio=1)
        box = each.bounding_box()
        assert min(box["width"], box["height"]) >= FINGER_PX, each.inner_html()
