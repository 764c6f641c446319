"""Who is there: names, colors, carets and selections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.timeout(60)
Nodes = tuple[str, str]
Visit = Callable[..., Any]
# Of Yjs clients' ids, which are random: theirs is the lowest that they meet.
LOWEST_ID = "crypto.getRandomValues = array => array.fill(1)"
OWN_COLOUR = (
    """() => document.querySelector("#people [data-own]").style.getPropertyValue("--person")"""
)


def test_everyone_sees_who_is_there(visit: Visit, two_nodes: Nodes, room: str) -> None:
    ada = visit("Ada Lovelace").enters(two_nodes[0], room)
    bob = visit("Bob").enters(two_nodes[1], room)
    for person, other in ((ada, bob), (bob, ada)):
        expect(person.people).to_have_count(2)
        expect(person.people.nth(0)).to_contain_text(f"{person.name}you")
        expect(person.people.nth(1)).to_contain_text(other.name)
    bob.page.close()
    expect(ada.people).to_have_count(1)


def test_carets_and_selections_are_seen_with_names(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    bob = visit("Bob").enters(two_nodes[1], room)
    ada.types("alpha\nbeta")
    expect(bob.caret_of("Ada")).to_be_visible()
    expect(bob.caret_of("Ada")).to_have_text("Ada")
    bob.code.press("Control+Home")
    bob.code.press("Shift+ArrowDown")
    expect(ada.caret_of("Bob")).to_be_visible()
    expect(ada.page.locator(".cm-stretch")).not_to_have_count(0)
    # On Ada's screen Bob's caret is in the second line, left of hers, and stays there as she types.
    line = ada.page.locator(".cm-line").nth(1).bounding_box()
    place = ada.caret_of("Bob").bounding_box()
    assert line is not None
    assert place is not None
    assert line["y"] <= place["y"] + place["height"] / 2 <= line["y"] + line["height"]
    bob.code.press("Control+Home")
    expect(ada.page.locator(".cm-stretch")).to_have_count(0)
    bob.page.close()
    expect(ada.caret_of("Bob")).to_have_count(0)


def test_two_people_never_have_the_same_color(visit: Visit, two_nodes: Nodes, room: str) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    twin = visit("Ada").enters(two_nodes[1], room)
    look_different(ada, twin)


@pytest.mark.parametrize("lower", ["newcomer", "resident"])
def test_whoever_was_there_keeps_their_color_and_a_newcomer_takes_another(
    visit: Visit, two_nodes: Nodes, room: str, lower: str
) -> None:
    """Whichever of their clients has the lower id; and who loads the page again is a newcomer."""
    ada, twin = visit("Ada"), visit("Ada")
    (twin if lower == "newcomer" else ada).context.add_init_script(LOWEST_ID)
    ada.enters(two_nodes[0], room)
    with own_color_stays(ada):
        twin.enters(two_nodes[1], room)
        look_different(ada, twin)
    with own_color_stays(twin):
        ada.page.reload()
        ada.has_state("connected")
        look_different(ada, twin)


def test_whoever_is_back_from_offline_is_a_newcomer(
    visit: Visit, two_nodes: Nodes, wire: Any, room: str
) -> None:
    ada, twin = visit("Ada"), visit("Ada")
    ada.context.add_init_script(LOWEST_ID)
    ada.enters(wire.url, room)
    wire.cut()
    ada.has_state("offline")
    twin.enters(two_nodes[1], room)
    expect(twin.people).to_have_count(1)
    assert own_color(twin) == own_color(ada)
    with own_color_stays(twin):
        wire.mend()
        ada.has_state("connected")
        look_different(ada, twin)


def test_whoever_has_settled_keeps_their_color_whatever_others_say(
    visit: Visit, two_nodes: Nodes, room: str, stranger: Any
) -> None:
    """Here of somebody who takes it, and says that they were there before anybody."""
    ada = visit("Ada").enters(two_nodes[0], room)
    stranger.sees(lambda states: [state["arriving"] for state in states] == [None])
    with own_color_stays(ada):
        user = {"name": "Eve", "color": own_color(ada)}
        stranger.says({"user": user, "arriving": 0})
        eve = ada.page.locator("#people li[data-member=Eve]")
        expect(eve).to_have_css("--person", user["color"])


def own_color(person: Any) -> str:
    return str(person.page.evaluate(OWN_COLOUR))


@contextmanager
def own_color_stays(person: Any) -> Iterator[None]:
    """Whatever happens meanwhile, a person sees themselves in one color."""
    person.page.evaluate(
        f"""() => {{
            const look = {OWN_COLOUR};
            window.ownColors = [look()];
            new MutationObserver(() => window.ownColors.push(look()))
                .observe(document.querySelector("#people"), {{childList: true}});
        }}"""
    )
    yield
    seen = person.page.evaluate("window.ownColors")
    assert set(seen) == {own_color(person)}, seen


def look_different(*persons: Any) -> None:
    """Each sees all of them, in as many colors."""
    for person in persons:
        expect(person.people).to_have_count(len(persons))
        person.page.wait_for_function(
            """count => new Set([...document.querySelectorAll("#people li")].map(
                item => item.style.getPropertyValue("--person"))).size === count""",
            arg=len(persons),
        )


def test_a_new_name_reaches_the_others(visit: Visit, two_nodes: Nodes, room: str) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    bob = visit("Bob").enters(two_nodes[1], room)
    bob.page.get_by_role("button", name="Change your name").click()
    bob.page.get_by_label("Shown to everyone in the room").fill("Grace")
    bob.page.keyboard.press("Enter")
    expect(ada.people.nth(1)).to_contain_text("Grace")
    expect(ada.people).to_have_count(2)
    bob.types("y = 2")
    ada.sees("y = 2")
    expect(ada.caret_of("Grace")).to_be_visible()
