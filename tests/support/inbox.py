"""A receiver of webhooks: a real server that answers as a test wants, and keeps what arrives."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.support.clients import eventually

SECRET = "whsec_" + "C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
"""The key of the tests, as operators write it."""

Answer = Callable[["Arrived", int], Awaitable[web.StreamResponse]]
"""Given what has arrived, and how often before in the same event, answers it."""


@dataclass
class Arrived:
    """One request, and whether it was accepted."""

    headers: dict[str, str]
    body: bytes
    request: web.Request
    accepted: bool = False

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.body)
        return told

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = self.event["data"]
        return data


async def accept(arrived: Arrived, before: int) -> web.StreamResponse:
    return web.Response(status=204)


class Inbox:
    """All that has arrived. ``answers`` has the answers for some rooms; others are accepted."""

    def __init__(self) -> None:
        self.arrived: list[Arrived] = []
        self.answers: dict[str, Answer] = {}
        self.otherwise: Answer = accept
        self.open_requests = 0
        self.most_open = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks"

    async def receive(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        arrived = Arrived(headers, await request.read(), request)
        before = sum(other.id == arrived.id for other in self.arrived)
        self.arrived.append(arrived)
        self.open_requests += 1
        self.most_open = max(self.most_open, self.open_requests)
        try:
            answer = self.answers.get(arrived.data["room"], self.otherwise)
            response = await answer(arrived, before)
        finally:
            self.open_requests -= 1
        arrived.accepted = response.status < 300
        return response

    def of(self, room: str, kind: str = "") -> list[Arrived]:
        """Return the requests about a room that were accepted, in the order of their arrival."""
        return [
            each
            for each in self.arrived
            if each.accepted and each.data["room"] == room and kind in ("", each.event["type"])
        ]

    def kinds(self, room: str) -> list[str]:
        """Return the types of a room's accepted events, by sequence, each event once."""
        events = {each.data["sequence"]: each.event["type"] for each in self.of(room)}
        return [events[sequence].removeprefix("room.") for sequence in sorted(events)]

    def attempts(self, room: str) -> list[Arrived]:
        """Return all requests about a room."""
        return [each for each in self.arrived if each.data["room"] == room]

    async def until(self, room: str, kind: str, within: float = 15.0) -> Arrived:
        """Wait for an accepted event of a room."""
        kind = f"room.{kind}"
        await eventually(
            lambda: self.of(room, kind),
            f"no {kind} of {room}: {[each.event for each in self.attempts(room)]!r:.2000}",
            within,
        )
        return self.of(room, kind)[-1]


@asynccontextmanager
async def receiving(port: int = 0) -> AsyncIterator[Inbox]:
    """Run an inbox on a loopback port."""
    inbox = Inbox()
    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/hooks", inbox.receive)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    inbox.port = runner.addresses[0][1]
    try:
        yield inbox
    finally:
        await runner.cleanup()


async def hang(arrived: Arrived, before: int) -> web.StreamResponse:
    """Answer nothing."""
    await asyncio.sleep(3600)
    raise AssertionError


def fails(times: int, answer: Answer) -> Answer:
    """Let the first attempts at each event be answered so, and accept it then."""

    async def answered(arrived: Arrived, before: int) -> web.StreamResponse:
        return await (answer if before < times else accept)(arrived, before)

    return answered
