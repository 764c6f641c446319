"""A text member on a bare WebSocket: the test counts its packets, and controls what it reads."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.support.clients import WAIT_TIMEOUT, eventually


class WireMember:
    """A naive page over a bare WebSocket: it shows the text it receives and answers each PING.

    ``log`` has all that arrived, in order: ``ping``, ``receive`` and the names of other events.
    """

    def __init__(self, ws: aiohttp.ClientWebSocketResponse, auth: Any = None) -> None:
        self._ws = ws
        self._auth = "" if auth is None else json.dumps(auth)
        self._acks = itertools.count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._reading = asyncio.Event()
        self._reading.set()
        self._unanswered = 0
        self.sends_pongs = True
        self.connected = False
        self.pid = ""
        self.text = ""
        self.codes: list[str] = []
        self.errors: list[dict[str, str]] = []
        self.log: list[str] = []

    @property
    def closed(self) -> bool:
        return self._ws.closed

    @property
    def unanswered(self) -> int:
        return self._unanswered

    @property
    def pings(self) -> int:
        return self.log.count("ping")

    async def read(self) -> None:
        while True:
            await self._reading.wait()
            message = await self._ws.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                return
            await self._handle_packet(message.data)

    async def _handle_packet(self, packet: str) -> None:
        if packet.startswith("0"):
            await self._ws.send_str("40" + self._auth)
        elif packet == "2":
            self.log.append("ping")
            self._unanswered += 1
            if self.sends_pongs:
                await self.send_pongs()
        elif packet.startswith("40"):
            self.pid = json.loads(packet[2:]).get("pid", "")
            self.connected = True
        elif packet.startswith("43"):
            id, _, reply = packet[2:].partition("[")
            self._waiting.pop(int(id)).set_result(json.loads("[" + reply)[0])
        elif packet.startswith("42"):
            event, payload = json.loads(packet[2:])
            self.log.append(event)
            if event == "receive":
                self.text = payload["code"]
                self.codes.append(self.text)
            elif event == "error":
                self.errors.append(payload)

    async def send_pongs(self, but: int = 0) -> None:
        """Answer all PINGs that have no PONG yet; of the last ones, leave out ``but``."""
        while self._unanswered > but:
            self._unanswered -= 1
            await self._ws.send_str("3")

    def stop_reading(self) -> None:
        """Leave incoming messages in the socket, after at most one more."""
        self._reading.clear()

    def read_again(self) -> None:
        self._reading.set()

    async def emit(self, event: str, payload: Any) -> None:
        """Send an event without asking for an acknowledgement."""
        await self._ws.send_str("42" + json.dumps([event, payload]))

    async def send(self, event: str, payload: Any) -> asyncio.Future[Any]:
        """Send an event; return a Future of its acknowledgement."""
        id = next(self._acks)
        self._waiting[id] = asyncio.get_running_loop().create_future()
        answer = self._waiting[id]
        await self._ws.send_str(f"42{id}" + json.dumps([event, payload]))
        return answer

    async def ask(self, event: str, payload: Any) -> Any:
        """Send an event and return its acknowledgement."""
        async with asyncio.timeout(WAIT_TIMEOUT):
            return await (await self.send(event, payload))

    async def join(self, room: str) -> None:
        assert (await self.ask("join", {"room": room}))["ok"]

    async def send_without_waiting(self, room: str) -> None:
        """Show the node that the member sends events before earlier ones are acknowledged."""
        asked = [await self.send("join", {"room": room}) for _ in range(2)]
        async with asyncio.timeout(WAIT_TIMEOUT):
            await asyncio.gather(*asked)

    async def received(self) -> None:
        """Wait until the member has received a text."""
        await eventually(lambda: self.codes, "no text came")

    async def type(self, room: str, text: str) -> asyncio.Future[Any]:
        """Show ``text`` and send it, as an editor does after a keystroke."""
        self.text = text
        return await self.send("change", {"room": room, "code": text})

    async def shows(self, text: str) -> None:
        """Wait until the member shows ``text``."""
        await eventually(
            lambda: self.text == text, f"wanted {text!r:.200}, is {self.text!r:.200}", 20
        )


@asynccontextmanager
async def wire_member(
    url: str, *, auth: Any = None, receive_buffer: int | None = None, deflate: bool = False
) -> AsyncIterator[WireMember]:
    """Connect a WireMember; ``auth`` goes with its CONNECT, ``receive_buffer`` is its SO_RCVBUF."""

    def connection(address: Any) -> socket.socket:
        family, kind, protocol, _, _ = address
        made = socket.socket(family, kind, protocol)
        if receive_buffer is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        return made

    connector = aiohttp.TCPConnector(socket_factory=connection)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.ws_connect(
            f"{url}/socket.io/?EIO=4&transport=websocket",
            max_msg_size=0,
            autoping=True,
            compress=15 if deflate else 0,
        ) as ws,
    ):
        member = WireMember(ws, auth)
        reading = asyncio.create_task(member.read())
        try:
            await eventually(lambda: member.connected or member.closed)
            yield member
        finally:
            reading.cancel()
            await asyncio.wait([reading])
