"""A cluster of two nodes, and people with a browser each."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright
from pycrdt import Doc, Text

from tests.support.chromium import FLAGS, chromium
from tests.support.clients import eventually
from tests.support.processes import Node, Redis, in_background
from tests.support.proxy import Proxy, proxy
from tests.support.tokens import SECRET
from tests.support.yjs import YjsClient, yjs_clients

# Roles of what can be operated, as Chromium's accessibility tree calls them.
CONTROLS = {
    "button", "textbox", "combobox", "link", "checkbox", "slider", "radio",
    "ComboBoxSelect", "PopUpButton",
}  # fmt: skip
STATE_TIMEOUT = 15_000.0
"""Milliseconds; a client that was cut off waits up to 2.5 s between two attempts."""
expect.set_options(timeout=STATE_TIMEOUT)  # Playwright's 5 s are too few for a busy machine
# What the browser itself says of a connection that a test has cut on purpose.
CUT = ("net::ERR_", "WebSocket connection to ")
# And of a poll, or the POST of a polling client, that crosses the end of its session.
SESSION, UNKNOWN = "transport=polling", "status of 404"


class Cluster:
    """Two nodes that share one Redis and nothing else, and more where a test needs them."""

    def __init__(self, run: Callable[[Coroutine[Any, Any, Any]], Any], closing: ExitStack) -> None:
        self.run = run
        self._closing = closing
        self._redis = Redis()
        self._start(self._redis)
        self.urls = (self.start_node("a"), self.start_node("b"))

    @property
    def redis_url(self) -> str:
        return self._redis.url

    def start_node(self, name: str, *command: str, **settings: str) -> str:
        """Start a node, with another command than usual if one is given; return its address."""
        node = Node(self._redis.url, name, **settings)
        if command:
            node.command = (node.command[0], *command)
        self._start(node)
        return node.url

    def _start(self, process: Redis | Node) -> None:
        self.run(process.start())
        self._closing.callback(lambda: self.run(process.stop()))


class Wire:
    """The way to a node, which can be cut; a browser's own offline mode spares open WebSockets."""

    def __init__(self, run: Callable[[Coroutine[Any, Any, Any]], Any], wire: Proxy) -> None:
        self._run = run
        self._wire = wire
        self.port = wire.port
        self.url = f"http://127.0.0.1:{wire.port}"

    def cut(self) -> None:
        """Break the connections, and let none be made."""
        self._run(_calling(self._wire.refuse))

    def mend(self) -> None:
        """Let connections be made again, and everything through."""
        self._wire.to_server = None
        self._run(_calling(self._wire.accept))

    def swallow(self) -> None:
        """Let nothing reach the node any more, without anybody noticing."""
        self._wire.to_server = lambda _piece: []


class Troubled:
    """A node whose Redis, which no other node has, can go away."""

    def __init__(self, run: Callable[[Coroutine[Any, Any, Any]], Any], closing: ExitStack) -> None:
        self._run = run
        self._redis = Redis()
        run(self._redis.start())
        closing.callback(lambda: run(self._redis.stop(signal.SIGKILL)))
        node = Node(self._redis.url, "troubled")
        run(node.start())
        closing.callback(lambda: run(node.stop(signal.SIGKILL)))
        self.url = node.url

    def freeze(self) -> None:
        """Let Redis answer nothing."""
        os.kill(self._redis.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._redis.pid, signal.SIGCONT)

    def stop(self) -> None:
        """Let connections to Redis be refused."""
        self._run(self._redis.kill())

    def start(self) -> None:
        """Start Redis again, empty."""
        self._run(self._redis.start())


class Stranger:
    """A Yjs client that is not the page: it may say of itself what it likes."""

    def __init__(self, run: Callable[[Coroutine[Any, Any, Any]], Any], client: YjsClient) -> None:
        self._run = run
        self._client = client

    def says(self, state: dict[str, Any]) -> None:
        """Show this awareness state."""
        self._run(_calling(lambda: self._client.do("state", value=state)))

    def chooses(self, language: Any) -> None:
        """Set the room's language."""
        self._run(_calling(lambda: self._client.edit(["set", "language", language])))

    def types(self, text: str) -> int:
        """Insert a text at the beginning; return the id of the client in Yjs."""
        self._run(_calling(lambda: self._client.insert(0, text)))
        return self._client.client

    def sees(self, check: Callable[[list[dict[str, Any]]], bool]) -> None:
        """Wait until the others' states are as they should be."""
        self._run(eventually(lambda: check(list(self._client.states.values()))))


async def _calling(function: Callable[[], None]) -> None:
    function()


@pytest.fixture(scope="package")
def cluster() -> Iterator[Cluster]:
    with in_background() as run, ExitStack() as closing:
        yield Cluster(run, closing)


@pytest.fixture(scope="package")
def two_nodes(cluster: Cluster) -> tuple[str, str]:
    """The addresses of two nodes."""
    return cluster.urls


@pytest.fixture(scope="package")
def viewers_node(cluster: Cluster) -> str:
    """The address of a node on which clients with the name of a viewer may only read."""
    return cluster.start_node("v", "-m", "tests.support.viewers")


@pytest.fixture(scope="package")
def closed_node(cluster: Cluster) -> str:
    """The address of a node that asks for tokens."""
    return cluster.start_node("c", COLLAB_AUTH_SECRET=SECRET)


@pytest.fixture
def troubled(cluster: Cluster) -> Iterator[Troubled]:
    with ExitStack() as closing:
        yield Troubled(cluster.run, closing)


@pytest.fixture
def wire(cluster: Cluster) -> Iterator[Wire]:
    """A way to the first node that the test may cut."""
    with wire_to(cluster, cluster.urls[0]) as passing:
        yield passing


@contextmanager
def wire_to(cluster: Cluster, url: str) -> Iterator[Wire]:
    """Make a way to the server at ``url`` that may be cut."""
    passing = proxy(urlsplit(url).port or 0)
    yield Wire(cluster.run, cluster.run(passing.__aenter__()))
    cluster.run(passing.__aexit__(None, None, None))


@pytest.fixture
def stranger(cluster: Cluster, room: str) -> Iterator[Stranger]:
    """Somebody at the second node, by y-websocket's own provider."""
    hosting = yjs_clients()
    host = cluster.run(hosting.__aenter__())
    yield Stranger(cluster.run, cluster.run(host.connect(cluster.urls[1], room)))
    cluster.run(hosting.__aexit__(None, None, None))


@pytest.fixture
def crowd(cluster: Cluster, room: str) -> Iterator[list[Stranger]]:
    """Nineteen clients at the second node, none of which has said anything of itself."""
    hosting = yjs_clients()
    host = cluster.run(hosting.__aenter__())

    async def connect() -> Any:
        return await asyncio.gather(*(host.connect(cluster.urls[1], room) for _ in range(19)))

    yield [Stranger(cluster.run, client) for client in cluster.run(connect())]
    cluster.run(hosting.__aexit__(None, None, None))


# Playwright's synchronous API keeps an event loop running in this thread, in which no asyncio
# test could start its own; it therefore closes with the module.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        yield launched
        launched.close()


@pytest.fixture
def room() -> str:
    return f"browser-{uuid4().hex[:12]}"


Visit = Callable[..., "Person"]


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
        self.edge = self.page.locator(".edge")
        self.following = self.page.locator("#following")
        self.trouble = self.page.get_by_role("region", name="Trouble")

    def _complaint(self, message: object) -> None:
        text = getattr(message, "text", "")
        url = getattr(message, "location", {}).get("url", "")
        if SESSION in url and UNKNOWN in text:
            return
        if getattr(message, "type", "") == "error" and not any(cut in text for cut in CUT):
            self.failures.append(text)

    def enters(self, url: str, room: str, client: str = "") -> Person:
        """Open the room in the editor, or in another client of the page."""
        self.page.goto(f"{url}/?room={room}" + (f"&client={client}" if client else ""))
        return self.has_state("connected", "saved")

    def plays_back(self, url: str, room: str) -> Person:
        self.page.goto(f"{url}/?room={room}&playback")
        expect(self.page.get_by_role("button", name="Play", exact=True)).to_be_enabled()
        return self

    def gets_history(self, lines: list[Any]) -> Person:
        """Let the page get these lines when it asks for a room's history, and nothing after them.

        A ``delta`` of a line, and the text ``base`` of the first, are sent as Yjs updates.
        """
        body = "".join(json.dumps(line) + "\n" for line in as_updates(lines))
        nothing = json.dumps({"entries": 0, "after": "0-0"})
        self.page.route("**/history?*", lambda route: route.fulfill(body=body))
        self.page.route("**/history?*after=*", lambda route: route.fulfill(body=nothing))
        return self

    def caret_of(self, name: str) -> Locator:
        """Somebody else's caret on this person's screen."""
        return self.page.locator(f".cm-caret[data-name='{name}']")

    def follows(self, name: str) -> Person:
        """Follow somebody, by the list of everyone."""
        self.page.get_by_role("button", name="Show all").click()
        self.page.get_by_role("button", name=f"Follow {name}").click()
        expect(self.following).to_contain_text(f"Following {name}")
        return self

    def controls(self) -> list[tuple[str, str]]:
        """Role and accessible name of every control, as assistive software gets them."""
        session = self.context.new_cdp_session(self.page)
        tree = session.send("Accessibility.getFullAXTree")["nodes"]
        session.detach()
        return [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in tree
            if not node["ignored"] and node["role"]["value"] in CONTROLS
        ]

    def fits_the_screen(self) -> bool:
        """Whether nothing has to be scrolled to sideways."""
        width = self.page.evaluate("document.scrollingElement.scrollWidth - window.innerWidth")
        return int(width) <= 0

    def has_state(self, *states: str) -> Person:
        selector = ", ".join(f'#badge[data-state="{state}"]' for state in states)
        expect(self.page.locator(selector)).to_be_attached(timeout=STATE_TIMEOUT)
        return self

    def types(self, text: str) -> Person:
        self.code.press_sequentially(text)
        return self

    def sees(self, text: str) -> Person:
        """The whole text, line for line, of a text that fits the screen: no more is drawn."""
        expect(self.page.locator(".cm-line")).to_have_text(text.split("\n"))
        return self


def as_updates(lines: list[Any]) -> Iterator[Any]:
    """Yield the lines of a history with Yjs updates in place of its deltas."""
    doc: Doc[Any] = Doc()
    text = doc.get("code", type=Text)
    for number, line in enumerate(lines):
        if not isinstance(line, dict) or not {"base", "delta"} & line.keys():
            yield line
            continue
        before, position = doc.get_state(), 0
        for op in line.get("delta", [{"insert": line.get("base")}]):
            if "insert" in op:
                text.insert(position, op["insert"])
            position += op.get("retain", 0)  # of ASCII: pycrdt counts bytes
        update = base64.b64encode(doc.get_update(before)).decode()
        fields = {key: value for key, value in line.items() if key not in ("base", "delta")}
        yield {"id": f"{number}-0", **fields, "base" if "base" in line else "update": update}


@contextmanager
def visitors(browser: Browser) -> Iterator[Visit]:
    """Lets people come in, each by a name and with a browser profile of their own."""
    with ExitStack() as closing:
        persons: list[Person] = []

        def arrive(name: str, **options: Any) -> Person:
            context = browser.new_context(**options)
            closing.callback(context.close)
            # Only where none is stored: it runs on every load, and a person may choose another. A
            # browser may keep storage from a page in a frame.
            context.add_init_script(
                "try { localStorage.getItem('collab.name') ?? "
                f"localStorage.setItem('collab.name', {json.dumps(name)}) }} catch {{}}"
            )
            persons.append(Person(context, name))
            return persons[-1]

        yield arrive
        for person in persons:
            assert person.failures == [], f"{person.name}'s browser complained"


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    with visitors(browser) as arrive:
        yield arrive
