"""A page that knows nothing but the contract: it sends whole texts and shows what it receives.

It speaks Engine.IO over a bare WebSocket, and handles one packet after another, as
socket.io-client does in a browser.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from yarl import URL

from tests.storm.script import Script

CONNECT_TIMEOUT = 5.0
"""Seconds that a server has to accept a connection."""
CLOSE_SECONDS = 0.5
CLOSE_TIMEOUT = aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS)
MAX_TEXT_BYTES = 1 << 24
PATH = "socket.io/"


class Refused(Exception):
    """The server can't be used; the message says why."""


@dataclass(slots=True)
class Address:
    """A server's URL, and the local port of the link to it (none: without a link)."""

    url: URL
    token: str = ""
    link: int | None = None

    def request(self) -> dict[str, Any]:
        """Return the arguments of ``ws_connect``.

        Through a link the request still names the server, for its virtual hosts and for TLS.
        """
        target = (self.url / PATH).with_query(EIO="4", transport="websocket")
        if self.link is None:
            return {"url": target}
        return {
            "url": target.with_host("127.0.0.1").with_port(self.link),
            "headers": {"Host": self.url.authority.rpartition("@")[2]},
            "server_hostname": self.url.host if self.url.scheme == "https" else None,
        }


@dataclass(slots=True)
class Page:
    """One page and its person: the screen, what was typed and taken back on it, the errors."""

    ws: aiohttp.ClientWebSocketResponse
    room: str
    screen: str = ""
    typed: dict[str, float] = field(default_factory=dict)
    """The characters that were typed, in this order, each with its time."""
    deleted: dict[str, float] = field(default_factory=dict)
    """Those that were taken back."""
    wrong: set[str] = field(default_factory=set)
    """Those that their person wants to take back as soon as they are on the screen."""
    received: asyncio.Event = field(default_factory=asyncio.Event)
    received_at: float = 0.0
    errors: list[str] = field(default_factory=list)
    ended: str = ""
    """Why the connection ended, or empty."""

    async def join(self) -> None:
        """Enter the room."""
        await self._emit("join", room=self.room)

    async def change(self, text: str) -> None:
        """Show ``text`` and send it."""
        self.screen = text
        await self._emit("change", room=self.room, code=text)

    async def _emit(self, event: str, **payload: str) -> None:
        await self.ws.send_str("42" + json.dumps([event, payload]))

    async def read(self) -> None:
        """Handle packets, one after another, until the connection ends."""
        async for message in self.ws:
            if message.type is aiohttp.WSMsgType.TEXT:
                try:
                    await self._handle(message.data)
                except (ValueError, LookupError, TypeError):
                    self.ended = f"the server sent what the contract has not: {message.data:.80}"
                    return
        self.ended = self.ended or f"the connection ended ({self.ws.close_code})"

    async def _handle(self, packet: str) -> None:
        if packet == "2":
            await self.ws.send_str("3")
        elif packet.startswith("42"):
            event, *payloads = json.loads(packet[packet.index("[") :])
            if event == "receive":
                self.screen = str(payloads[0]["code"])
                self.received_at = asyncio.get_running_loop().time()
                self.received.set()
            elif event == "error":
                self.errors.append(describe(payloads[0] if payloads else None))
        elif packet in ("1", "41"):
            self.ended = "the server disconnected the page"

    async def type(self, script: Script, begin: float) -> None:
        """Press all keys of a script; ``begin`` is the loop's time of its second 0."""
        loop = asyncio.get_running_loop()
        for key in script.keys:
            await asyncio.sleep(begin + key.at - loop.time())
            if self.ended:
                return
            if not key.letter:
                self.wrong.add(next(reversed(self.typed)))
            await self._take_back(loop.time())
            if key.letter:
                place = self.caret()
                self.typed[key.letter] = loop.time()
                await self.change(self.screen[:place] + key.letter + self.screen[place:])

    async def _take_back(self, now: float) -> None:
        """Delete each wrong letter that is on the screen, by a key of its own."""
        for letter in [letter for letter in self.wrong if letter in self.screen]:
            self.wrong.remove(letter)
            self.deleted[letter] = now
            await self.change(self.screen.replace(letter, ""))

    def caret(self) -> int:
        """Return the place after the last of this person's letters that is on the screen."""
        for letter in reversed(self.typed):
            if (place := self.screen.rfind(letter)) >= 0:
                return place + 1
        return len(self.screen)


def describe(payload: Any) -> str:
    """Return an error that a server sent as one line."""
    if not isinstance(payload, dict):
        return str(payload)
    code = payload.get("code") or payload.get("data", {}).get("code")
    return str(payload.get("message")) + (f" ({code})" if code else "")


@asynccontextmanager
async def opened(
    session: aiohttp.ClientSession, address: Address, room: str
) -> AsyncIterator[Page]:
    """Connect a page, which has not joined yet. Raises Refused if the server does not let it."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            ws = await session.ws_connect(
                **address.request(), max_msg_size=MAX_TEXT_BYTES, timeout=CLOSE_TIMEOUT
            )
            await _shake_hands(ws, address)
    except TimeoutError:
        raise Refused(
            f"{address.url} did not answer within {CONNECT_TIMEOUT:.0f} seconds"
        ) from None
    except aiohttp.WSServerHandshakeError as problem:
        raise Refused(
            f"{address.url} does not speak Socket.IO over WebSocket: "
            f"it answered {problem.status} to {PATH}"
        ) from None
    except (aiohttp.ClientError, OSError) as problem:
        raise Refused(f"{address.url} can't be reached: {problem}") from None
    page = Page(ws, room)
    reading = asyncio.create_task(page.read())
    try:
        yield page
    finally:
        reading.cancel()
        await asyncio.wait([reading])
        with suppress(TimeoutError):
            async with asyncio.timeout(2 * CLOSE_SECONDS):  # a server that hangs takes no Close
                await ws.close()


async def _shake_hands(ws: aiohttp.ClientWebSocketResponse, address: Address) -> None:
    """Open the Engine.IO session and connect to the default namespace."""
    auth = json.dumps({"token": address.token}) if address.token else ""
    async for message in ws:
        packet = str(message.data)
        if packet.startswith("0"):
            await ws.send_str("40" + auth)
        elif packet == "2":
            await ws.send_str("3")
        elif packet.startswith("40"):
            return
        elif packet.startswith("44"):
            raise Refused(
                f"{address.url} refused the connection: {describe(json.loads(packet[2:]))}"
            )
    raise Refused(f"{address.url} closed the connection during the handshake of Socket.IO")
