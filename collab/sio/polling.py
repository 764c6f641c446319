"""The requests of a polling client: the packets in its POST, and in the response to its GET."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Final

from aiohttp import StreamReader, web
from engineio.exceptions import ContentTooLongError, UnknownPacketError
from engineio.packet import Packet

from collab.errors import BadEvent, CollabError, FrameTooLarge
from collab.sio import packets as eio
from collab.wire.frames import Message
from collab.wire.handling import Handling
from collab.wire.outbox import Outbox

if TYPE_CHECKING:
    from collab.sio.engine_socket import EngineSocket

SEPARATOR: Final = "\x1e"
"""Separates the packets of a polling payload."""
MAX_ANSWER_SIZE: Final = 1 << 20
"""Characters after which a response gets no more packets: the next poll gets the rest."""
MAX_READ_PAST: Final = 8
"""How many times the frame limit is read, and discarded, to report that a message is too large.

A client that is cut off while it sends seldom reads the reason. Above this the connection ends."""


async def next_answer(outbox: Outbox[Message]) -> list[Message]:
    """Wait for packets and return those that wait; none if the outbox is closed and empty."""
    packets: list[Message] = []
    while not packets:
        if not await outbox.wait():
            return []
        packets = outbox.pop()
    size = eio.size(packets)
    while outbox and size < MAX_ANSWER_SIZE:
        more = outbox.pop()
        size += eio.size(more)
        packets += more
    return packets


async def handle_post(socket: EngineSocket, stream: StreamReader) -> bool:
    """Handle the packets of a request, in order; return whether all were handled.

    Raises ContentTooLongError if the request is too large or too slow, and the session is open.
    """
    server, config = socket.server, socket.server.config
    try:
        packets = await read_payload(
            stream,
            server.max_http_buffer_size,
            config.max_polling_packets,
            config.body_timeout,
        )
    except CollabError as problem:
        await server.send_error(socket, problem)
        return False
    except ConnectionError:  # the client disconnected during its request
        return False
    except ContentTooLongError:
        if socket.closed:  # python-engineio can answer this error only for an open session
            return False
        raise
    handling, arrived = Handling(socket.meter), monotonic()
    for queued, packet in zip(reversed(range(len(packets))), packets, strict=True):
        try:
            await handling.handle(socket.receive(packet), queued, arrived)
        except UnknownPacketError:
            await server.send_error(socket, BadEvent("that is not an Engine.IO packet"))
        if socket.dismissed is not None:
            return False
    return True


async def read_payload(
    stream: StreamReader, max_bytes: int, max_packets: int, patience: float
) -> list[Packet]:
    """Return the packets of a POST. Raises BadEvent, FrameTooLarge.

    Raises ContentTooLongError if the request is over `MAX_READ_PAST` times the limit, or takes more
    than ``patience`` seconds, and ConnectionError if the client disconnects during the request.
    """
    try:
        async with asyncio.timeout(patience):
            body = await _read_body(stream, max_bytes)
    except TimeoutError:
        raise ContentTooLongError() from None
    if body.count(SEPARATOR.encode()) >= max_packets:
        raise FrameTooLarge("too many packets in one polling request")
    try:
        return [eio.decode(part) for part in body.decode("utf-8").split(SEPARATOR)]
    except ValueError:
        raise BadEvent("that is not an Engine.IO payload") from None


async def _read_body(stream: StreamReader, max_bytes: int) -> bytes:
    """Read a request to its end: a client that is cut off would not read the reason."""
    parts, size = [], 0
    try:
        async for chunk in stream.iter_any():
            size += len(chunk)
            if size <= max_bytes:
                parts.append(chunk)
            elif size > MAX_READ_PAST * max_bytes:
                raise ContentTooLongError()
    except web.RequestPayloadError:
        raise BadEvent("the request's body can't be read") from None
    if size > max_bytes:
        raise FrameTooLarge(f"a request is over {max_bytes} bytes")
    return b"".join(parts)
