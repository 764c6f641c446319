"""axe finds nothing to complain of: on any screen, light and dark, on a desk and on a phone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.processes import ROOT
from tests.support.tokens import token

pytestmark = pytest.mark.timeout(60)

Nodes = tuple[str, str]
Visit = Callable[..., Any]

AXE = ROOT / "tests" / "js" / "node_modules" / "axe-core" / "axe.min.js"
SIZES = ({"width": 1280, "height": 800}, {"width": 360, "height": 740})
SCHEMES = ("light", "dark")
CODE = "def two(x):  # twice\n    return 'a' * 2\nclass A: pass"
AUTHORS = ("Ada", "Bob", "Cy", "Dee", "Eve", "Fay", "Gus", "Hal", None)
"""One for each color, and those whom a history does not tell apart."""
RUN = """async () => (await axe.run()).violations.map(({id, nodes}) =>
    id + ": " + nodes.map(node => node.target.flat() + " " + node.failureSummary).join("; "))"""


def complaints(person: Any) -> dict[str, list[str]]:
    """Return what axe has to say of what a person sees, by the look of it."""
    # By way of the debugger, which the page's policy does not bind.
    person.page.evaluate(AXE.read_text())
    found = {}
    for size in SIZES:
        for scheme in SCHEMES:
            person.page.set_viewport_size(size)
            # Without motion: axe measures the contrast of one moment.
            person.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            expect(person.page.locator("html")).to_have_attribute("data-theme", scheme)
            found[f"{scheme}, {size['width']} wide"] = person.page.evaluate(RUN)
    return {look: said for look, said in found.items() if said}


def test_axe_sees_what_is_wrong(visit: Visit, two_nodes: Nodes, room: str) -> None:
    """Else no complaint could also mean that it did not look."""
    ada = visit("Ada").enters(two_nodes[0], room)
    for attribute in ("aria-label", "title"):
        button = ada.page.get_by_role("banner").locator(".fresh-room")
        button.evaluate("(element, attribute) => element.removeAttribute(attribute)", attribute)
    ada.page.locator("#badge").evaluate("element => (element.style.color = '#ddd')")
    found = complaints(ada)
    assert len(found) == len(SIZES) * len(SCHEMES)
    assert any("button-name" in said for said in found["dark, 360 wide"])
    assert any("color-contrast" in said for said in found["light, 1280 wide"])


def test_the_editor_with_somebody_in_it(visit: Visit, two_nodes: Nodes, room: str) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    bob = visit("Bob Featherstonehaugh").enters(two_nodes[1], room)
    ada.code.fill(CODE)
    bob.sees(CODE)
    bob.code.press("Control+Home")
    bob.code.press("Shift+ArrowDown")
    expect(ada.caret_of(bob.name)).to_be_visible()
    assert complaints(ada) == {}
    ada.code.fill("\n" * 100)
    ada.code.press("Control+End")
    expect(ada.page.get_by_role("button", name=f"Go to {bob.name}, above")).to_be_visible()
    assert complaints(ada) == {}
    ada.follows(bob.name)
    ada.page.get_by_role("button", name="Show all").click()
    expect(ada.page.get_by_role("button", name=f"Follow {bob.name}", exact=True)).to_be_visible()
    assert complaints(ada) == {}


def test_the_plain_client_with_somebody_in_it(visit: Visit, two_nodes: Nodes, room: str) -> None:
    ada = visit("Ada").enters(two_nodes[0], room, client="plain")
    visit("Bob Featherstonehaugh").enters(two_nodes[1], room)
    ada.code.fill(CODE)
    ada.has_state("saved")
    expect(ada.people).to_have_count(2)
    assert complaints(ada) == {}


@pytest.mark.parametrize("client", ["", "plain"])
def test_an_empty_room(visit: Visit, two_nodes: Nodes, room: str, client: str) -> None:
    ada = visit("Ada").enters(two_nodes[0], room, client)
    expect(ada.page.get_by_text("Start typing.")).to_be_visible()
    assert complaints(ada) == {}


def test_people_in_colors_of_any_luminance(
    visit: Visit, two_nodes: Nodes, room: str, stranger: Any
) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    place = {"tname": "code"}
    for color in ("#ffff00", "#808080", "#00ff00", "#ffffff", "#000000"):
        user = {"name": color, "color": color}
        stranger.says({"user": user, "cursor": {"anchor": place, "head": place}})
        expect(ada.caret_of(color)).to_be_visible()
        assert complaints(ada) == {}


def test_the_dialogs(visit: Visit, two_nodes: Nodes, room: str) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    for opener in ("Room:", "Change your name", "Editor settings"):
        ada.page.get_by_role("button", name=opener).click()
        expect(ada.page.get_by_role("dialog")).to_be_visible()
        assert complaints(ada) == {}
        ada.page.keyboard.press("Escape")
    # This one only opens where a browser allows a page no way to the clipboard.
    ada.page.locator("#text-dialog").evaluate("dialog => dialog.showModal()")
    assert complaints(ada) == {}


def test_an_address_of_no_room(visit: Visit, two_nodes: Nodes) -> None:
    ada = visit("Ada")
    ada.page.goto(f"{two_nodes[0]}/?room=no%20room")
    expect(ada.page.get_by_role("dialog")).to_contain_text("1 to 128 letters")
    assert complaints(ada) == {}
    ada.page.keyboard.press("Escape")
    expect(ada.page.get_by_role("dialog")).to_have_count(0)
    assert complaints(ada) == {}


@pytest.mark.parametrize("client", ["", "plain"])
def test_a_refusal(visit: Visit, two_nodes: Nodes, room: str, client: str) -> None:
    ada = visit("Ada").enters(two_nodes[0], room, client)
    ada.code.fill("x" * 300_000)
    ada.has_state("unsaved")
    expect(ada.trouble).to_be_visible()
    assert complaints(ada) == {}


@pytest.mark.parametrize("client", ["", "plain"])
def test_the_end_of_a_room(visit: Visit, two_nodes: Nodes, room: str, client: str) -> None:
    ada = visit("Ada").enters(two_nodes[0], room, client)
    ada.code.fill(CODE)
    ada.has_state("saved")
    assert ada.page.request.delete(f"{two_nodes[1]}/api/rooms/{room}").ok
    ada.has_state("closed")
    expect(ada.trouble).to_be_visible()
    assert complaints(ada) == {}


def test_a_network_that_is_gone(visit: Visit, wire: Any, room: str) -> None:
    ada = visit("Ada").enters(wire.url, room)
    wire.cut()
    ada.has_state("offline")
    # Its text is empty, and may be typed while the network is away.
    expect(ada.trouble.get_by_role("button", name="Copy my text")).to_be_visible()
    assert complaints(ada) == {}


def test_a_room_that_cannot_be_opened(visit: Visit, troubled: Any, room: str) -> None:
    ada = visit("Ada")
    troubled.stop()
    ada.page.goto(f"{troubled.url}/?room={room}")
    expect(ada.trouble).to_be_visible()
    assert complaints(ada) == {}
    troubled.start()
    expect(ada.trouble).to_contain_text("All is well")
    assert complaints(ada) == {}


def test_a_room_that_asks_for_a_token(visit: Visit, closed_node: str, room: str) -> None:
    ada = visit("Ada")
    ada.page.goto(f"{closed_node}/?room={room}")
    expect(ada.trouble).to_be_visible()
    assert complaints(ada) == {}


@pytest.mark.parametrize("client", ["", "plain"])
def test_whoever_was_removed(visit: Visit, two_nodes: Nodes, room: str, client: str) -> None:
    ada = visit("Ada").enters(two_nodes[0], room, client)
    ada.code.fill(CODE)
    ada.has_state("saved")
    address = f"{two_nodes[1]}/api/rooms/{room}"
    (member,) = ada.page.request.get(address).json()["members"]
    assert ada.page.request.post(f"{address}/members/{member['id']}", data={"action": "remove"}).ok
    expect(ada.trouble.get_by_role("alert")).to_contain_text("You were removed")
    assert complaints(ada) == {}


@pytest.mark.parametrize("client", ["", "&client=plain"])
def test_access_that_has_run_out(visit: Visit, closed_node: str, room: str, client: str) -> None:
    ada = visit("Ada")
    ada.page.goto(f"{closed_node}/?room={room}{client}#token={token()}")
    ada.has_state("connected")
    ada.page.evaluate(f"location.hash = 'token={token(exp=time.time() + 3)}'")
    expect(ada.trouble.get_by_role("alert")).to_contain_text("Your access to this room has")
    assert complaints(ada) == {}
    # A poll of the plain client's that was on its way when its session ended.
    ada.failures[:] = [each for each in ada.failures if "status of 400" not in each]


@pytest.mark.parametrize("client", ["", "&client=plain"])
def test_a_token_for_another_room(visit: Visit, closed_node: str, room: str, client: str) -> None:
    ada = visit("Ada")
    shown = token("ada", rooms=["another"])
    ada.page.goto(f"{closed_node}/?room={room}{client}#token={shown}")
    expect(ada.trouble.get_by_role("alert")).to_contain_text("You cannot enter this room.")
    assert complaints(ada) == {}


@pytest.mark.parametrize("client", ["", "plain"])
def test_a_room_that_lets_one_only_look(
    visit: Visit, viewers_node: str, room: str, client: str
) -> None:
    vic = visit("viewer Vic")
    address = f"{viewers_node}/?room={room}" + (f"&client={client}" if client else "")
    vic.page.goto(f"{address}#token=viewer+Vic")
    vic.has_state("connected", "viewing")
    vic.types("!").has_state("viewing")
    assert complaints(vic) == {}


def test_the_search_and_the_completion(visit: Visit, two_nodes: Nodes, room: str) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    ada.code.fill(CODE)
    ada.code.press("Control+f")
    expect(ada.page.get_by_role("textbox", name="Find")).to_be_focused()
    ada.page.keyboard.type("a")
    assert complaints(ada) == {}
    ada.page.keyboard.press("Escape")
    ada.code.press("Control+End")
    ada.types("\nre")
    words = ada.page.get_by_role("listbox", name="Completions")
    expect(words).to_be_visible()
    ada.page.wait_for_timeout(200)  # keys go to the list when it has been there for a moment
    ada.code.press("ArrowDown")
    expect(words.get_by_role("option", selected=True)).to_be_visible()
    assert complaints(ada) == {}


def test_playback(visit: Visit, two_nodes: Nodes, room: str) -> None:
    edits = [
        {
            "at": f"2026-01-01T00:00:{second:02}.000Z",
            "author": name and {"id": name, "name": name},
            "delta": [{"insert": f"# by {name}\n"}],
        }
        for second, name in enumerate(AUTHORS)
    ]
    eve = visit("Eve").gets_history([{"base": "pass\n", "entries": len(edits)}, *edits])
    eve.plays_back(two_nodes[0], room)
    assert complaints(eve) == {}
    eve.page.get_by_role("button", name="One edit back").click()
    expect(eve.page.locator(".cm-caret")).to_have_text("Hal")
    assert complaints(eve) == {}


def test_playback_of_nothing(visit: Visit, two_nodes: Nodes, room: str) -> None:
    eve = visit("Eve").gets_history([{"base": "", "entries": 0}])
    eve.page.goto(f"{two_nodes[0]}/?room={room}&playback")
    expect(eve.page.get_by_text("Nothing has been typed here yet")).to_be_visible()
    assert complaints(eve) == {}


def test_playback_of_what_can_not_be_read(visit: Visit, two_nodes: Nodes, room: str) -> None:
    eve = visit("Eve").gets_history([7])
    eve.page.goto(f"{two_nodes[0]}/?room={room}&playback")
    expect(eve.notices).to_contain_text("could not be understood")
    assert complaints(eve) == {}
