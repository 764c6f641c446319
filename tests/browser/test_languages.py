"""Every language of the page is colored, fetched only when it is asked for, and names the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.timeout(60)

Nodes = tuple[str, str]
Visit = Callable[..., Any]

# A comment of the language, a word that it has a color for, and how its files end.
LANGUAGES = {
    "C": ("// note", "return", "c"),
    "C++": ("// note", "template", "cpp"),
    "C#": ("// note", "foreach", "cs"),
    "CSS": ("/* note */", "@media", "css"),
    "Go": ("// note", "func", "go"),
    "HTML": ("<!-- note -->", "<main", "html"),
    "Java": ("// note", "class", "java"),
    "JavaScript": ("// note", "const", "js"),
    "Kotlin": ("// note", "fun", "kt"),
    "PHP": ("// note", "echo", "php"),
    "Python": ("# note", "def", "py"),
    "Ruby": ("# note", "unless", "rb"),
    "Rust": ("// note", "impl", "rs"),
    "SQL": ("-- note", "SELECT", "sql"),
    "TypeScript": ("// note", "interface", "ts"),
}
TEXT = "€ 🙂 漢\n\ttab, no line end at the end"


def saved(person: Any) -> tuple[str, bytes]:
    """Return the name and the content of the file that the button gives."""
    with person.page.expect_download() as waiting:
        person.page.get_by_role("button", name="Download").click()
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()


def test_every_language_is_colored_and_none_is_fetched_before_it_is_chosen(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    ada = visit("Ada").enters(two_nodes[0], room)
    chooser = ada.page.get_by_label("Language")
    assert chooser.locator("option").all_text_contents() == list(LANGUAGES)
    assert not any(f"/{name}" in url for url in ada.requests for name in ("lang-", "clike", "ruby"))
    for label, (comment, word, _) in LANGUAGES.items():
        ada.code.press("Control+a")
        ada.code.press("Delete")
        chooser.select_option(label)
        ada.page.keyboard.insert_text(f"{comment}\n{word} x;")
        lines = ada.page.locator(".cm-line")
        expect(lines.first.locator("span").first).to_have_css("font-style", "italic")
        expect(lines.nth(1).locator("span[class]", has_text=word.strip("<"))).to_have_count(1)
    assert any("/lang-rust" in url for url in ada.requests)


def test_the_download_is_the_text_under_the_rooms_name(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    room += ":.x"
    name = room.replace(":", "-")
    ada = visit("Ada").enters(two_nodes[0], room)
    assert saved(ada) == (f"{name}.py", b"")
    ada.code.focus()
    ada.page.keyboard.insert_text(TEXT)
    ada.sees(TEXT).has_state("saved")
    for label in ("C++", "Python", "TypeScript"):  # Chromium asks before a page's eleventh download
        ada.page.get_by_label("Language").select_option(label)
        assert saved(ada) == (f"{name}.{LANGUAGES[label][2]}", TEXT.encode())
    windows = "one\r\ntwo\r\n"
    changed = ada.page.request.put(f"{two_nodes[1]}/api/rooms/{room}", data={"code": windows})
    assert changed.ok, changed.text()
    # What is drawn of it: a carriage return, and the line.
    expect(ada.page.locator(".cm-line")).to_have_count(3)
    assert saved(ada)[1] == windows.encode()
    ada.enters(two_nodes[0], room, client="plain").sees("one\ntwo\n")
    assert saved(ada) == (f"{name}.ts", windows.encode())
    ada.plays_back(two_nodes[0], room)
    assert saved(ada) == (f"{name}.ts", windows.encode())
    ada.page.get_by_role("button", name="One edit back").click()
    assert saved(ada)[1] == TEXT.encode()


def test_a_room_with_the_name_of_a_file_keeps_it_and_no_text_is_no_file(
    visit: Visit, two_nodes: Nodes, room: str
) -> None:
    ada = visit("Ada").enters(two_nodes[0], f"..{room}.py")
    assert saved(ada)[0] == f"{room}.py"
    bob = visit("Bob")
    bob.page.route_web_socket("**/yjs/*", lambda socket: socket.close())
    bob.page.goto(f"{two_nodes[0]}/?room={room}")
    bob.has_state("connecting")
    expect(bob.page.get_by_role("button", name="Find")).to_be_enabled()
    expect(bob.page.get_by_role("button", name="Download")).to_be_disabled()
