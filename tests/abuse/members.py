"""The members of rooms that an offender has: clients that send what the attack wants."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from typing import Any

from collab.yjs import protocol
from tests.abuse.account import ABNORMAL, Account, error_code
from tests.abuse.websocket import Ended, WebSocket, encode

PATIENCE = 20.0
"""Seconds that an offender waits for an answer, or for the node to read what it sends."""
CONNECTED = -1
"""The number under which a CONNECT waits for its answer; those of events are not negative."""


class Member:
    """A connection whose messages are read all the time, and its account."""

    def __init__(self, ws: WebSocket, account: Account) -> None:
        self.ws = ws
        self._account = account
        self._told = False
        self.open = True
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count()

    async def read(self) -> None:
        """Handle what the node sends until it ends the connection; note how it does."""
        try:
            async for message in self.ws.messages():
                await self._handle(message)
        except Ended as end:
            if end.code > ABNORMAL or not self._told:  # who was told by a message, knows why
                self._account.note_end(end, "connection")
        self.open = False
        for answer in self._answers.values():
            answer.cancel()

    async def _handle(self, message: bytes) -> None:
        """Handle one message."""

    async def send(self, *messages: str | bytes) -> bool:
        """Send messages, at the rate at which the node reads; return whether it read them all."""
        return await self.send_raw(*map(encode, messages))

    async def send_raw(self, *pieces: bytes) -> bool:
        """Send bytes that need not be whole frames; return as `send` does."""
        try:
            async with asyncio.timeout(PATIENCE):
                for piece in pieces:
                    await self.ws.send(piece)
        except Ended:
            return False
        except TimeoutError:
            self._account.unstated["not read any more"] += 1
            return False
        return True

    async def _request(self, number: int, what: str, *messages: str | bytes) -> Any:
        """Send messages; return what `_handle_answer` gets for ``number``, None if nothing comes.

        A silence is noted; so is, by `read`, an end of the connection.
        """
        if not self.open:
            return None
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        try:
            if not await self.send(*messages):
                return None
            await asyncio.wait([answer], timeout=PATIENCE)
            if not answer.done():
                self._account.unstated[f"{what} not answered"] += 1
                return None
            return None if answer.cancelled() else answer.result()
        finally:
            del self._answers[number]

    def _handle_answer(self, number: int, content: Any) -> None:
        answer = self._answers.get(number)
        if answer is not None and not answer.done():
            answer.set_result(content)


class TextMember(Member):
    """A Socket.IO client."""

    pongs = True

    async def _handle(self, packet: bytes) -> None:
        if packet == b"2":
            if self.pongs:
                with contextlib.suppress(Ended):  # the reader shall see why
                    await self.ws.send(encode("3"))
        elif packet.startswith(b"43"):
            number, _, reply = packet[2:].partition(b"[")
            self._handle_answer(int(number), json.loads(b"[" + reply)[0])
        elif packet.startswith(b'42["error"'):
            self._refuse(json.loads(packet[2:])[1]["code"])
        elif packet.startswith(b"40"):
            self._handle_answer(CONNECTED, True)
        elif packet.startswith(b"44"):
            self._handle_answer(CONNECTED, False)
            self._refuse("connect_error " + error_code(packet[2:].decode()))

    def _refuse(self, code: str) -> None:
        self._told = True
        self._account.refuse(code)

    async def connect(self, name: str = "") -> bool:
        """Send CONNECT; return whether the node accepts it."""
        packet = "40" + json.dumps({"name": name})
        return bool(await self._request(CONNECTED, "CONNECT", packet))

    async def emit(self, event: str, payload: Any) -> bool:
        """Send an event without asking for its acknowledgement."""
        return await self.send("42" + json.dumps([event, payload]))

    async def ask(self, event: str, payload: Any) -> bool:
        """Send an event; return whether its acknowledgement, which is noted, says that it is ok."""
        number = next(self._numbers)
        packet = f"42{number}" + json.dumps([event, payload])
        reply = await self._request(number, event, packet)
        accepted = bool(reply and reply["ok"])
        self._account.served += accepted
        return accepted

    async def join(self, room: str) -> bool:
        return await self.ask("join", {"room": room})

    async def change(self, room: str, code: str) -> bool:
        return await self.ask("change", {"room": room, "code": code})


class YjsMember(Member):
    """A client of the Yjs endpoint. It keeps nothing of what it gets."""

    async def _handle(self, frame: bytes) -> None:
        if frame[0] == protocol.MessageType.STORED:
            self._handle_answer(frame[1], True)

    async def ask(self, *frames: bytes) -> bool:
        """Send frames; return whether the node has handled them all, which is noted."""
        number = next(self._numbers)
        question = bytes((protocol.MessageType.STORED, number))
        handled = bool(await self._request(number, "frame", *frames, question))
        self._account.served += handled
        return handled
