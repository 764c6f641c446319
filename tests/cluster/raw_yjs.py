"""A Yjs client that sends the test's frames, byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from tests.support.processes import Node

HANDSHAKE = (
    "GET /yjs/{room} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)

PATIENCE = 30.0
"""Seconds after which a test gives up: it is not about time, and the machine may be busy."""


@asynccontextmanager
async def raw(
    node: Node, room: str, query: str = ""
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Open a WebSocket without any protocol on it."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{node.url}/yjs/{room}{query}", max_msg_size=0) as wire,
    ):
        yield wire


async def closing(socket: aiohttp.ClientWebSocketResponse) -> tuple[int | None, str]:
    """Return the code and the reason with which the node ends a connection."""
    async with asyncio.timeout(PATIENCE):
        while True:
            message = await socket.receive()
            if message.type is aiohttp.WSMsgType.CLOSE:
                return message.data, message.extra or ""
            if message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR):
                return socket.close_code, ""


async def next_of(socket: aiohttp.ClientWebSocketResponse, *head: int) -> bytes:
    """Return the next frame that begins with ``head``."""
    async with asyncio.timeout(PATIENCE):
        while True:
            frame: bytes = await socket.receive_bytes()
            if frame.startswith(bytes(head)):
                return frame
