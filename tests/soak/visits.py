"""What the clients of the churn do: each kind of visit is a method of `Visits`."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import aiohttp

from tests.soak.visitors import WAYS, TextVisitor, YjsVisitor
from tests.soak.wires import Gone
from tests.support.processes import Node
from tests.support.tokens import token

API_KEY: Final = "0123456789abcdef"
ADDRESSES, SUBJECTS = 3000, 5000
"""How many addresses and people there are: more than a node remembers."""
OPEN_ROOMS = 12
"""Rooms that are visited at the same time; each is replaced after some visits."""
ROOM_LIFE = 30
"""Visits after which a room is visited no more, on average."""
RESIDENT_SHARE = 0.1
"""The part of the visits that go to the room in which residents stay all the time."""
LETTERS = "abcdefghij \n"
GARBAGE: Final = ("42", "4", "42[", '42["join"]', '42["change",7]', "9", '42["x",{}]', "451-[]")
BAD_TOKENS: Final = ("", "x", "a.b.c")


class Visits:
    """Visits to nodes over one HTTP session; ``done`` counts them, ``told`` the refusals.

    ``unanswered`` are visits that got no answer in `PATIENCE`, ``surprises`` answers that no visit
    should get. ``resident`` is a room that is never ended.
    """

    def __init__(
        self, session: aiohttp.ClientSession, nodes: Sequence[Node], rng: random.Random
    ) -> None:
        self.resident = f"churn-home-{rng.randrange(1 << 30)}"
        self._session = session
        self._nodes = nodes
        self._rng = rng
        self._made = 0
        self._rooms: list[str] = []
        self._kinds: dict[Callable[[], Awaitable[None]], int] = {
            self.types: 30, self.comes_back: 10, self.mounts_twice: 5, self.never_joins: 5,
            self.speaks_yjs: 20, self.calls_the_api: 12, self.plays_back: 6, self.looks: 3,
            self.is_refused: 10, self.lets_a_token_end: 2, self.renews: 3, self.sends_garbage: 5,
            self.ends_a_room: 3, self.is_removed: 2,
        }  # fmt: skip
        self.done: Counter[str] = Counter()
        self.told: Counter[str] = Counter()
        self.surprises: Counter[str] = Counter()
        self.unanswered = 0

    async def make(self) -> None:
        """Make one visit of a random kind."""
        (kind,) = self._rng.choices(list(self._kinds), list(self._kinds.values()))
        self.done[kind.__name__] += 1
        try:
            await kind()
        except (Gone, aiohttp.ClientError) as problem:
            self.told[str(problem)[:120] or type(problem).__name__] += 1
        except TimeoutError:
            self.unanswered += 1
        except Exception as problem:  # a fault of the visitor, or an answer without a meaning
            self.surprises[f"{kind.__name__}: {problem!r}"] += 1

    # Who comes, and where

    def _room(self) -> str:
        if self._rng.random() < RESIDENT_SHARE:
            return self.resident
        return self._mortal()

    def _mortal(self) -> str:
        """Return the name of a room that may be ended."""
        if len(self._rooms) < OPEN_ROOMS or self._rng.random() < 1 / ROOM_LIFE:
            self._made += 1
            self._rooms.append(f"churn-{self._made}-{self._rng.randrange(1 << 30)}")
            del self._rooms[:-OPEN_ROOMS]
        return self._rng.choice(self._rooms)

    def _node(self) -> Node:
        return self._rng.choice(self._nodes)

    def _address(self) -> str:
        number = self._rng.randrange(ADDRESSES)
        return f"10.1.{number >> 8}.{number & 255}"

    def _token(self, **claims: Any) -> str:
        return token(f"churner-{self._rng.randrange(SUBJECTS)}", **claims)

    def _text(self, node: Node | None = None) -> TextVisitor:
        way = self._rng.choice(WAYS)
        return TextVisitor(self._session, node or self._node(), way, self._address())

    async def _leave(self, visitor: TextVisitor, room: str = "") -> None:
        """Leave in one of the ways in which people leave."""
        self.told += visitor.told
        ways = ["close", "vanish", *(["leave"] if room else [])]
        how = self._rng.choice(ways)
        if how == "leave":
            await visitor.ask("leave", {"room": room})
        await (visitor.vanish() if how == "vanish" else visitor.close())

    async def _type_some(self, visitor: TextVisitor, room: str) -> None:
        for _ in range(self._rng.randrange(1, 6)):
            await visitor.type(room, self._rng.choice(LETTERS))
            await asyncio.sleep(self._rng.uniform(0.0, 0.1))

    # Text members

    async def types(self) -> None:
        """Join, type, and leave in some way."""
        visitor, room = self._text(), self._room()
        try:
            await visitor.connect(token=self._token())
            if await visitor.join(room):
                await self._type_some(visitor, room)
            await self._leave(visitor, room)
        finally:
            await visitor.vanish()

    async def comes_back(self) -> None:
        """Lose the connection while typing, and come back with the pid, often to another node."""
        first, room, shown = self._text(), self._room(), self._token()
        back = self._text()
        try:
            await first.connect(token=shown)
            await first.join(room)
            await self._type_some(first, room)
            await first.vanish()
            await asyncio.sleep(self._rng.uniform(0.0, 0.5))
            back.text = first.text
            await back.connect(token=shown, pid=first.pid, offset="x")
            await self._type_some(back, room)
            await self._leave(back, room)
        finally:
            await asyncio.gather(first.vanish(), back.vanish())

    async def mounts_twice(self) -> None:
        """Join, leave and join again, as React's development mode does; and in several rooms."""
        visitor, rooms = self._text(), [self._room() for _ in range(3)]
        try:
            await visitor.connect(token=self._token())
            for room in (rooms[0], *rooms):
                await visitor.join(room)
            await visitor.ask("leave", {"room": rooms[0]})
            await visitor.join(rooms[0])
            await self._type_some(visitor, rooms[0])
            await self._leave(visitor)
        finally:
            await visitor.vanish()

    async def never_joins(self) -> None:
        """Send a change at once, and no more."""
        visitor = self._text()
        try:
            await visitor.connect(token=self._token())
            await visitor.type(self._room(), "hello\n")
            await self._leave(visitor)
        finally:
            await visitor.vanish()

    async def lets_a_token_end(self) -> None:
        """Stay until the token has expired."""
        visitor, room = self._text(), self._room()
        try:
            await visitor.connect(token=self._token(exp=int(time.time()) + 3))
            await visitor.join(room)
            await asyncio.sleep(4)
            self.told += visitor.told
        finally:
            await visitor.vanish()

    async def renews(self) -> None:
        """Go on with a new token."""
        subject, room = f"churner-{self._rng.randrange(SUBJECTS)}", self._room()
        visitor = self._text()
        try:
            await visitor.connect(token=token(subject, exp=int(time.time()) + 20))
            await visitor.join(room)
            await visitor.ask("token", {"token": token(subject)})
            await self._type_some(visitor, room)
            await self._leave(visitor, room)
        finally:
            await visitor.vanish()

    # Yjs members

    async def speaks_yjs(self) -> None:
        """Sync, type, show a cursor, and leave; some renew their token."""
        subject = f"churner-{self._rng.randrange(SUBJECTS)}"
        visitor = YjsVisitor(self._node(), self._room(), self._address(), token(subject))
        await visitor.connect()
        try:
            visitor.show({"user": {"name": subject}, "cursor": 1})
            for _ in range(self._rng.randrange(1, 6)):
                visitor.type(self._rng.choice(LETTERS))
                await asyncio.sleep(self._rng.uniform(0.0, 0.1))
            if self._rng.random() < 0.2:
                visitor.renew(token(subject, jti="2"))
            if self._rng.random() < 0.5:
                visitor.close()
        finally:
            visitor.vanish()

    # The HTTP API and the pages

    async def _call(self, method: str, path: str, **options: Any) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {API_KEY}", "X-Forwarded-For": self._address()}
        url = self._node().url + path
        async with self._session.request(method, url, headers=headers, **options) as answer:
            body = await answer.read()
        if answer.status >= 500 and answer.status != 503:  # a busy node says that it is not ready
            self.surprises[f"{method} {answer.status} {body[:80]!r}"] += 1
        elif answer.status >= 400:
            self.told[f"HTTP {answer.status}"] += 1
        return answer.status, body

    async def calls_the_api(self) -> None:
        """Set a room's text, and read it and the list of rooms."""
        room = self._room()
        await self._call("PUT", f"/api/rooms/{room}", json={"code": "# by a service\n"})
        await self._call("GET", f"/api/rooms/{room}")
        await self._call("GET", "/api/rooms?limit=20")

    async def plays_back(self) -> None:
        """Read a history, and poll it as the page does that plays a live room."""
        room, after = self._room(), ""
        for _ in range(4):
            form = self._rng.choice(("deltas", "updates"))
            path = f"/api/rooms/{room}/history?format={form}{after}"
            status, body = await self._call("GET", path)
            if status == 200 and (lines := body.splitlines())[1:]:
                after = "&after=" + json.loads(lines[-1])["id"]
            await asyncio.sleep(0.05)

    async def looks(self) -> None:
        """Read the pages and the metrics."""
        for path in ("/", f"/{self._room()}/playback", "/api/docs", "/readyz", "/metrics"):
            await self._call("GET", path)

    async def ends_a_room(self) -> None:
        """End a room while people are in it."""
        room = self._mortal()
        await self._call("DELETE", f"/api/rooms/{room}")

    async def is_removed(self) -> None:
        """Be removed from a room by a moderator, and try to come in again."""
        visitor, room = self._text(), self._room()
        try:
            await visitor.connect(token=self._token(jti=str(self._rng.random())))
            await visitor.join(room)
            path = f"/api/rooms/{room}/members/{visitor.id}"
            await self._call("POST", path, json={"action": "remove"})
            await visitor.join(room)
            await self._leave(visitor)
        finally:
            await visitor.vanish()

    # What is refused

    async def is_refused(self) -> None:
        """Do one of the things that are not allowed."""
        await self._rng.choice(
            (self._shows_no_token, self._asks_too_much, self._asks_http_wrongly)
        )()

    async def _shows_no_token(self) -> None:
        shown = self._rng.choice((*BAD_TOKENS, self._token(rooms=["elsewhere"])))
        if self._rng.random() < 0.5:
            await YjsVisitor(self._node(), self._room(), self._address(), shown).connect()
            return
        visitor = self._text()
        try:
            await visitor.connect(token=shown)
            await visitor.join(self._room())
            await self._leave(visitor)
        finally:
            await visitor.vanish()

    async def _asks_too_much(self) -> None:
        visitor, room = self._text(), self._room()
        try:
            await visitor.connect(token=self._token(role="viewer"))
            await visitor.join(room)
            await visitor.type(room, "a viewer types")
            await visitor.join("no such name!")
            await visitor.ask("change", {"room": room, "code": "x" * 300_000})
            await visitor.ask("leave", {"room": "never-entered"})
            await self._leave(visitor)
        finally:
            await visitor.vanish()

    async def _asks_http_wrongly(self) -> None:
        stranger = f"churn-nowhere-{self._rng.random()}"
        for method, path in (
            ("GET", f"/{stranger}"), ("GET", f"/api/rooms/{stranger}"), ("PATCH", "/api/rooms/x"),
            ("GET", f"/socket.io/?EIO=4&transport=polling&sid={stranger}"), ("BREW", "/"),
            ("POST", "/api/rooms/x/members/y"), ("GET", "/api/rooms/x/history?format=film"),
        ):  # fmt: skip
            await self._call(method, path)

    async def sends_garbage(self) -> None:
        """Send packets and frames that mean nothing."""
        if self._rng.random() < 0.5:
            visitor = YjsVisitor(self._node(), self._room(), self._address(), self._token())
            await visitor.connect()
            visitor.send(self._rng.randbytes(self._rng.randrange(1, 40)))
            await asyncio.sleep(0.1)
            visitor.vanish()
            return
        text = self._text()
        try:
            await text.connect(token=self._token())
            await text.send(self._rng.choice(GARBAGE))
            await asyncio.sleep(0.1)
            await self._leave(text)
        finally:
            await text.vanish()
