"""Every language of the page is colored, fetched only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
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
