"""Indent, wrapping, font size and suggestions: each person's own, at once, and remembered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.timeout(60)

Nodes = tuple[str, str]
Visit = Callable[..., Any]

MOST_PX, LEAST_PX = 28, 11
LONG = "x = 1  # " + "a long line " * 40
PHONE = {"width": 390, "height": 844}
FINGER_PX = 44
NO_STORAGE = """Object.defineProperty(window, "localStorage", {
    get() { throw new DOMException("not in a frame", "SecurityError"); }})"""


class Settings:
    """The dialog of one person."""

    def __init__(self, person: Any) -> None:
        self.person = person
        self.opener = person.page.get_by_role("button", name="Editor settings")
        self.dialog = person.page.get_by_role("dialog", name="Editor settings")

    def __enter__(self) -> Any:
        self.opener.click()
        return self.dialog

    def __exit__(self, *_: object) -> None:
        self.person.page.keyboard.press("Escape")
        expect(self.dialog).to_have_count(0)

    def indents_by(self, name: str) -> None:
        with self as dialog:
            dialog.get_by_role("radio", name=name).check()


def indented(person: Any, key: str = "Tab") -> str:
    """Return what a key inserts into an empty text, which is empty again afterwards."""
    person.code.press(key)
    text = str(person.page.evaluate(f"({VIEW}).textContent"))
    person.code.press("Control+a")
    person.code.press("Delete")
    return text


VIEW = "document.querySelector('#editor').shadowRoot.querySelector('.cm-line')"
SIZE = f"getComputedStyle({VIEW}).fontSize"


def test_the_indent_is_the_languages_or_the_one_chosen(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    bob = visit("Bob").enters(two_nodes[1], room)
    settings = Settings(ada)
    first = ada.code.evaluate_handle("element => element")
    assert indented(ada) == " " * 4
    ada.page.get_by_label("Language").select_option("Go")
    expect(bob.page.get_by_label("Language")).to_have_value("go")
    assert indented(ada) == "\t"
    assert indented(bob) == "\t"
    settings.indents_by("2 spaces")
    assert indented(ada) == " " * 2
    assert indented(bob) == "\t"
    ada.page.get_by_label("Language").select_option("Python")
    ada.types("def f():\n")
    ada.sees("def f():\n  ")
    ada.code.press("Control+a")
    ada.code.press("Delete")
    settings.indents_by("Tabs")
    assert indented(ada) == "\t"
    ada.has_state("saved")
    assert first.evaluate("element => element.isConnected"), "another editor was made"
    ada.page.reload()
    ada.has_state("connected")
    assert indented(ada) == "\t"
    settings.indents_by("Automatic")
    assert indented(ada) == " " * 4


def test_wrapping_and_font_size_hold_on_every_screen_at_once_and_later(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    settings = Settings(ada)
    ada.code.fill(LONG)
    ada.has_state("saved")
    same = ada.code.evaluate_handle("element => element")
    line = ada.page.locator(".cm-line").first
    low = line.bounding_box()["height"]
    with settings as dialog:
        dialog.get_by_role("checkbox", name="Wrap long lines").check()
        assert line.bounding_box()["height"] >= 2 * low
        expect(dialog.locator("output")).to_have_text("15 px")
        dialog.get_by_role("button", name="Larger").click()
        expect(dialog.locator("output")).to_have_text("16 px")
        assert ada.page.evaluate(SIZE) == "16px"
    assert same.evaluate("element => element.isConnected")
    for client in ("plain", "playback"):
        if client == "plain":
            ada.enters(two_nodes[0], room, client)
        else:
            ada.plays_back(two_nodes[0], room)
        expect(line).to_have_text(LONG)
        assert ada.page.evaluate(SIZE) == "16px"
        assert line.bounding_box()["height"] >= 2 * low
    with settings as dialog:
        # In playback nobody types.
        expect(dialog.get_by_role("radio")).to_have_count(0)
        dialog.get_by_role("checkbox", name="Wrap long lines").uncheck()
        dialog.get_by_role("button", name="Reset").click()
        assert line.bounding_box()["height"] == low
        assert ada.page.evaluate(SIZE) == "15px"


def test_the_font_has_a_least_and_a_greatest_size(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    with Settings(ada) as dialog:
        for name, limit in (("Larger", MOST_PX), ("Smaller", LEAST_PX)):
            button = dialog.get_by_role("button", name=name)
            for _ in range(MOST_PX - LEAST_PX + 2):
                button.press("Enter")
            expect(button).to_have_attribute("aria-disabled", "true")
            expect(button).to_be_focused()
            expect(dialog.locator("output")).to_have_text(f"{limit} px")
            assert ada.page.evaluate(SIZE) == f"{limit}px"


def test_unknown_stored_values_are_passed_over_and_a_page_without_storage_works(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    values = [("indent", "7"), ("size", "9999"), ("wrap", "perhaps"), ("suggest", "{}")]
    ada, eve = visit("Ada"), visit("Eve")
    for key, value in values:
        ada.context.add_init_script(f"localStorage.setItem('collab.{key}', '{value}')")
    eve.context.add_init_script(NO_STORAGE)
    for person in (ada, eve):
        person.enters(two_nodes[0], room)
        assert person.page.evaluate(SIZE) == "15px"
        with Settings(person) as dialog:
            expect(dialog.get_by_role("radio", name="Automatic")).to_be_checked()
            wrap = dialog.get_by_role("checkbox", name="Wrap long lines")
            expect(wrap).not_to_be_checked()
            expect(dialog.get_by_role("checkbox", name="Suggest")).to_be_checked()
            wrap.check()
            dialog.get_by_role("radio", name="2 spaces").check()
        assert indented(person) == " " * 2


def test_the_settings_are_for_the_keyboard_and_for_a_finger(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    ada = visit("Ada", viewport=PHONE, has_touch=True, is_mobile=True).enters(two_nodes[0], room)
    settings = Settings(ada)
    settings.opener.press("Enter")
    expect(settings.dialog).to_be_visible()
    assert ada.fits_the_screen()
    assert settings.dialog.evaluate("element => element.scrollWidth <= element.clientWidth")
    touched = settings.dialog.locator("button, label")
    assert touched.count() >= 8
    for each in (*touched.all(), *ada.page.locator(".tools button").all()):
        box = each.bounding_box()
        assert min(box["width"], box["height"]) >= FINGER_PX, each.inner_html()
    settings.dialog.get_by_role("radio", name="Automatic").press("ArrowRight")
    expect(settings.dialog.get_by_role("radio", name="2 spaces")).to_be_checked()
    ada.page.keyboard.press("Escape")
    expect(settings.dialog).to_have_count(0)
    expect(settings.opener).to_be_focused()
    assert indented(ada) == " " * 2
