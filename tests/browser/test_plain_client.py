"""The plain whole-text client of the page, alone and beside the editor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.timeout(60)

Nodes = tuple[str, str]
Visit = Callable[..., Any]


def test_the_editor_opens_the_plain_client_beside_itself(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    ada.types("in both clients").has_state("saved")
    with ada.context.expect_page() as opened:
        ada.page.get_by_role("link", name="Plain client").click()
    beside = opened.value
    expect(beside.get_by_text("Plain client.", exact=True)).to_be_visible()
    expect(beside.locator(".cm-line")).to_have_text(["in both clients"])
    expect(beside.get_by_role("link", name="Plain client")).to_have_attribute(
        "aria-current", "page"
    )
    beside.get_by_role("textbox", name="Shared code").press("Control+End")
    beside.keyboard.type(", once")
    ada.sees("in both clients, once")


def test_both_clients_show_one_text_and_one_list_of_people(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    tom = visit("Tom").enters(two_nodes[1], room, client="plain")
    for person in (ada, tom):
        expect(person.people).to_have_count(2)
    ada.types("first: \nsecond: ")
    tom.sees("first: \nsecond: ")
    ada.code.press("Control+Home")
    ada.code.press("End")
    tom.code.press("Control+End")
    for one, other in zip("abcdefghij", "ABCDEFGHIJ", strict=True):
        ada.page.keyboard.press(one)
        tom.page.keyboard.press(other)
    for person in (ada, tom):
        person.has_state("saved")
        person.sees("first: abcdefghij\nsecond: ABCDEFGHIJ")
    tom.page.close()
    expect(ada.people).to_have_count(1)


def test_two_plain_clients_lose_no_letter(visit: Visit, two_nodes: Nodes, room: str) -> None:
    ada = visit("Ada").enters(two_nodes[0], room, client="plain")
    bob = visit("Bob").enters(two_nodes[1], room, client="plain")
    ada.types("first: \nsecond: ")
    bob.sees("first: \nsecond: ")
    ada.code.press("Control+Home")
    ada.code.press("End")
    bob.code.press("Control+End")
    for one, other in zip("abcdefghij", "ABCDEFGHIJ", strict=True):
        ada.page.keyboard.press(one)
        bob.page.keyboard.press(other)
    for person in (ada, bob):
        person.has_state("saved")
        person.sees("first: abcdefghij\nsecond: ABCDEFGHIJ")


def test_a_new_name_reaches_the_others(visit: Visit, two_nodes: Nodes, room: str) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    bob = visit("Bob").enters(two_nodes[1], room, client="plain")
    bob.page.get_by_role("button", name="Change your name").click()
    bob.page.get_by_label("Shown to everyone in the room").fill("Grace")
    bob.page.keyboard.press("Enter")
    expect(ada.people.nth(1)).to_contain_text("Grace")
    expect(ada.people).to_have_count(2)


def test_what_is_typed_offline_joins_what_others_typed(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    ada = visit("Ada").enters(two_nodes[0], room, client="plain")
    bob = visit("Bob").enters(two_nodes[1], room)
    ada.types("one\ntwo\nthree")
    bob.sees("one\ntwo\nthree")
    ada.context.set_offline(True)
    ada.has_state("offline")
    ada.types(" by Ada")
    bob.code.press("Control+Home")
    bob.types("by Bob ").has_state("saved")
    ada.context.set_offline(False)
    ada.has_state("saved")
    for person in (ada, bob):
        person.sees("by Bob one\ntwo\nthree by Ada")


def test_the_caret_stays_while_others_write_before_it(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    ada = visit("Ada").enters(two_nodes[0], room, client="plain")
    bob = visit("Bob").enters(two_nodes[1], room)
    ada.types("alpha\nomega")
    bob.sees("alpha\nomega")
    for _ in range(2):
        ada.code.press("ArrowLeft")
    bob.code.press("Control+Home")
    bob.types("zero\n")
    ada.sees("zero\nalpha\nomega")
    expect(ada.page.locator("#position")).to_have_text("Ln 3, Col 4")
    ada.types("X")
    bob.sees("zero\nalpha\nomeXga")


def test_undo_takes_back_ones_own_typing_only(visit: Visit, two_nodes: Nodes, room: str) -> None:
    ada = visit("Ada").enters(two_nodes[0], room, client="plain")
    bob = visit("Bob").enters(two_nodes[1], room)
    ada.types("mine")
    bob.sees("mine")
    bob.code.press("Control+End")
    bob.types(" yours")
    ada.sees("mine yours")
    ada.code.press("Control+z")
    for person in (ada, bob):
        person.sees(" yours")
