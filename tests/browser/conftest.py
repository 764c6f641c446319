"""A cluster of two nodes, and people with a browser each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.support.processes import INSTALL, Node, Redis, in_background

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# The browser's own errands are not the page's requests, and a test must not wait for the outside.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[tuple[str, str]]:
    """The addresses of two nodes that share one Redis and nothing else."""
    with in_background() as run, ExitStack() as cluster:
        redis, urls = Redis(), []
        for process in (redis, Node(redis.url, "a"), Node(redis.url, "b")):
            run(process.start())
            cluster.callback(lambda process=process: run(process.stop()))
            if isinstance(process, Node):
                urls.append(process.url)
        yield urls[0], urls[1]


# Playwright's synchronous door keeps an event loop running in this thread, in which no asyncio
# test could start its own; it therefore closes with the module.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = next(filter(None, map(shutil.which, BROWSERS)), None)
    if chromium is None:
        pytest.fail(f"Chromium is missing: {INSTALL['chromium']}")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield launched
        launched.close()


@pytest.fixture
def room() -> str:
    return f"browser-{uuid4().hex[:12]}"


class Person:
    """Somebody at a page: what they see and do, and what their browser asked for."""

    def __init__(self, context: BrowserContext, name: str) -> None:
        self.name = name
        self.context = context
        self.page: Page = context.new_page()
        self.requests: list[str] = []
        self.failures: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("websocket", lambda websocket: self.requests.append(websocket.url))
        self.page.on("pageerror", lambda error: self.failures.append(str(error)))
        self.page.on("console", self._complaint)
        self.code = self.page.get_by_role("textbox", name="Shared code")
        self.badge = self.page.locator("#badge")
        here = self.page.get_by_role("list", name="People in this room")
        self.people = here.get_by_role("listitem")
        self.notices = self.page.locator("#notices .notice")

    def _complaint(self, message: object) -> None:
        # A connection cut on purpose is reported by the browser itself, as an error of the network.
        text = getattr(message, "text", "")
        if getattr(message, "type", "") == "error" and "net::ERR_INTERNET_DISCONNECTED" not in text:
            self.failures.append(text)

    def enters(self, url: str, room: str) -> Person:
        self.page.goto(f"{url}/?room={room}")
        return self.has_state("connected", "saved")

    def has_state(self, *states: str) -> Person:
        selector = ", ".join(f'#badge[data-state="{state}"]' for state in states)
        expect(self.page.locator(selector)).to_be_attached()
        return self

    def types(self, text: str) -> Person:
        self.code.press_sequentially(text)
        return self

    def sees(self, text: str) -> Person:
        """The whole text, line for line, of a text that fits the screen: no more is drawn."""
        expect(self.page.locator(".cm-line")).to_have_text(text.split("\n"))
        return self


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Person]]:
    """Somebody by that name, with a browser profile of their own."""
    with ExitStack() as closing:
        persons: list[Person] = []

        def arrive(name: str, **options: object) -> Person:
            context = browser.new_context(**options)  # type: ignore[arg-type]
            closing.callback(context.close)
            # Only where none is stored: it runs on every load, and a person may choose another.
            context.add_init_script(
                "localStorage.getItem('collab.name') ?? "
                f"localStorage.setItem('collab.name', {json.dumps(name)})"
            )
            persons.append(Person(context, name))
            return persons[-1]

        yield arrive
        for person in persons:
            assert person.failures == [], f"{person.name}'s browser complained"
