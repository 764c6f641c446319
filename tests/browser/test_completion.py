"""Words of the text and of the language are offered, and nothing is typed that nobody chose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.test_settings import Settings

pytestmark = pytest.mark.timeout(60)

Nodes = tuple[str, str]
Visit = Callable[..., Any]

OPEN_MS = 200.0
"""A list that has been open for less takes no key: whoever types has not seen it yet."""


def offers(person: Any) -> Locator:
    words: Locator = person.page.get_by_role("listbox", name="Completions").get_by_role("option")
    return words


def chooses_first(person: Any) -> None:
    person.page.wait_for_timeout(OPEN_MS)
    person.code.press("ArrowDown")
    expect(offers(person).first).to_have_attribute("aria-selected", "true")


def test_words_of_the_text_and_of_the_language_are_offered(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    ada.code.fill("remarkable = 1\n")
    ada.code.press("Control+End")
    ada.types("re")
    for word in ("remarkable", "return", "reversed"):
        expect(offers(ada).get_by_text(word, exact=True)).to_have_count(1)
    ada.types("m")
    expect(offers(ada)).to_have_text(["remarkable"])
    # The arrow chooses; Enter, and the same with Tab, takes what is chosen.
    for key in ("Enter", "Tab"):
        chooses_first(ada)
        ada.code.press(key)
        expect(offers(ada)).to_have_count(0)
        ada.sees("remarkable = 1\nremarkable")
        for _ in "arkable":
            ada.code.press("Backspace")
        ada.types("a")
        expect(offers(ada)).to_have_text(["remarkable"])
    ada.code.press("Escape")
    expect(offers(ada)).to_have_count(0)
    ada.sees("remarkable = 1\nrema")
    # Neither in a comment nor in a string is anything offered before it is asked for.
    ada.types(" # rem")
    ada.page.wait_for_timeout(400)
    expect(offers(ada)).to_have_count(0)
    ada.code.press("Control+Space")
    expect(offers(ada)).to_have_text(["rema", "remarkable"])


def test_enter_tab_and_fast_typing_do_what_they_always_did(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    ada.code.fill("remarkable\n")
    ada.code.press("Control+End")
    ada.types("rem")
    expect(offers(ada)).to_have_text(["remarkable"])
    ada.code.press("Enter")
    ada.types("rem")
    expect(offers(ada)).to_have_text(["remarkable"])
    ada.code.press("Tab")
    ada.sees("remarkable\nrem\n    rem")
    ada.code.press("Control+a")
    ada.page.keyboard.type("for word in words: return reversed\nre\nre", delay=0)
    ada.code.press("Tab")
    ada.page.keyboard.type("rem\n", delay=0)
    ada.has_state("saved")
    ada.sees("for word in words: return reversed\nre\n    rerem\n    ")

    ada.types("re")
    expect(offers(ada).first).to_be_visible()
    ada.code.press("Escape")
    ada.page.keyboard.press("Tab")
    expect(ada.page.get_by_label("Language")).to_be_focused()
    ada.sees("for word in words: return reversed\nre\n    rerem\n    re")


def test_what_others_type_while_the_list_is_open_is_kept_and_so_is_what_is_chosen(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    bob = visit("Bob").enters(two_nodes[1], room)
    ada.code.fill("remarkable\n")
    bob.sees("remarkable\n")
    bob.code.press("Control+Home")
    ada.code.press("Control+End")
    ada.types("rem")
    expect(offers(ada)).to_have_text(["remarkable"])
    bob.types("# b\n")
    ada.sees("# b\nremarkable\nrem")
    ada.types("a")
    expect(offers(ada)).to_have_text(["remarkable"])
    chooses_first(ada)
    bob.types("# o\n")
    ada.sees("# b\n# o\nremarkable\nrema")
    ada.code.press("Enter")
    for person in (ada, bob):
        person.sees("# b\n# o\nremarkable\nremarkable")
    # Both type at once, and the list opens and closes as it will.
    ada.types("\n")
    for mine, theirs in zip("remark re reverse", "# remark rem rema", strict=True):
        ada.page.keyboard.press(mine)
        bob.page.keyboard.press(theirs)
    for person in (ada, bob):
        person.has_state("saved")
        person.sees("# b\n# o\n# remark rem remaremarkable\nremarkable\nremark re reverse")


def test_each_person_can_have_the_list_only_when_they_ask(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    ada = visit("Ada").enters(two_nodes[0], room, client="plain")
    with Settings(ada) as dialog:
        dialog.get_by_role("checkbox", name="Suggest").uncheck()
    ada.code.focus()
    ada.types("ret")
    ada.page.wait_for_timeout(400)
    expect(offers(ada)).to_have_count(0)
    ada.code.press("Control+Space")
    expect(offers(ada)).to_have_text(["return"])
    ada.has_state("saved")
    ada.sees("ret")
