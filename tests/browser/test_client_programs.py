"""The browser programs of docs/clients, as they are, at two nodes."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import STATE_TIMEOUT, Cluster
from tests.react_pages.stage import DIST
from tests.support.tokens import SECRET, token

pytestmark = pytest.mark.timeout(60)

PAGES = DIST / "development"
"""The pages with React's development build: the other one does not mount twice in strict mode."""
Visit = Callable[..., Any]
Nodes = tuple[str, str]
TOKEN_SECONDS = 4
"""How long a token is valid that is to expire while somebody types."""


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and prints nothing."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Program:
    """Somebody at the page of a program."""

    def __init__(self, person: Any) -> None:
        self.page: Page = person.page
        self.requests: list[str] = person.requests

    @property
    def editor(self) -> Locator:
        return self.page.locator(
            ".monaco-editor .view-lines, .cm-content, textarea[aria-label=Code]"
        ).first

    def does(self, button: str) -> Program:
        self.page.get_by_role("button", name=button, exact=True).click()
        return self

    def shows(self, text: str) -> Program:
        """Wait until the editor shows this text, which fits the screen."""
        self.page.wait_for_function("text => shownText() === text", arg=text)
        return self

    @property
    def text(self) -> str:
        return str(self.page.evaluate("shownText()"))

    def clicks_into(self) -> Program:
        self.editor.click()
        return self

    def presses(self, *keys: str) -> Program:
        for key in keys:
            self.page.keyboard.press(key)
        return self

    def types(self, text: str) -> Program:
        self.page.keyboard.type(text)
        return self


SHOWN_TEXT = r"""
// Monaco draws its lines in any order, with no-break spaces; CodeMirror has carets in its lines.
window.shownText = () => {
  const textarea = document.querySelector("textarea[aria-label=Code]");
  if (textarea) return textarea.value;
  return [...document.querySelectorAll(".view-line, .cm-line")]
    .sort((one, other) => one.getBoundingClientRect().top - other.getBoundingClientRect().top)
    .map((line) => {
      const copy = line.cloneNode(true);
      for (const caret of copy.querySelectorAll(".cm-ySelectionCaret")) caret.remove();
      return copy.textContent.replaceAll("\u00a0", " ").replaceAll("\u2060", "");
    })
    .join("\n");
};
"""

BOXES = """() => {
  const box = (selector) => document.querySelector(selector)?.getBoundingClientRect().toJSON();
  const selection = box(".yRemoteSelection");  // is it all of the eight letters?
  return selection?.width > 55 && {
    selection, caret: box(".yRemoteSelectionHead"), line: box(".view-line"),
  };
}"""


Open = Callable[..., Program]


@pytest.fixture(scope="module")
def pages_url() -> Iterator[str]:
    assert PAGES.exists(), "run `make tests/js/react/dist`"
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(PAGES))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def opens(visit: Visit, pages_url: str, room: str) -> Iterator[Open]:
    """Opens the page of a program, for somebody with a browser profile of their own."""
    opened: list[Program] = []

    def open_program(name: str, program: str, url: str, **more: str) -> Program:
        person = visit(name, viewport={"width": 800, "height": 500})
        person.page.add_init_script(SHOWN_TEXT)
        query = {"editor": program, "url": url, "room": room, "name": name, **more}
        person.page.goto(f"{pages_url}/?{urlencode(query)}")
        opened.append(Program(person))
        expect(opened[-1].editor).to_be_visible()
        return opened[-1]

    yield open_program
    for program in opened:
        hosts = {urlsplit(request).hostname for request in program.requests}
        assert hosts - {None} <= {"127.0.0.1"}, "a page asked another host for something"


def has_people(url: str, room: str, count: int) -> None:
    """Wait until so many members are in a room, on whichever node."""
    deadline = time.monotonic() + STATE_TIMEOUT / 1000
    while True:
        with urlopen(f"{url}/api/rooms/{room}") as answer:
            members = json.load(answer)["members"]
        if len(members) == count:
            return
        assert time.monotonic() < deadline, members
        time.sleep(0.05)


def starter(url: str, room: str, text: str) -> None:
    """Put a text into a room, as another service does."""
    body, headers = json.dumps({"code": text}).encode(), {"Content-Type": "application/json"}
    urlopen(Request(f"{url}/api/rooms/{room}", body, headers, method="PUT")).close()


@pytest.mark.parametrize(
    "programs",
    [("yjs", "yjs"), ("codemirror", "codemirror"), ("plain", "yjs")],
    ids="+".join,
)
def test_two_people_who_type_at_once_lose_nothing(
    opens: Open, two_nodes: Nodes, room: str, programs: tuple[str, str]
) -> None:
    starter(two_nodes[0], room, "first: \nsecond: ")
    ada = opens("Ada", programs[0], two_nodes[0]).shows("first: \nsecond: ")
    bob = opens("Bob", programs[1], two_nodes[1]).shows("first: \nsecond: ")
    ada.clicks_into().presses("Control+Home", "End")
    bob.clicks_into().presses("Control+End")
    for one, other in zip("abcdefghij", "ABCDEFGHIJ", strict=True):
        ada.presses(one)
        bob.presses(other)
    merged = "first: abcdefghij\nsecond: ABCDEFGHIJ"
    if "plain" in programs:  # its caret jumps, so that letters land elsewhere
        bob.page.wait_for_function("length => shownText().length === length", arg=len(merged))
        assert sorted(bob.text) == sorted(merged)
        merged = bob.text
    for person in (ada, bob):
        person.shows(merged)


def test_the_caret_and_the_selection_of_others_are_visible_in_monaco(
    opens: Open, two_nodes: Nodes, room: str
) -> None:
    starter(two_nodes[0], room, "def solve(values):\n    return sorted(values)\n")
    ada = opens("Ada", "yjs", two_nodes[0])
    bob = opens("Bob", "yjs", two_nodes[1], color="#a21caf")
    for person in (ada, bob):
        person.shows("def solve(values):\n    return sorted(values)\n")
    bob.clicks_into().presses("Control+Home", "End", *["Shift+ArrowLeft"] * 8)
    shown = ada.page.wait_for_function(BOXES).json_value()
    assert shown["caret"]["height"] > 10
    assert abs(shown["caret"]["y"] - shown["line"]["y"]) < 5
    assert abs(shown["caret"]["x"] - shown["selection"]["x"]) < 3
    caret = ada.page.locator(".yRemoteSelectionHead")
    expect(caret).to_have_css("border-left", "2px solid rgb(162, 28, 175)")
    assert caret.evaluate("caret => getComputedStyle(caret, '::after').content") == '"Bob"'
    color = re.compile(r"color\(srgb 0\.63.*/ 0\.3\)")
    expect(ada.page.locator(".yRemoteSelection")).to_have_css("background-color", color)


def test_undo_in_monaco_takes_back_ones_own_typing_only(opens: Open, two_nodes: Nodes) -> None:
    ada, bob = opens("Ada", "yjs", two_nodes[0]), opens("Bob", "codemirror", two_nodes[1])
    ada.clicks_into().types("mine")
    bob.shows("mine").clicks_into().presses("Control+Home")
    bob.types("yours ")
    ada.shows("yours mine").presses("Control+z")
    for person in (ada, bob):
        person.shows("yours ")
    ada.presses("Control+y")
    for person in (ada, bob):
        person.shows("yours mine")


@pytest.mark.parametrize("program", ["yjs", "codemirror", "plain"])
def test_a_program_can_move_to_another_room_and_go_and_come_back(
    opens: Open, two_nodes: Nodes, room: str, program: str
) -> None:
    """In React's strict mode, which mounts everything twice. No connection is left behind."""
    watcher = opens("Bob", "codemirror", two_nodes[1])
    ada = opens("Ada", program, two_nodes[0])
    ada.clicks_into().types("in the first room")
    watcher.shows("in the first room")
    has_people(two_nodes[1], room, 2)
    ada.does("Another room").shows("").clicks_into().types("in the second")
    ada.does("First room").shows("in the first room")
    ada.does("Close")
    expect(ada.editor).to_have_count(0)
    has_people(two_nodes[1], room, 1)
    watcher.clicks_into().presses("Control+End").types(", later")
    ada.does("Open").shows("in the first room, later")
    ada.does("Another room").shows("in the second")
    watcher.shows("in the first room, later")


@pytest.fixture(scope="module")
def asking_node(cluster: Cluster, pages_url: str) -> str:
    """The address of a node that asks for tokens, and lets these pages connect."""
    settings = {"COLLAB_AUTH_SECRET": SECRET, "COLLAB_CORS_ORIGINS": pages_url}
    return cluster.start_node("asking", **settings)


@pytest.mark.parametrize("program", ["codemirror", "plain"])
def test_a_program_shows_its_token_and_goes_on_with_another_when_it_expires(
    opens: Open, asking_node: str, program: str, room: str
) -> None:
    """What is typed when the token has just expired is not lost."""
    short, long = (
        token("ada", rooms=[room], exp=time.time() + left) for left in (TOKEN_SECONDS, 600)
    )
    began = time.monotonic()
    ada = opens("ada", program, asking_node, tokens=f"{short},{short},{long}")
    bob = opens("bob", program, asking_node, tokens=token("bob", rooms=[room]))
    ada.clicks_into()
    while time.monotonic() < began + TOKEN_SECONDS + 1:
        ada.types("x")
        ada.page.wait_for_timeout(50)
    bob.shows(ada.text)
    ada.types("!")
    bob.shows(ada.text)
    assert bob.text.strip("x") == "!"
