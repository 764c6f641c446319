"""The same typing on several servers at the same time."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

import aiohttp
from yarl import URL

from collab.embedded import private_redis
from tests.naive.process import Naive
from tests.storm.page import Address, Page, Refused, opened
from tests.storm.script import PEOPLE, Script, script
from tests.storm.tally import Tally
from tests.support.processes import Node, running
from tests.support.proxy import proxy

DELAY = 0.06
"""Seconds on the wire, each way."""
ROOMS = 4
SECONDS = 40.0
JOIN_SECONDS = 1.0
"""After this a server has refused a `join` or let the page in; not every server acknowledges."""
STARTER_SECONDS = 0.5
"""Until everybody shows the starter."""
FRAME_SECONDS = 0.25
LAST_KEYS_SECONDS = 3.0
"""Until a page whose server takes nothing any more is given up."""
QUIET_SECONDS, QUIET_TIMEOUT = 1.5, 6.0
"""Without a `receive` for so long a page is at rest; the longest wait for that."""
TEXT_TIMEOUT = 3.0
"""Seconds that somebody who joins afterwards waits for the text."""
SPARE_SECONDS = 45.0
"""Beyond the typing: to start, to connect, to come to rest. Then the storm ends in any case."""


@dataclass(slots=True)
class Server:
    """A server and the pages on it, one list for each room."""

    title: str
    address: Address
    rooms: list[list[Page]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)

    def watch(self, now: float) -> None:
        """Count what has become of the letters so far."""
        self.tally = Tally()
        for pages in self.rooms:
            self.tally.watch(pages, now)


@dataclass(frozen=True, slots=True)
class Storm:
    """What is typed, for how long, and in which rooms."""

    seconds: float
    seed: int
    room: str = ""
    """The only room to type in; empty: some rooms with names of their own."""

    def rooms(self) -> list[str]:
        """Return the names of the rooms."""
        name = f"storm-{secrets.token_hex(4)}"
        return [self.room] if self.room else [f"{name}-{number}" for number in range(ROOMS)]

    def scripts(self) -> list[list[Script]]:
        """Return for each room what its people type."""
        rooms = range(1 if self.room else ROOMS)
        return [
            [script(person, self.seed + room, self.seconds) for person in range(len(PEOPLE))]
            for room in rooms
        ]


@asynccontextmanager
async def this_service() -> AsyncIterator[str]:
    """Run a node of this service; yield its URL."""
    async with private_redis() as redis_url:
        node = Node(redis_url)
        async with running(node):
            yield node.url


@asynccontextmanager
async def obvious_server() -> AsyncIterator[str]:
    """Run the obvious server; yield its URL."""
    async with private_redis() as redis_url:
        naive = Naive(redis_url)
        async with running(naive):
            yield naive.url


async def play(storm: Storm, servers: Sequence[Server], show: Callable[[float], None]) -> None:
    """Let people type on all servers, and count what became of it in each `Server.tally`.

    ``show`` is called again and again with the seconds of typing so far. Raises Refused if a server
    can't be used.
    """
    async with asyncio.timeout(storm.seconds + SPARE_SECONDS), AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        await asyncio.gather(*(_try(session, server) for server in servers))
        await asyncio.gather(
            *(_open_rooms(stack, session, server, storm.rooms()) for server in servers)
        )
        await asyncio.sleep(JOIN_SECONDS)
        for server in servers:
            _check_joined(server)
            await _put_starter(server, storm.scripts())
        await asyncio.sleep(STARTER_SECONDS)
        await _type(storm, servers, show)
        await _rest([page for server in servers for pages in server.rooms for page in pages])
        await asyncio.gather(*(_count(session, server) for server in servers))


async def _try(session: aiohttp.ClientSession, server: Server) -> None:
    """Connect without a link, whose errors would not say what is wrong with the server."""
    async with opened(session, server.address, ""):
        pass


async def _open_rooms(
    stack: AsyncExitStack, session: aiohttp.ClientSession, server: Server, rooms: Sequence[str]
) -> None:
    """Open a page for each person of each room, through a link; let them join."""
    url = server.address.url
    assert url.host and url.port
    link = await stack.enter_async_context(proxy(url.port, DELAY, url.host))
    server.address = replace(server.address, link=link.port)
    pages = await asyncio.gather(
        *(
            stack.enter_async_context(opened(session, server.address, room))
            for room in rooms
            for _ in PEOPLE
        )
    )
    for page in pages:
        await page.join()
    server.rooms = [[page for page in pages if page.room == room] for room in rooms]


def _check_joined(server: Server) -> None:
    url = server.address.url
    for page in (page for pages in server.rooms for page in pages):
        if page.errors or page.ended:
            reason = (page.errors or [page.ended])[0]
            raise Refused(f"{url} lets nobody into the room {page.room}: {reason}")
        if page.screen:
            raise Refused(f"the room {page.room} of {url} has a text already: choose another")


async def _put_starter(server: Server, scripts: Sequence[Sequence[Script]]) -> None:
    """Put the same text into every room, in which everybody has a place to type."""
    now = asyncio.get_running_loop().time()
    for pages, of_room in zip(server.rooms, scripts, strict=True):
        for page, script_ in zip(pages, of_room, strict=True):
            page.typed = dict.fromkeys(script_.starter, now)
        await pages[0].change("".join(script_.starter for script_ in of_room))


async def _type(storm: Storm, servers: Sequence[Server], show: Callable[[float], None]) -> None:
    loop = asyncio.get_running_loop()
    begin = loop.time() + FRAME_SECONDS
    typing = [
        asyncio.create_task(page.type(keys, begin))
        for server in servers
        for pages, scripts in zip(server.rooms, storm.scripts(), strict=True)
        for page, keys in zip(pages, scripts, strict=True)
    ]
    try:
        while (passed := loop.time() - begin) < storm.seconds:
            for server in servers:
                server.watch(loop.time())
            show(max(0.0, passed))
            await asyncio.sleep(FRAME_SECONDS)
        await asyncio.wait(typing, timeout=LAST_KEYS_SECONDS)
    finally:
        for task in typing:
            task.cancel()
        await asyncio.gather(*typing, return_exceptions=True)


async def _rest(pages: Sequence[Page]) -> None:
    """Wait until nothing more arrives."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    while (now := loop.time()) < begin + QUIET_TIMEOUT:
        if now > max([begin, *(page.received_at for page in pages)]) + QUIET_SECONDS:
            return
        await asyncio.sleep(FRAME_SECONDS)


async def _count(session: aiohttp.ClientSession, server: Server) -> None:
    """Count at the end: the room's text is what somebody who joins now gets."""
    tally = server.tally = Tally()
    texts = await asyncio.gather(
        *(_text(session, server.address, pages[0].room, tally) for pages in server.rooms)
    )
    for pages, text in zip(server.rooms, texts, strict=True):
        tally.count(pages, [*(page.screen for page in pages), text])
    pages = [page for room in server.rooms for page in room]
    if ended := [page.ended for page in pages if page.ended]:
        tally.notes.append(f"{len(ended)} of {len(pages)} pages were cut off: {ended[0]}")
    if errors := [error for page in pages for error in page.errors]:
        tally.notes.append(f"{len(errors)} events were refused, the first with: {errors[0]}")


async def _text(session: aiohttp.ClientSession, address: Address, room: str, tally: Tally) -> str:
    try:
        async with opened(session, address, room) as page:
            await page.join()
            async with asyncio.timeout(TEXT_TIMEOUT):
                await page.received.wait()
            return page.screen
    except Refused as problem:
        tally.notes.append(f"nobody can join any more: {problem}")
    except TimeoutError:
        tally.notes.append(f"who joins {room} afterwards gets no text")
    return ""


def server_at(url: str, title: str, token: str = "") -> Server:
    """Return the server at a URL. Raises Refused if that is no URL of a server."""
    try:
        address = URL(url)
        port = address.port
    except ValueError as problem:
        raise Refused(f"{url!r} is no URL: {problem}") from None
    if address.scheme not in ("http", "https") or not address.host or not port:
        raise Refused(f"{url!r} is no URL of a server: it must be like http://host:port")
    return Server(title, Address(address, token))
