"""The editor as people meet it: in a real browser, at the Yjs endpoint of two nodes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Locator, expect

pytestmark = pytest.mark.timeout(60)
Nodes = tuple[str, str]
Visit = Callable[..., Any]
PHONE = {"width": 360, "height": 740}


def test_two_people_on_two_nodes_see_each_other_type(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    bob = visit("Bob").enters(two_nodes[1], room)
    ada.types("x = 1")  # a bracket typed over the one that closes by itself moves carets
    bob.sees("x = 1")
    bob.code.press("Control+End")
    bob.types("\ny = 2")
    ada.sees("x = 1\ny = 2")
    bob.sees("x = 1\ny = 2")


def test_somebody_who_comes_later_sees_the_text(visit: Visit, two_nodes: Nodes, room: str) -> None:
    visit("Ada").enters(two_nodes[0], room).types("x = 1").has_state("saved")
    visit("Bob").enters(two_nodes[1], room).sees("x = 1")


def test_the_language_is_the_rooms(visit: Visit, two_nodes: Nodes, room: str) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    bob = visit("Bob").enters(two_nodes[1], room)
    ada.types("int x = 1; // one")
    bob.page.get_by_label("Language").select_option("Java")
    expect(ada.page.get_by_label("Language")).to_have_value("java")
    # Python knows no such comment: that it is slanted shows that the colors changed too.
    comment = ada.page.locator(".cm-line span", has_text="// one").last
    expect(comment).to_have_css("font-style", "italic")
    bob.has_state("saved")
    later = visit("Eve").enters(two_nodes[0], room)
    expect(later.page.get_by_label("Language")).to_have_value("java")
    # Undo is for the text.
    bob.code.press("Control+z")
    bob.has_state("saved")
    expect(ada.page.get_by_label("Language")).to_have_value("java")


def test_the_badge_tells_what_is_saved_and_names_the_node_only_to_who_debugs(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    ada = visit("Ada")
    ada.page.goto(f"{two_nodes[0]}/?room={room}&debug")
    ada.has_state("connected")
    bob = visit("Bob").enters(two_nodes[1], room)
    nodes = [person.badge.get_attribute("data-node") for person in (ada, bob)]
    assert all(nodes)
    assert nodes[0] != nodes[1]
    expect(ada.badge).to_contain_text(f"node {nodes[0]}")
    ada.types("z").has_state("saved")
    expect(ada.badge).to_contain_text("All changes saved")
    bob.types("y").has_state("saved")
    expect(bob.badge).to_have_text("All changes saved")


@pytest.mark.parametrize(
    ("query", "current"),
    [("", "Editor"), ("&client=plain", "Plain client"), ("&playback", "Playback")],
)
def test_one_link_alone_is_to_the_current_page(
    visit: Visit, two_nodes: Nodes, room: str, query: str, current: str
) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    ada.page.goto(f"{two_nodes[0]}/?room={room}{query}")
    expect(ada.page.locator("[aria-current]")).to_have_accessible_name(current)
    assert ada.page.locator("html").get_attribute("href") is None
    ada.failures.clear()  # the history of nothing is a 404, of which the browser complains


def test_nothing_is_requested_from_anywhere_else(visit: Visit, two_nodes: Nodes, room: str) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    for language in ("JavaScript", "Java", "C++", "Python"):
        ada.page.get_by_label("Language").select_option(language)
    ada.types("x").has_state("saved")
    ada.page.wait_for_load_state("networkidle")
    ada.enters(two_nodes[0], room, client="plain")
    ada.plays_back(two_nodes[0], room)
    home = urlsplit(two_nodes[0]).netloc
    assert {urlsplit(url).netloc for url in ada.requests if not url.startswith("data:")} == {home}
    assert any(url.startswith("ws:") and f"/yjs/{room}" in url for url in ada.requests)


def test_what_is_typed_offline_joins_what_others_typed(
    visit: Visit, two_nodes: Nodes, wire: Any, room: str
) -> None:
    ada = visit("Ada").enters(wire.url, room)
    bob = visit("Bob").enters(two_nodes[1], room)
    ada.types("one\ntwo\nthree")
    bob.sees("one\ntwo\nthree")
    wire.cut()
    ada.has_state("offline")
    expect(ada.caret_of("Bob")).to_have_count(0)
    ada.types(" by Ada")
    bob.code.press("Control+Home")
    bob.types("by Bob ").has_state("saved")
    expect(bob.people).to_have_count(1)
    wire.mend()
    ada.has_state("saved")
    for person in (ada, bob):
        person.sees("by Bob one\ntwo\nthree by Ada")
        expect(person.people).to_have_count(2)


def test_the_browser_says_that_the_network_went_and_came(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    ada.types("before ").has_state("saved")
    ada.context.set_offline(True)
    ada.types("and after")
    ada.context.set_offline(False)
    ada.has_state("saved")
    visit("Bob").enters(two_nodes[1], room).sees("before and after")


def test_two_who_type_at_once_lose_no_letter(visit: Visit, two_nodes: Nodes, room: str) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    bob = visit("Bob").enters(two_nodes[1], room)
    ada.types("first: \nsecond: ")
    bob.sees("first: \nsecond: ")
    ada.code.press("Control+Home")
    ada.code.press("End")
    bob.code.press("Control+End")
    for one, other in zip("abcdefghijklmnopqrst", "ABCDEFGHIJKLMNOPQRST", strict=True):
        ada.page.keyboard.press(one)
        bob.page.keyboard.press(other)
    for person in (ada, bob):
        person.has_state("saved")
        person.sees("first: abcdefghijklmnopqrst\nsecond: ABCDEFGHIJKLMNOPQRST")


def resting_place(shown: Locator) -> float:
    """Return where something is, in pixels from the top, once it has stopped moving."""
    box, last = shown.bounding_box(), None
    while box != last:
        shown.page.wait_for_timeout(200)
        last, box = box, shown.bounding_box()
    assert box is not None
    return box["y"]


def test_the_view_stays_while_others_write_above_it(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    text = "\n".join(f"line {number}" for number in range(200))
    ada = visit("Ada").enters(two_nodes[0], room)
    bob = visit("Bob").enters(two_nodes[1], room)
    ada.code.fill(text)
    ada.has_state("saved")
    ada.code.press("Control+End")
    last = ada.page.get_by_text("line 199", exact=True)
    expect(last).to_be_in_viewport()
    before = resting_place(last)
    expect(bob.page.get_by_text("line 0", exact=True)).to_be_visible()
    bob.code.press("Control+Home")
    bob.types("above\n")
    expect(ada.page.locator("#position")).to_have_text("Ln 201, Col 9")
    expect(last).to_be_in_viewport()
    assert resting_place(last) == pytest.approx(before, abs=1)


def test_undo_takes_back_ones_own_typing_only(visit: Visit, two_nodes: Nodes, room: str) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    bob = visit("Bob").enters(two_nodes[1], room)
    ada.types("mine")
    bob.sees("mine")
    bob.code.press("Control+End")
    bob.types(" yours")
    ada.sees("mine yours")
    ada.code.press("Control+z")
    for person in (ada, bob):
        person.sees(" yours")
    ada.code.press("Control+y")
    for person in (ada, bob):
        person.sees("mine yours")


def test_letters_of_every_script_and_windows_line_ends_survive(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    bob = visit("Bob").enters(two_nodes[1], room)
    ada.code.press_sequentially("s = '👩🏽‍💻 ä 漢'")
    bob.sees("s = '👩🏽‍💻 ä 漢'")
    bob.code.press("Control+Home")
    bob.types("# 🙂\n")
    ada.sees("# 🙂\ns = '👩🏽‍💻 ä 漢'")
    paste = """(element) => {
        const data = new DataTransfer();
        data.setData("text/plain", "one\\r\\ntwo\\r\\n");
        element.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, bubbles: true}));
    }"""
    ada.code.press("Control+Home")
    ada.code.evaluate(paste)
    for person in (ada, bob):
        person.sees("one\ntwo\n# 🙂\ns = '👩🏽‍💻 ä 漢'")


def test_an_address_without_a_room_gets_a_fresh_one(visit: Visit, two_nodes: Nodes) -> None:
    ada = visit("Ada")
    ada.page.goto(two_nodes[0])
    ada.has_state("connected")
    expect(ada.page).to_have_url(re.compile(r"\?room=[a-z]+-[a-z]+-[a-z2-9]{8}$"))
    first = ada.page.url
    ada.page.get_by_role("button", name="New room").click()
    expect(ada.page).not_to_have_url(first)
    ada.has_state("connected")
    bob = visit("Bob")
    bob.page.goto(first.replace(two_nodes[0], two_nodes[1]))
    bob.has_state("connected")
    expect(bob.people).to_have_count(1)


def test_the_link_to_the_room_is_copied(visit: Visit, two_nodes: Nodes, room: str) -> None:
    ada = visit("Ada", permissions=["clipboard-read", "clipboard-write"])
    ada.enters(two_nodes[0], room)
    ada.page.get_by_role("button", name="Copy link to this room").click()
    expect(ada.page.get_by_role("banner").get_by_text("Copied", exact=True)).to_be_visible()
    copied = ada.page.evaluate("navigator.clipboard.readText()")
    assert copied == f"{two_nodes[0]}/?room={room}"


def test_a_name_that_no_room_can_have_is_refused_in_words(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    ada = visit("Ada")
    ada.page.goto(f"{two_nodes[0]}/?room=no%20room")
    expect(ada.page.get_by_role("dialog")).to_contain_text("1 to 128 letters")
    ada.page.get_by_label("Open a room").fill(f"{two_nodes[0]}/?room={room}")
    ada.page.keyboard.press("Enter")
    expect(ada.page).to_have_url(f"{two_nodes[0]}/?room={room}")
    ada.has_state("connected")


@pytest.mark.parametrize("client", ["", "plain"])
def test_a_viewer_is_told_so_and_cannot_type(
    visit: Visit, two_nodes: Nodes, viewers_node: str, room: str, client: str
) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    ada.types("to be seen").has_state("saved")
    viewer = visit("viewer Vic")
    address = f"{viewers_node}/?room={room}" + (f"&client={client}" if client else "")
    viewer.page.goto(f"{address}#token=viewer+Vic")
    viewer.sees("to be seen")
    viewer.has_state("connected", "viewing")
    viewer.types("!")
    viewer.has_state("viewing")
    expect(viewer.page.get_by_role("status")).to_contain_text("View only")
    expect(viewer.code).to_have_attribute("aria-readonly", "true")
    expect(viewer.badge).to_contain_text("View only")
    viewer.types("more")
    ada.code.press("Control+End")
    ada.types(" by all").has_state("saved")
    for person in (viewer, ada):
        person.sees("to be seen by all")
        expect(person.people).to_have_count(2)


def test_a_phone_shows_everything_without_scrolling_sideways(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    for name in ("Maximiliane Featherstonehaugh", "Bob", "Grace Hopper"):
        visit(name).enters(two_nodes[1], room)
    ada = visit("Ada", viewport=PHONE, has_touch=True, is_mobile=True).enters(two_nodes[0], room)
    expect(ada.page.locator("#people")).to_have_attribute("data-count", "4")
    ada.types("x = 1")
    assert ada.fits_the_screen()
    banner = ada.page.get_by_role("banner")
    for control in (*banner.get_by_role("button").all(), *banner.get_by_role("link").all()):
        if control.evaluate("element => element.closest('#people') === null"):
            expect(control).to_be_in_viewport(ratio=1)
    ada.page.get_by_role("button", name="Room:").click()
    assert ada.fits_the_screen()
    dialog = ada.page.get_by_role("dialog")
    assert dialog.evaluate("element => element.scrollWidth <= element.clientWidth")


def test_every_control_has_an_accessible_name(visit: Visit, two_nodes: Nodes, room: str) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    assert len(ada.controls()) >= 9
    assert [role for role, name in ada.controls() if not name] == []
    for opener in ("Room:", "Change your name"):
        ada.page.get_by_role("button", name=opener).click()
        roles = ada.controls()
        assert len(roles) >= 2
        assert [role for role, name in roles if not name] == []
        ada.page.keyboard.press("Escape")


def test_the_page_is_usable_by_keyboard_alone(visit: Visit, two_nodes: Nodes, room: str) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    expect(ada.code).to_be_focused()
    ada.page.keyboard.press("Escape")
    ada.page.keyboard.press("Tab")
    expect(ada.page.get_by_label("Language")).to_be_focused()
    for _ in range(2):
        ada.page.keyboard.press("Shift+Tab")
    expect(ada.page.get_by_role("button", name="colors")).to_be_focused()


@pytest.mark.parametrize(("system", "other"), [("light", "dark"), ("dark", "light")])
def test_colors_follow_the_system_until_chosen(
    visit: Visit, two_nodes: Nodes, room: str, system: str, other: str
) -> None:
    ada = visit("Ada", color_scheme=system).enters(two_nodes[0], room)
    html = ada.page.locator("html")
    expect(html).to_have_attribute("data-theme", system)
    ada.page.get_by_role("button", name=f"Use {other} colors").click()
    expect(html).to_have_attribute("data-theme", other)
    ada.page.reload()
    expect(html).to_have_attribute("data-theme", other)
