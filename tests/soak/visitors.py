"""The clients of the churn, in few steps each: text members over three transports, Yjs members.

They speak the wire over sockets of their own, so that a test can drop a connection at any moment.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from typing import Any, Final
from urllib.parse import quote

import aiohttp
from pycrdt import Doc, Text

from loadtest.members import read_varuint, sync, varuint
from loadtest.wire import BINARY, TEXT, frame
from tests.soak.wires import PATIENCE, Gone, Wire
from tests.support.processes import Node

WAYS: Final = ("websocket", "polling", "upgrade")
SEPARATOR: Final = "\x1e"
"""Between two packets of one polling request."""


class TextVisitor:
    """A page: it shows each text that arrives, and answers each PING.

    ``told`` counts the codes of the errors that it got.
    """

    def __init__(self, session: aiohttp.ClientSession, node: Node, way: str, address: str) -> None:
        self._session = session
        self._node = node
        self._way = way
        self._address = address
        self._wire: Wire | None = None
        self._polling: asyncio.Task[None] | None = None
        self._pausing = False
        self._sid = ""
        self._acks = itertools.count()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._pongs: set[asyncio.Task[None]] = set()
        self._posting = asyncio.Lock()  # the protocol allows one POST at a time
        loop = asyncio.get_running_loop()
        self._connected: asyncio.Future[dict[str, Any]] = loop.create_future()
        self._probed: asyncio.Future[None] = loop.create_future()
        self.told: Counter[str] = Counter()
        self.text = ""
        self.pid = ""
        self.id = ""

    async def connect(self, **auth: Any) -> None:
        """Connect with ``auth``. Raises Gone if the node refuses."""
        self._auth = auth
        if self._way == "websocket":
            self._wire = await self._open_wire("")
        else:
            await self._poll_once()
            self._polling = asyncio.create_task(self._poll())
        async with asyncio.timeout(PATIENCE):
            answer = await self._connected
        self.pid, self.id = answer.get("pid", ""), answer["sid"]
        if self._way == "upgrade":
            await self._upgrade()

    async def _open_wire(self, query: str) -> Wire:
        path = f"/socket.io/?EIO=4&transport=websocket{query}"
        return await Wire.open(self._node.port, path, self._address, self._on_message)

    def _on_message(self, wire: Wire, payload: bytes) -> None:
        if self._way == "websocket":
            self._wire = wire
        self._handle(payload.decode())

    async def _upgrade(self) -> None:
        wire = await self._open_wire(f"&sid={self._sid}")
        wire.write(frame(TEXT, b"2probe"))
        async with asyncio.timeout(PATIENCE):
            await self._probed
            self._pausing = True
            if self._polling is not None:
                await asyncio.wait([self._polling])  # the node answers the poll that is open
            async with self._posting:
                wire.write(frame(TEXT, b"5"))
                self._wire = wire

    # Packets

    async def send(self, packet: str) -> None:
        """Send an Engine.IO packet. Raises Gone."""
        if self._wire is None:
            async with self._posting:
                if self._wire is None:  # it may have been upgraded meanwhile
                    await self._post(packet)
                    return
        self._wire.write(frame(TEXT, packet.encode()))

    async def _post(self, packet: str) -> None:
        try:
            async with self._session.post(self._url, data=packet, headers=self._headers) as answer:
                body = await answer.text()
                if answer.status != 200:
                    raise Gone(f"POST {answer.status} {body[:70]}")
        except aiohttp.ClientError as problem:
            raise Gone(str(problem)) from None

    @property
    def _url(self) -> str:
        sid = f"&sid={self._sid}" if self._sid else ""
        return f"{self._node.url}/socket.io/?EIO=4&transport=polling{sid}"

    @property
    def _headers(self) -> dict[str, str]:
        return {"X-Forwarded-For": self._address}

    async def _poll(self) -> None:
        try:
            while not self._pausing:
                await self._poll_once()
        except (Gone, TimeoutError) as problem:
            self._end(f"the session has ended: {problem}")

    async def _poll_once(self) -> None:
        try:
            async with self._session.get(self._url, headers=self._headers) as answer:
                body = await answer.text()
        except aiohttp.ClientError as problem:
            raise Gone(str(problem)) from None
        if answer.status != 200:
            raise Gone(f"GET {answer.status} {body[:70]}")
        for packet in body.split(SEPARATOR):
            self._handle(packet)

    def _handle(self, packet: str) -> None:
        if packet.startswith("0"):
            self._sid = json.loads(packet[1:])["sid"]
            self._reply("40" + json.dumps(self._auth))
        elif packet == "2":
            self._reply("3")
        elif packet == "3probe":
            self._probed.set_result(None)
        elif packet.startswith("40") and not self._connected.done():
            self._connected.set_result(json.loads(packet[2:]))
        elif packet.startswith("44"):
            self._end(packet)
        elif packet.startswith("43"):
            id, _, reply = packet[2:].partition("[")
            if (asked := self._asked.pop(int(id), None)) is not None and not asked.done():
                asked.set_result(json.loads("[" + reply)[0])
        elif packet.startswith("42"):
            event, payload = json.loads(packet[2:])
            if event == "receive":
                self.text = payload["code"]
            elif event == "error":
                self.told[payload["code"]] += 1

    def _reply(self, packet: str) -> None:
        if self._wire is not None:
            self._wire.write(frame(TEXT, packet.encode()))
            return
        task = asyncio.create_task(self._send_soon(packet))
        self._pongs.add(task)
        task.add_done_callback(self._pongs.discard)

    async def _send_soon(self, packet: str) -> None:
        try:
            await self.send(packet)
        except (Gone, TimeoutError) as problem:
            self._end(f"the session has ended: {problem}")

    def _end(self, why: str) -> None:
        for waiting in (self._connected, *self._asked.values()):
            if not waiting.done():
                waiting.set_exception(Gone(why))
                waiting.exception()  # nobody needs to wait for it
        self._asked.clear()

    # Events

    async def ask(self, event: str, payload: Any) -> dict[str, Any]:
        """Send an event; return its acknowledgement. Raises Gone."""
        id = next(self._acks)
        self._asked[id] = asked = asyncio.get_running_loop().create_future()
        await self.send(f"42{id}" + json.dumps([event, payload]))
        ended = asyncio.create_task(self._wire.ended.wait()) if self._wire else None
        try:
            waiting = [asked, ended] if ended else [asked]
            await asyncio.wait(waiting, timeout=PATIENCE, return_when="FIRST_COMPLETED")
            if not asked.done():
                raise Gone(f"no answer to {event}")
            answer: dict[str, Any] = await asked
        finally:
            self._asked.pop(id, None)
            if ended:
                ended.cancel()
        if not answer["ok"]:
            self.told[answer["error"]["code"]] += 1
        return answer

    async def join(self, room: str) -> bool:
        return bool((await self.ask("join", {"room": room}))["ok"])

    async def type(self, room: str, letters: str) -> bool:
        """Type at the end of what it shows; return whether that was accepted."""
        self.text += letters
        return bool((await self.ask("change", {"room": room, "code": self.text}))["ok"])

    # Ends

    async def close(self) -> None:
        """Disconnect as a page does that is left."""
        try:
            await self.send("41")
            if self._wire is None:
                await self.send("1")
            else:
                self._wire.close()
        except Gone:
            pass
        await self._stop()

    async def vanish(self) -> None:
        """Disconnect without a word: the WebSocket is reset, or no poll comes any more."""
        if self._wire is not None:
            self._wire.vanish()
        await self._stop()

    async def _stop(self) -> None:
        tasks = [*self._pongs, *([self._polling] if self._polling else ())]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._end("it has left")


class YjsVisitor:
    """A y-websocket client with a document."""

    def __init__(self, node: Node, room: str, address: str, token: str) -> None:
        self._node = node
        self._address = address
        self._path = f"/yjs/{room}?token={quote(token)}"
        self._doc: Doc[Text] = Doc()
        self._text = self._doc.get("code", type=Text)
        self._clock = itertools.count(1)
        self.synced = asyncio.Event()

    async def connect(self) -> None:
        """Connect, and wait for the document. Raises Gone."""
        self._wire = await Wire.open(self._node.port, self._path, self._address, self._handle)
        self._wire.write(sync(0, self._doc.get_state()))
        waits = [asyncio.create_task(each.wait()) for each in (self.synced, self._wire.ended)]
        try:
            await asyncio.wait(waits, timeout=PATIENCE, return_when="FIRST_COMPLETED")
        finally:
            for each in waits:
                each.cancel()
        if not self.synced.is_set():
            self._wire.vanish()
            raise Gone(self._wire.error or "no document came")

    def _handle(self, wire: Wire, payload: bytes) -> None:
        if payload.startswith(b"\0\0"):
            wire.write(sync(1, self._doc.get_update(b"\0")))
        elif payload.startswith(b"\0"):
            _, start = read_varuint(payload, 2)
            self._doc.apply_update(payload[start:])
            self.synced.set()

    def type(self, letters: str) -> None:
        """Type at the end of the text."""
        before = self._doc.get_state()
        self._text += letters
        self._wire.write(sync(2, self._doc.get_update(before)))

    def show(self, state: dict[str, Any]) -> None:
        """Show an awareness state: a name, a cursor."""
        raw = json.dumps(state).encode()
        entry = varuint(self._doc.client_id) + varuint(next(self._clock)) + varuint(len(raw)) + raw
        update = varuint(1) + entry
        self._wire.write(frame(BINARY, b"\1" + varuint(len(update)) + update))

    def send(self, payload: bytes) -> None:
        """Send a frame of any bytes."""
        self._wire.write(frame(BINARY, payload))

    def renew(self, token: str) -> None:
        """Go on with a new token."""
        raw = token.encode()
        self.send(b"\x65" + varuint(len(raw)) + raw)

    def close(self) -> None:
        """Disconnect with a Close frame."""
        self._wire.close()

    def vanish(self) -> None:
        """Disconnect without a word."""
        self._wire.vanish()
