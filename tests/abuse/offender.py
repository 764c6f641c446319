"""One hostile client: the connections that it opens, all from one address."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Coroutine
from random import Random
from typing import Any, TypeVar

import aiohttp

from tests.abuse.account import Account, Refused
from tests.abuse.members import PATIENCE, TextMember, YjsMember
from tests.abuse.websocket import CLOSE, Ended, WebSocket, frame

SOCKET_IO = "/socket.io/?EIO=4&transport="

T = TypeVar("T")


class Offender:
    """Opens connections to the node at ``port``, and keeps the account of its answers.

    They stay open until `close` or `leave`. All randomness of an attack comes from ``rng``.
    ``redis_url`` is only for what was there before the attack.
    """

    def __init__(self, port: int, redis_url: str, address: str, seed: int) -> None:
        self.rng = Random(seed)
        self.port = port
        self.redis_url = redis_url
        self.address = address
        self.account = Account()
        self._websockets: set[WebSocket] = set()
        self._reading: set[asyncio.Task[None]] = set()
        connector = aiohttp.TCPConnector(limit=0, local_addr=(address, 0))
        self._http = aiohttp.ClientSession(f"http://127.0.0.1:{port}", connector=connector)

    async def close(self) -> None:
        for task in self._reading:
            task.cancel()
        for ws in self._websockets:
            ws.abort()
        await self._http.close()

    async def several(self, count: int, act: Callable[[int], Awaitable[T]]) -> list[T]:
        """Do something ``count`` times at once; return the results of those that succeeded."""
        results = await asyncio.gather(*map(act, range(count)), return_exceptions=True)
        for failure in results:
            if isinstance(failure, BaseException) and not isinstance(failure, Refused):
                raise failure
        return [result for result in results if not isinstance(result, BaseException)]

    async def connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a TCP connection."""
        return await asyncio.open_connection("127.0.0.1", self.port, local_addr=(self.address, 0))

    # HTTP

    async def request(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> bytes:
        """Make a request; note the answer and return its body. Raises Refused."""
        try:
            async with (
                asyncio.timeout(PATIENCE),
                self._http.request(method, path, headers=headers, data=body or None) as answer,
            ):
                told = await answer.read()
        except TimeoutError:
            self.account.unstated["request not answered"] += 1
            raise Refused from None
        except (aiohttp.ClientError, OSError):
            self.account.unstated["request ended"] += 1
            raise Refused from None
        self.account.note_status(answer.status, told.decode(errors="replace"))
        if answer.status >= 400:
            raise Refused
        return told

    async def handshake(self, headers: dict[str, str] | None = None) -> str:
        """Begin a polling session; return the path of its further requests. Raises Refused."""
        told = await self.request("GET", SOCKET_IO + "polling", headers=headers)
        return f"{SOCKET_IO}polling&sid={json.loads(told[1:])['sid']}"

    # WebSockets

    async def websocket(self, path: str) -> WebSocket:
        """Open a WebSocket. Raises Refused."""
        try:
            async with asyncio.timeout(PATIENCE):
                ws = await WebSocket.open(self.port, path, self.address)
        except Ended as end:
            self.account.note_end(end, "handshake")
            raise Refused from None
        except (OSError, TimeoutError):
            self.account.unstated["handshake not answered"] += 1
            raise Refused from None
        self._websockets.add(ws)
        return ws

    async def leave(self, ws: WebSocket, *, politely: bool) -> None:
        """End a connection, with or without a Close frame."""
        self._websockets.discard(ws)
        if politely:
            with contextlib.suppress(Ended):
                await ws.send(frame(b"", CLOSE))
        ws.abort()

    async def text_member(self, *, connect: bool = True) -> TextMember:
        """Open a Socket.IO session, and connect it. Raises Refused."""
        member = TextMember(await self.websocket(SOCKET_IO + "websocket"), self.account)
        self._start_reading(member.read())
        if connect and not await member.connect():
            raise Refused
        return member

    async def yjs_member(self, room: str, *, reads: bool = True) -> YjsMember:
        """Open a Yjs connection; without ``reads`` nothing that it gets is read. Raises Refused."""
        member = YjsMember(await self.websocket(f"/yjs/{room}"), self.account)
        if reads:
            self._start_reading(member.read())
        else:
            member.ws.stop_reading()
        return member

    def _start_reading(self, reading: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(reading)
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)
