"""A Socket.IO client on plain HTTP requests, without cookies.

The official clients hide what these tests check: which request of a session reaches which node.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any

import aiohttp

SEPARATOR = "\x1e"
OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = "0123456"
ANSWER_TIMEOUT = 20.0
"""Seconds that a test waits for an answer that should come at once."""


class SessionLost(Exception):
    """The node does not know the session, or there is no node."""


class PollingClient:
    """One Engine.IO session, with long-polling or a WebSocket."""

    def __init__(self, http: aiohttp.ClientSession, url: str, **query: str) -> None:
        self._http = http
        self._url = url + "/socket.io/"
        self._query = {"EIO": "4", **query}
        self._ids = itertools.count()
        self._websocket: aiohttp.ClientWebSocketResponse | None = None
        self.sid = ""
        self.node = ""
        self.requests = 0
        self.events: list[list[Any]] = []

    async def connect(self, *, transport: str = "polling") -> PollingClient:
        """Open a session with the given transport, and connect to the default namespace."""
        if transport == "websocket":
            self._websocket = await self._open_websocket()
        [opening] = await self._read()
        self.sid = json.loads(opening[1:])["sid"]
        await self._send(MESSAGE + "0")
        while not any(packet.startswith(MESSAGE + "0") for packet in await self._read()):
            pass
        return self

    async def upgrade(self) -> None:
        """Upgrade to a WebSocket, as clients do after the first poll."""
        websocket = await self._open_websocket()
        await websocket.send_str(PING + "probe")
        assert await websocket.receive_str(timeout=ANSWER_TIMEOUT) == PONG + "probe"
        await websocket.send_str(UPGRADE)
        self._websocket = websocket

    async def send(self, event: str, payload: dict[str, Any]) -> None:
        """Send an event without asking for an acknowledgement."""
        await self._send(f"{MESSAGE}2{json.dumps([event, payload])}")

    async def ask(self, event: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Send an event and return its acknowledgement."""
        number = next(self._ids)
        await self._send(f"{MESSAGE}2{number}{json.dumps([event, payload])}")
        wanted = f"{MESSAGE}3{number}["
        async with asyncio.timeout(ANSWER_TIMEOUT):
            while True:
                packets = await self._read()
                if found := next((p for p in packets if p.startswith(wanted)), None):
                    answer: dict[str, Any] = json.loads(found[len(wanted) - 1 :])[0]
                    return answer

    async def join(self, room: str) -> str:
        """Join a room and return the node that serves this client."""
        answer = await self.ask("join", {"room": room})
        assert answer["ok"], answer
        self.node = answer["node"]
        return self.node

    async def receive(self, event: str) -> Any:
        """Wait for an event and return its payload."""
        async with asyncio.timeout(ANSWER_TIMEOUT):
            while True:
                for index, (name, *payload) in enumerate(self.events):
                    if name == event:
                        del self.events[: index + 1]
                        return payload[0]
                await self._read()

    async def close(self) -> None:
        if self._websocket is not None:
            await self._websocket.close()

    def _with_sid(self, transport: str) -> dict[str, str]:
        sid = {"sid": self.sid} if self.sid else {}
        return {**self._query, **sid, "transport": transport}

    async def _open_websocket(self) -> aiohttp.ClientWebSocketResponse:
        self.requests += 1
        return await self._http.ws_connect(self._url, params=self._with_sid("websocket"))

    async def _send(self, packet: str) -> None:
        if self._websocket is not None:
            await self._websocket.send_str(packet)
        else:
            await self._request("POST", packet)

    async def _read(self) -> list[str]:
        if self._websocket is not None:
            message = await self._websocket.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise SessionLost(f"the WebSocket ended: {message.type.name}")
            packets = [str(message.data)]
        else:
            packets = (await self._request("GET")).split(SEPARATOR)
        for packet in packets:
            if packet[0] == PING:
                await self._send(PONG)
            elif packet[0] == CLOSE:
                raise SessionLost("the node closed the session")
            elif packet.startswith(MESSAGE + "2"):
                self.events.append(json.loads(packet[2:]))
        return packets

    async def _request(self, method: str, body: str | None = None) -> str:
        self.requests += 1
        query = self._with_sid("polling")
        data = None if body is None else BytesIO(body.encode())  # aiohttp warns of large strings
        try:
            async with self._http.request(method, self._url, params=query, data=data) as answer:
                text = await answer.text()
        except aiohttp.ClientError as problem:
            raise SessionLost(str(problem)) from problem
        if answer.status != 200:
            raise SessionLost(f"{answer.status}: {text}")
        return text


@asynccontextmanager
async def cookieless() -> AsyncIterator[aiohttp.ClientSession]:
    """HTTP for many clients of one address, without cookies that would distinguish them."""
    async with aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(), connector=aiohttp.TCPConnector(limit=0)
    ) as http:
        yield http
