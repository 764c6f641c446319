"""y-websocket's own provider, in one Node process, driven from the tests."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.clients import eventually
from tests.support.processes import ROOT, tool


class YjsClient:
    """One document and its provider."""

    def __init__(self, host: YjsHost, id: int) -> None:
        self._host = host
        self._id = id
        self.events: list[dict[str, Any]] = []

    def of(self, what: str) -> list[dict[str, Any]]:
        """Return all events of that kind so far."""
        return [event for event in self.events if event["what"] == what]

    def last(self, what: str) -> dict[str, Any] | None:
        events = self.of(what)
        return events[-1] if events else None

    async def until(self, what: str) -> dict[str, Any]:
        """Wait for an event of that kind."""
        await eventually(lambda: self.last(what), f"no {what}: {self.events[-5:]}")
        return self.last(what) or {}

    def forget(self) -> None:
        """Forget the events so far, except the latest client, document and states."""
        kept = [event for what in ("client", "doc", "states") if (event := self.last(what))]
        self.events[:] = kept

    @property
    def text(self) -> str:
        event = self.last("doc")
        return event["text"] if event else ""

    @property
    def map(self) -> dict[str, Any]:
        event = self.last("doc")
        return event["map"] if event else {}

    @property
    def states(self) -> dict[str, Any]:
        """Return the others' awareness states by client."""
        event = self.last("states")
        return event["states"] if event else {}

    @property
    def names(self) -> list[str]:
        """Return the names in the others' states."""
        states = self.states.values()
        return sorted(str((state.get("user") or {}).get("name")) for state in states)

    @property
    def client(self) -> int:
        event = self.last("client")
        assert event
        return int(event["client"])

    async def shows(self, text: str) -> None:
        await eventually(lambda: self.text == text, f"wanted {text!r:.200}, got {self.text!r:.600}")

    def do(self, what: str, **given: Any) -> None:
        self._host.send_command({"do": what, "id": self._id, **given})

    def edit(self, *edits: list[Any]) -> None:
        """Make edits in one transaction: [insert, at, text], [delete, at, count], ..."""
        self.do("edit", edits=edits)

    def insert(self, at: int, text: str) -> None:
        self.edit(["insert", at, text])

    async def renew(self, token: str) -> dict[str, Any]:
        """Send a new token; return the node's answer."""
        answers = len(self.of("token"))
        self.do("token", token=token)
        await eventually(lambda: len(self.of("token")) > answers)
        return self.of("token")[-1]

    async def stored(self, number: int = 1) -> str:
        """Wait until everything sent is in Redis; return the node that reports it."""
        self.do("mark", number=number)
        stored = await eventually(
            lambda: [event for event in self.of("stored") if event["number"] == number]
        )
        return str(stored[-1]["node"])


class YjsHost:
    """The Node process that all Yjs clients of a test live in."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._clients: dict[int, YjsClient] = {}
        self._ids = itertools.count()
        self.complaints: list[str] = []

    def send_command(self, command: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")

    async def connect(self, url: str, room: str, *, wait: bool = True, **options: Any) -> YjsClient:
        """Connect a client to a node's ``url``; the options are the provider's."""
        client = YjsClient(self, next(self._ids))
        self._clients[client._id] = client
        client.do("connect", url=url.replace("http", "ws", 1) + "/yjs", room=room, options=options)
        if wait:
            await client.until("synced")
        return client

    async def read_events(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            event = json.loads(line)
            if "id" in event:
                self._clients[event["id"]].events.append(event)
            else:
                self.complaints.append(event["words"])


@asynccontextmanager
async def yjs_clients() -> AsyncIterator[YjsHost]:
    """Run a Node process with y-websocket's provider in it."""
    script = ROOT / "tests" / "js" / "yjs.mjs"
    assert (script.parent / "node_modules").exists(), "run `npm ci` in tests/js"
    process = await asyncio.create_subprocess_exec(
        tool("node"), str(script), limit=1 << 26,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    await process.stdout.readline()
    host = YjsHost(process)
    reading = asyncio.create_task(host.read_events())
    try:
        yield host
    finally:
        process.kill()
        await process.wait()
        reading.cancel()
        await asyncio.wait([reading])
