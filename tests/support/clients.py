"""The official JavaScript client, in one Node process, driven from the tests."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.support.processes import ROOT, tool

WAIT_TIMEOUT = 10.0
"""Seconds that a test waits for something that should happen at once."""


async def eventually(
    check: Callable[..., Any], what: str = "", within: float = WAIT_TIMEOUT
) -> Any:
    """Return ``check()`` as soon as it is true; fail if it is not after ``within`` seconds."""
    deadline = asyncio.get_running_loop().time() + within
    while True:
        if result := check():
            return result
        assert asyncio.get_running_loop().time() < deadline, what or "it did not happen in time"
        await asyncio.sleep(0.005)


class JsClient:
    """One socket of the official client."""

    def __init__(self, host: JsHost, id: int) -> None:
        self._host = host
        self._id = id
        self._acks = itertools.count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self.events: list[tuple[str, Any]] = []
        self.states: list[dict[str, Any]] = []
        self.trips: list[float] = []  # seconds that each acknowledgement took, in their order

    def handle_event(self, event: dict[str, Any]) -> None:
        if event["what"] == "event":
            self.events.append((event["event"], event["data"]))
        elif event["what"] == "ack":
            self.trips.append(event["took"] / 1000)
            self._waiting.pop(event["ack"]).set_result(event["data"])
        else:
            self.states.append(event)

    def of(self, event: str) -> list[Any]:
        """Return the payloads of all events of that name so far."""
        return [data for name, data in self.events if name == event]

    @property
    def codes(self) -> list[str]:
        """Return all texts received so far."""
        return [data["code"] for data in self.of("receive")]

    def state(self, what: str) -> dict[str, Any] | None:
        """Return the latest of the connection's events of that kind."""
        return next((state for state in reversed(self.states) if state["what"] == what), None)

    async def until(self, what: str) -> dict[str, Any]:
        """Wait for a connection event: connect, disconnect, upgrade or connect_error."""
        await eventually(lambda: self.state(what), f"no {what}: {self.states}")
        return self.state(what) or {}

    @property
    def connects(self) -> list[dict[str, Any]]:
        """Return the connect event of each connection so far."""
        return [state for state in self.states if state["what"] == "connect"]

    async def until_reconnected(self, times: int = 1) -> dict[str, Any]:
        """Wait until the client has reconnected ``times`` times; return the last connect event."""
        await eventually(
            lambda: len(self.connects) > times, f"it has not reconnected: {self.states}"
        )
        return self.connects[-1]

    def emit(self, event: str, data: Any = None) -> None:
        """Send an event without asking for an acknowledgement."""
        self._host.send_command({"do": "emit", "id": self._id, "event": event, "data": data})

    async def ask(self, event: str, data: Any = None) -> Any:
        """Send an event and return its acknowledgement."""
        ack = next(self._acks)
        self._waiting[ack] = answer = asyncio.get_running_loop().create_future()
        self._host.send_command(
            {"do": "emit", "id": self._id, "event": event, "data": data, "ack": ack}
        )
        async with asyncio.timeout(WAIT_TIMEOUT):
            return await answer

    async def join(self, room: str) -> Any:
        return await self.ask("join", {"room": room})

    async def change(self, room: str, code: str) -> Any:
        return await self.ask("change", {"room": room, "code": code})

    def raw(self, packet: str) -> None:
        """Send an Engine.IO message as it is."""
        self._host.send_command({"do": "raw", "id": self._id, "packet": packet})

    async def shows(self, code: str) -> None:
        """Wait until the last text received is ``code``."""
        try:
            await eventually(lambda: self.codes[-1:] == [code])
        except AssertionError:
            raise AssertionError(f"wanted {code!r:.200}, got {self.codes[-3:]!r:.600}") from None

    def reopen(self, **auth: Any) -> None:
        """Connect again, with other ``auth``, after the node has disconnected the client."""
        self._host.send_command({"do": "reopen", "id": self._id, "auth": auth})

    def close(self) -> None:
        self._host.send_command({"do": "close", "id": self._id})


class JsHost:
    """The Node process that all clients of a test live in."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._clients: dict[int, JsClient] = {}
        self._ids = itertools.count()

    def send_command(self, command: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")

    async def connect(self, url: str, *, wait: bool = True, **options: Any) -> JsClient:
        """Connect a client; the options are socket.io-client's (WebSocket alone by default)."""
        options.setdefault("transports", ["websocket"])
        client = JsClient(self, next(self._ids))
        self._clients[client._id] = client
        self.send_command({"do": "connect", "id": client._id, "url": url, "options": options})
        if wait:
            await client.until("connect")
        return client

    async def read_events(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            event = json.loads(line)
            if "id" in event:
                self._clients[event["id"]].handle_event(event)


@asynccontextmanager
async def js_clients() -> AsyncIterator[JsHost]:
    """Run a Node process with the official client in it."""
    script = ROOT / "tests" / "js" / "client.mjs"
    assert (script.parent / "node_modules").exists(), "run `npm ci` in tests/js"
    process = await asyncio.create_subprocess_exec(
        tool("node"), str(script), limit=1 << 26,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    await process.stdout.readline()
    host = JsHost(process)
    reading = asyncio.create_task(host.read_events())
    try:
        yield host
    finally:
        process.kill()
        await process.wait()
        reading.cancel()
        await asyncio.wait([reading])
