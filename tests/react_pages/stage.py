"""Rooms of React pages in one browser, at nodes that share a Redis."""

from __future__ import annotations

import asyncio
import json
import math
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from typing import TextIO
from urllib.parse import urlencode

import redis.asyncio
from playwright.async_api import Browser, Page, async_playwright

from tests.react_pages.records import Lateness, Outcome, Room, lines
from tests.react_pages.typists import Letters, Typist, type_all
from tests.support.chromium import FLAGS, chromium
from tests.support.ports import free_port
from tests.support.processes import ROOT, Node, Process, running, until_open

DIST = ROOT / "tests" / "js" / "react" / "dist"
EDITORS = ("textarea", "monaco", "flushed")
STARTER = "".join(f"def step_{n}(values):\n    return sorted(values)[{n}:]\n\n" for n in range(8))
"""What is in a room before anybody types: rendering takes its time."""
ROOM_LETTERS = 150
"""Letters that are typed into one room, before the next is taken with fresh pages."""
MACHINES = {"idle": (1, 0), "loaded": (1, 2), "slow": (4, 0), "slower": (12, 0)}
"""How many times slower than this machine the pages run, and how many processes beside them never
stop computing."""
QUIET = 1000.0
"""Milliseconds in which nothing happens on any page: at rest."""
PATIENCE = 20.0
"""Seconds until a page has to be ready; after as many, one that does not rest is taken as it is."""


@asynccontextmanager
async def _machine(name: str, typists: Sequence[Typist]) -> AsyncIterator[None]:
    """Be an idle machine, one that other processes use too, or a slow one."""
    slowdown, hogs = MACHINES[name]
    for typist in typists:
        await typist.wire.send("Emulation.setCPUThrottlingRate", {"rate": slowdown})
    async with running(*(Process(sys.executable, "-c", "while True: pass") for _ in range(hogs))):
        yield


@dataclass(frozen=True, slots=True)
class Cell:
    """What is measured: people at pages with one ``editor``, at a ``pace``, on a ``machine``."""

    editor: str
    pace: str
    machine: str = "idle"
    people: int = 2
    paints: bool = False
    """Whether paints are timed, which asks the pages for frames and costs them something."""


class Stage:
    """A browser, and where the pages and the nodes are."""

    def __init__(self, browser: Browser, pages_url: str, nodes: Sequence[Node], redis_url: str):
        self._browser = browser
        self._pages_url = pages_url
        self._nodes = nodes
        self._redis_url = redis_url

    async def play(self, cell: Cell, room: str, count: int, seed: int) -> Room:
        """Let people type ``count`` letters into a room, each in a browser context of their own, at
        one node after the other; return what happened on each page, and how it ended."""
        letters = Letters(count)
        async with AsyncExitStack() as stack:
            store = await stack.enter_async_context(redis.asyncio.Redis.from_url(self._redis_url))
            await store.set(f"code_{room}", STARTER, ex=1800)
            typists = []
            for number in range(cell.people):
                context = await self._browser.new_context()
                stack.push_async_callback(context.close)
                page = await context.new_page()
                wire = await context.new_cdp_session(page)
                typists.append(Typist(page, wire, letters, seed * 1000 + number))
            await asyncio.gather(*(
                self._open(typist.page, cell, room, number) for number, typist in enumerate(typists)
            ))  # fmt: skip
            async with _machine(cell.machine, typists):
                await type_all(typists, letters, cell.pace)
                await self._rest(typists)
            return Room(
                name=room,
                typed=letters.typed,
                pages=[await typist.events() for typist in typists],
                screens=[await typist.page.evaluate("recorder.text()") for typist in typists],
                stored=(await store.get(f"code_{room}") or b"").decode(),
                failures=[failure for typist in typists for failure in typist.failures],
            )

    async def _open(self, page: Page, cell: Cell, room: str, number: int) -> None:
        node = self._nodes[number % len(self._nodes)]
        query = {"editor": cell.editor, "url": node.url, "room": room, "name": f"typist {number}"}
        if cell.paints:
            query["paints"] = ""
        await page.goto(f"{self._pages_url}/?{urlencode(query)}")
        await page.wait_for_function(
            "starter => window.recorder?.ready() && recorder.text() === starter",
            arg=STARTER, timeout=PATIENCE * 1000,
        )  # fmt: skip

    async def _rest(self, typists: Sequence[Typist]) -> None:
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while asyncio.get_running_loop().time() < deadline:
            idle = [await typist.page.evaluate("recorder.idle()") for typist in typists]
            if min(idle) > QUIET:
                return
            await asyncio.sleep(0.1)


@asynccontextmanager
async def stage(nodes: Sequence[Node], redis_url: str) -> AsyncIterator[Stage]:
    """Serve the pages to a browser."""
    assert DIST.exists(), "run `make tests/js/react/dist`"
    port = free_port()
    server = Process(
        sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1",
        "--directory", str(DIST),
    )  # fmt: skip
    async with running(server), async_playwright() as playwright:
        await until_open(port, server)
        browser = await playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        try:
            yield Stage(browser, f"http://127.0.0.1:{port}", nodes, redis_url)
        finally:
            await browser.close()


async def measure(
    pages: Stage, cell: Cell, letters: int, seed: int = 1, record: TextIO | None = None
) -> tuple[Outcome, Lateness]:
    """Let people type so many letters, in as many rooms as that takes, one after the other.

    Every event goes to ``record`` as a line of JSON, if it is given.
    """
    outcome, lateness = Outcome(), Lateness()
    rooms = math.ceil(letters / ROOM_LETTERS)
    for number in range(rooms):
        name = f"react-{seed}-{number}-{free_port()}"
        room = await pages.play(cell, name, math.ceil(letters / rooms), seed + number)
        outcome.add(room)
        lateness.add(room)
        if record is not None:
            for line in lines(room, **asdict(cell)):
                record.write(json.dumps(line) + "\n")
    return outcome, lateness
