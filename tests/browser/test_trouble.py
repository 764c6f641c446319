"""What the page says when something is wrong, and the ways on that it offers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.tokens import token

pytestmark = pytest.mark.timeout(60)

Nodes = tuple[str, str]
Visit = Callable[..., Any]
CLIPBOARD = ["clipboard-read", "clipboard-write"]
PATIENCE = 1.4
"""Seconds; no shorter interruption is shown."""
WATCH = """() => {
    window.troubles = [];
    const banner = document.querySelector("#trouble");
    new MutationObserver(() => banner.hidden || window.troubles.push(banner.dataset.kind))
        .observe(banner, {attributes: true});
}"""
SINCE = re.compile(r"^since \d\d:\d\d")


def way(person: Any, name: str) -> Any:
    return person.trouble.get_by_role("button", name=name)


def copied(person: Any) -> str:
    way(person, "Copy my text").click()
    expect(person.trouble).to_contain_text("Copied")
    return str(person.page.evaluate("navigator.clipboard.readText()"))


def downloaded(person: Any) -> str:
    with person.page.expect_download() as download:
        way(person, "Download my text").click()
    assert download.value.suggested_filename.endswith(".txt")
    return Path(download.value.path()).read_text()


def hurry(person: Any, seconds: float) -> None:
    """Let the page's clock go on at once."""
    person.page.clock.fast_forward(int(seconds * 1000))


def both(visit: Visit, url: str, room: str) -> list[Any]:
    """Ada with the editor, who may read the clipboard, and Tom with the plain client."""
    people = [visit("Ada", permissions=CLIPBOARD), visit("Tom")]
    for person, client in zip(people, ("", "plain"), strict=True):
        person.page.clock.install()
        person.page.goto(f"{url}/?room={room}" + (f"&client={client}" if client else ""))
        person.page.evaluate(WATCH)
    return people


def test_a_lost_connection_is_said_when_it_lasts_and_its_end_once(
    visit: Visit, two_nodes: Nodes, wire: Any, room: str
) -> None:
    ada, tom = both(visit, wire.url, room)
    tom.has_state("connected")
    ada.has_state("connected").types("one").has_state("saved")
    tom.sees("one")
    began = time.monotonic()
    wire.cut()
    for person in (ada, tom):
        person.has_state("offline")
    wire.mend()
    for person in (ada, tom):
        person.has_state("saved", "connected")
    if time.monotonic() - began < PATIENCE:
        assert [person.page.evaluate("window.troubles") for person in (ada, tom)] == [[], []]
    wire.cut()
    for person in (ada, tom):
        person.has_state("offline")
        hurry(person, 2)
        expect(person.trouble.get_by_role("status")).to_contain_text("No connection. You can go on")
        expect(person.trouble.locator(".since")).to_have_text(SINCE)
    ada.types(" two")
    tom.code.press("Home")
    tom.types("zero ")
    assert copied(ada) == "one two"
    hurry(ada, 125)
    expect(ada.trouble.locator(".since")).to_have_text(re.compile(r"^for 2 min, since \d\d:\d\d"))
    wire.mend()
    for person in (ada, tom):
        hurry(person, 4)
        expect(person.trouble).to_contain_text("Everything that you typed is saved.")
        person.has_state("saved").sees("zero one two")
        hurry(person, 6)
        expect(person.trouble).to_be_hidden()


def test_while_redis_does_not_answer_the_page_says_that_nothing_is_saved(
    visit: Visit, troubled: Any, room: str
) -> None:
    ada, tom = both(visit, troubled.url, room)
    tom.has_state("connected")
    ada.has_state("connected").types("kept").has_state("saved")
    tom.sees("kept")
    troubled.freeze()
    ada.types(" by the page")
    tom.code.press("Home")
    tom.types("all ")
    for person in (ada, tom):
        hurry(person, 4)
        expect(person.trouble).to_contain_text("Changes are not being saved.")
        expect(person.trouble.locator(".since")).to_have_text(SINCE)
        expect(way(person, "Download my text")).to_be_hidden()
    assert copied(ada) == "all kept by the page"
    ada.types("!")
    troubled.thaw()
    for person in (ada, tom):
        expect(person.trouble).to_contain_text("Everything that you typed is saved.")
        person.has_state("saved").sees("all kept by the page!")
        hurry(person, 6)
        expect(person.trouble).to_be_hidden()


def test_a_room_that_cannot_be_opened_does_not_invite_to_type_and_opens_by_itself(
    visit: Visit, troubled: Any, room: str
) -> None:
    troubled.stop()
    people = both(visit, troubled.url, room)
    for person in people:
        hurry(person, 3)
        expect(person.trouble).to_contain_text("This room cannot be opened right now.")
        expect(person.trouble).to_contain_text("The service answers, but cannot load rooms.")
        expect(person.trouble.get_by_role("button")).to_have_count(0)
        expect(person.page.get_by_text("Opening the room…")).to_be_visible()
        expect(person.page.get_by_text("Start typing.")).to_have_count(0)
        person.types("too early")
        person.sees("Opening the room…")
    troubled.start()
    for person in people:
        person.has_state("connected")
        expect(person.page.get_by_text("Start typing.")).to_be_visible()
        assert person.page.evaluate("window.troubles.at(-1)") == "over"
        hurry(person, 6)
        expect(person.trouble).to_be_hidden()
    people[0].types("now").has_state("saved")
    people[1].sees("now")


def test_after_the_end_of_a_room_its_text_goes_on_in_a_new_one_and_only_once(
    visit: Visit, two_nodes: Nodes, wire: Any, room: str
) -> None:
    people = both(visit, wire.url, room)
    people[1].has_state("connected")
    people[0].has_state("connected").types("stored").has_state("saved")
    people[1].sees("stored")
    wire.swallow()
    for person in people:
        person.code.press("End")
        person.types(f" and not stored by {person.name}")
    assert people[0].page.request.delete(f"{two_nodes[1]}/api/rooms/{room}").ok
    for person in people:
        text = f"stored and not stored by {person.name}"
        expect(person.trouble.get_by_role("alert")).to_contain_text("This room was ended.")
        person.has_state("closed")
        expect(person.code).to_have_attribute("aria-readonly", "true")
        person.types("!")
        assert downloaded(person) == text
    wire.mend()
    for person in people:
        text = f"stored and not stored by {person.name}"
        way(person, "Go on in a new room").dblclick()
        expect(person.page).not_to_have_url(re.compile(room))
        person.has_state("saved").sees(text)
        person.page.reload()
        person.has_state("connected").sees(text)
    bob = visit("Bob")
    bob.page.goto(people[0].page.url.replace(wire.url, two_nodes[1]))
    bob.sees("stored and not stored by Ada")
    people[0].page.go_back()
    expect(people[0].page).to_have_url(re.compile(room))
    expect(people[0].page.get_by_text("Start typing.")).to_be_visible()


@pytest.mark.parametrize("client", ["", "plain"])
def test_a_text_that_is_too_long_is_said_to_be_and_can_be_mended(
    visit: Visit, two_nodes: Nodes, room: str, client: str
) -> None:
    ada = visit("Ada").enters(two_nodes[0], room, client)
    ada.types("small").has_state("saved")
    ada.code.fill("x" * 300_000)
    ada.has_state("unsaved")
    expect(ada.trouble.get_by_role("alert")).to_contain_text("The text is too long for this room.")
    expect(ada.notices).to_have_count(0)
    assert len(downloaded(ada)) == 300_000
    expect(way(ada, "Go on in a new room")).to_be_hidden()  # it would be too long there too
    with ada.context.expect_page() as opened:
        way(ada, "Open an empty room").click()
    expect(opened.value.get_by_text("Start typing.")).to_be_visible()
    opened.value.close()
    ada.code.press("Control+a")
    ada.types("small again")
    ada.has_state("saved")
    expect(ada.trouble).to_be_hidden()
    visit("Bob").enters(two_nodes[1], room).sees("small again")


def test_whoever_is_removed_keeps_what_they_typed(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    people = [visit(name) for name in ("Ada", "Tom")]
    for person, client in zip(people, ("", "plain"), strict=True):
        person.enters(two_nodes[0], room, client)
    people[0].types("theirs").has_state("saved")
    people[1].sees("theirs")
    api = people[0].page.request
    answer = api.get(f"{two_nodes[1]}/api/rooms/{room}").json()
    for member in answer["members"]:
        path = f"{two_nodes[1]}/api/rooms/{room}/members/{member['id']}"
        assert api.post(path, data={"action": "remove"}).ok
    for person in people:
        expect(person.trouble.get_by_role("alert")).to_contain_text("You were removed")
        expect(way(person, "Go on in a new room")).to_be_visible()
        assert downloaded(person) == "theirs"


def test_access_that_runs_out_is_said_and_goes_on_with_the_next_token(
    visit: Visit, closed_node: str, room: str
) -> None:
    people = [visit("Ada"), visit("Tom")]
    for person, client in zip(people, ("", "&client=plain"), strict=True):
        person.page.goto(f"{closed_node}/?room={room}{client}#token={token()}")
        person.has_state("connected")
    people[0].types("mine").has_state("saved")
    people[1].sees("mine")
    for person in people:
        # Given to a page that is in the room, so that it is good for long enough to be accepted.
        shown = token(exp=time.time() + 3)
        person.page.evaluate(f"location.hash = 'token={shown}'")
    for person in people:
        expect(person.trouble.get_by_role("alert")).to_contain_text("Your access to this room has")
        assert downloaded(person) == "mine"
        person.page.evaluate(f"location.hash = 'token={token(rooms=[room])}'")
        person.has_state("connected", "saved")
        expect(person.trouble).to_be_hidden()
        person.types("!").has_state("saved")
    admin = {"Authorization": f"Bearer {token('admin', role='admin')}"}
    api = people[0].page.request
    assert api.delete(f"{closed_node}/api/rooms/{room}", headers=admin).ok
    for person in people:
        expect(person.trouble.get_by_role("alert")).to_contain_text("This room was ended.")
        # Their tokens would not let them into another room.
        expect(way(person, "Go on in a new room")).to_be_hidden()
    ended = ("status of 400", "status of 404")
    people[1].failures[:] = [
        each for each in people[1].failures if not any(word in each for word in ended)
    ]


def test_a_token_for_another_room_is_said_to_be_one(
    visit: Visit, closed_node: str, room: str
) -> None:
    ada = visit("Ada")
    for client in ("", "&client=plain"):
        shown = token("ada", rooms=["another"])
        ada.page.goto(f"{closed_node}/?room={room}{client}#token={shown}")
        expect(ada.trouble.get_by_role("alert")).to_contain_text("You cannot enter this room.")
        expect(ada.trouble.get_by_role("button")).to_have_count(0)
        ada.page.goto("about:blank")


def test_without_scripts_the_page_says_what_it_needs(visit: Visit, two_nodes: Nodes) -> None:
    ada = visit("Ada", java_script_enabled=False)
    ada.page.goto(two_nodes[0])
    expect(ada.page.locator("noscript p")).to_be_visible()
    expect(ada.page.locator("noscript p")).to_contain_text("This page needs JavaScript")
    expect(ada.page.locator("header")).to_be_hidden()
