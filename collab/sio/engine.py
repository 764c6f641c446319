"""Engine.IO as this service needs it: one reader and one writer a connection, and bounds.

python-engineio's own socket starts two tasks for each message, keeps an unbounded queue, and does
not say when a packet is written. Here the writer takes from an Outbox, and all PINGs, heartbeats
and marks alike, are entered into one ledger when they are written, so that each PONG is known for
what it answers. The methods overridden here are private ones of python-engineio 4.15: setup.cfg
pins that minor version, and tests/unit/test_engine.py fails where they change.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from http import HTTPStatus
from typing import Any

import engineio
from aiohttp import StreamReader, WSMsgType, web
from aiohttp.abc import AbstractStreamWriter
from engineio import exceptions, packet
from engineio.async_socket import AsyncSocket

from collab.config import Config
from collab.errors import (
    RETRY_AFTER,
    BadEvent,
    CollabError,
    Draining,
    FrameTooLarge,
    NodeFull,
    OriginNotAllowed,
    UnknownSession,
)
from collab.metrics import Metrics
from collab.sio import json
from collab.sio.cork import Cork
from collab.sio.outbox import Outbox, OutboxFull, Render
from collab.websocket import RESTART, announce_close

log = logging.getLogger(__name__)

ROUTE_KEY_HEADER = "HTTP_X_ROUTE_KEY"
"""The load balancer's key for a new session; it stands at the head of the sid (docs/scaling.md)."""
ROUTE_KEY_LENGTH = 64
"""Characters of that key at the most: nginx's $request_id has 32."""
MOST_READ_PAST = 8
"""How many times the frame limit is read, and thrown away, to say that it was too much.

A client whose message is cut off in the middle seldom hears why. Past this the connection ends."""
POLL_BATCH_BYTES = 1 << 20
"""A polling answer is closed when it holds as much: the next poll brings the rest."""
UPGRADE_TIME = 10.0
"""Seconds that an upgrade may take: a poll is answered at once then, and asked again at once."""

SILENCE = 0.5
"""Seconds without a request after which a polling client that is sent away has nothing to say."""

ANSWER_TIME = 0.5
"""Seconds that a client which is sent away has to answer, before the node goes on regardless."""
UNKNOWN_PACKET = "9"
"""An Engine.IO packet of no known type (they go from 0 to 6)."""

SEPARATOR = "\x1e"
"""Stands between the packets of a polling payload."""

_HEARTBEAT = None
Pong = Callable[[], None]


def new_sid(key: str = "") -> str:
    """Return a fresh session id; it begins with ``key`` and a dot if there is a usable key."""
    usable = key.isascii() and key.isalnum() and len(key) <= ROUTE_KEY_LENGTH
    return f"{key}.{secrets.token_urlsafe(15)}" if usable else secrets.token_urlsafe(15)


class _WebSocket(web.WebSocketResponse):
    """A WebSocket that writes packets together, and says why it ends for one that is too large.

    It leans on a private attribute of aiohttp 3.14 (tests/cluster/test_marks.py).
    """

    last_words: Render

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        stream = await super().prepare(request)
        assert self._writer is not None
        self._writer.transport = self._cork = Cork(self._writer.transport)
        self._drain = stream.drain
        return stream

    async def send_packets(self, packets: list[packet.Packet]) -> None:
        """Send packets in one write; return when the client has read enough to be sent more."""
        with self._cork.holding():
            for pkt in packets:
                encoded = pkt.encode()
                if isinstance(encoded, bytes):
                    await self.send_bytes(encoded)
                else:
                    await self.send_str(encoded)
        # The frames' own check of how far the client is came before they were written.
        await self._drain()

    async def close(self, *, code: int = 1000, message: bytes = b"", drain: bool = True) -> bool:
        if code == 1009 and not self.closed:
            for pkt in self.last_words():
                await self.send_str(pkt.encode())
        return await super().close(code=code, message=message, drain=drain)


class EngineSocket(AsyncSocket):  # type: ignore[misc]  # python-engineio has no types
    """One Engine.IO session."""

    server: EngineServer
    connected: bool
    upgraded: bool
    closing: bool
    closed: bool
    last_ping: float | None

    def __init__(self, server: EngineServer, sid: str) -> None:
        super().__init__(server, sid)
        self.outbox = Outbox(server.config.max_unsent_packets)
        self.pings: deque[Pong | None] = deque()
        self._request: web.Request | None = None
        self._heartbeat: asyncio.TimerHandle | None = None
        self._posting = asyncio.Lock()
        self._posted = asyncio.Event()
        self._settled = asyncio.Event()  # clear while a WebSocket is tried: nobody writes then
        self._settled.set()
        self._handling = False
        self._leaving = False
        self._left = asyncio.Event()

    # What the doors use

    def ping_packet(self, pong: Pong) -> packet.Packet:
        """Return a PING to be written now; ``pong`` is called when the client has answered it."""
        self.pings.append(pong)
        return packet.Packet(packet.PING)

    def ping_soon(self, pong: Pong) -> None:
        """Let a PING be written behind what waits; ``pong`` is called when it is answered."""
        self.outbox.put_slot("ping", lambda: [self.ping_packet(pong)])

    def put_slot(self, name: str, render: Render) -> None:
        """Let a slot wait to be written (see Outbox)."""
        self.outbox.put_slot(name, render)

    # Sending

    async def send(self, pkt: packet.Packet | Render) -> None:
        """Let ``pkt`` wait to be written; a client for whom too much waits is disconnected.

        It may be what makes the packets when they are written.
        """
        try:
            self.outbox.put(pkt)
        except OutboxFull:
            log.warning("client reads too slowly", extra={"sid": self.sid})
            await self.close(wait=False, abort=True, reason=self.server.reason.TRANSPORT_ERROR)

    async def poll(self) -> list[packet.Packet] | dict[str, Any]:
        """Return what waits, for a polling answer; wait for something as long as it takes.

        A client that is sent away gets an answer of another status.
        """
        if not self._settled.is_set() and not self.outbox:
            return _noop()
        patience = self.server.ping_interval + self.server.ping_timeout
        packets: list[packet.Packet] = []
        try:
            async with asyncio.timeout(patience):
                while not packets:
                    if not await self.outbox.wait():
                        if self._leaving:
                            return await self._last_answer()
                        raise exceptions.SocketIsClosedError()
                    packets = self.outbox.take()
        except TimeoutError:
            raise exceptions.QueueEmpty() from None
        size = _size(packets)
        while self.outbox and size < POLL_BATCH_BYTES:
            more = self.outbox.take()
            size += _size(more)
            packets += more
        return packets

    async def _write(self, ws: _WebSocket) -> None:
        try:
            while await self.outbox.wait() and not self._is_gone(ws):
                await ws.send_packets(self.outbox.take())
        except (OSError, RuntimeError):  # the transport is gone; the reader sees it too
            pass
        if self._leaving:
            await self._send_away(ws)
        else:
            await ws.close()

    def _is_gone(self, ws: _WebSocket) -> bool:
        """Whether nothing can be written any more: what is taken from the outbox counts as sent."""
        transport = self._request.transport if self._request is not None else None
        return ws.closed or transport is None or transport.is_closing()

    # Leaving

    async def move_off(self, patience: float) -> None:
        """Send the client away, for ``patience`` seconds at most: it connects to another node.

        What waits for it is written; what it has sent until it knows, and still may send, is
        handled. It gets no CLOSE of Engine.IO's: to many clients that is the end, and only a
        transport that ends is a reason to connect again.
        """
        try:
            async with asyncio.timeout(patience):
                await self._settled.wait()
                self._leaving = True
                self.outbox.close()
                await self._left.wait()
        except TimeoutError:
            self._abort_transport()
        await self.close(wait=False, abort=True, reason=self.server.reason.TRANSPORT_CLOSE)

    async def _send_away(self, ws: _WebSocket) -> None:
        """Tell the client of a WebSocket to go, in a way in which it keeps what it emits meanwhile.

        A Close frame comes too early: from then on until the connection has ended, `ws` and
        browsers discard what socket.io-client, which believes itself connected, sends. At a packet
        of no known type engine.io-client itself ends the session at once. That packet goes alone:
        `ws` hands on all frames of one segment together, and socket.io-client would keep the
        receives among them for after its next connect. Other clients are sent the Close frame.
        """
        answered = asyncio.Event()
        with contextlib.suppress(OSError, RuntimeError):
            await ws.send_packets([self.ping_packet(answered.set)])
            await _within(ANSWER_TIME, answered)
            await ws.send_str(UNKNOWN_PACKET)
            await _within(ANSWER_TIME, self._left)
        if not self._left.is_set():
            await announce_close(ws, RESTART, str(Draining()))

    async def _last_answer(self) -> dict[str, Any]:
        """Wait for the moment to tell a polling client to go; return how it is told.

        What it has not put into a request when it hears of it, it throws away. It has put
        everything into one right after the answer to the one before, or if it has nothing to say.
        """
        self._posted.clear()
        await _within(SILENCE, self._posted)
        return self.server.refusal(Draining(), HTTPStatus.GONE)

    def _end_soon(self) -> None:
        """End a polling session that is over, when requests that overtook each other are here."""
        loop = asyncio.get_running_loop()
        loop.call_later(SILENCE, self._left.set)

    # Heartbeats and marks

    def schedule_ping(self) -> None:
        """Send the next heartbeat in one interval from now."""
        self.last_ping = None
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        loop = asyncio.get_running_loop()
        self._heartbeat = loop.call_later(self.server.ping_interval, self._beat)

    def _beat(self) -> None:
        if not (self.closing or self.closed):
            self.last_ping = time.time()
            self.outbox.put_slot("heartbeat", self._render_heartbeat)

    def _render_heartbeat(self) -> list[packet.Packet]:
        self.pings.append(_HEARTBEAT)
        return [packet.Packet(packet.PING)]

    async def check_ping_timeout(self) -> bool:
        """Close the session of a client that was silent since a heartbeat, for too long."""
        if self.closed:
            raise exceptions.SocketIsClosedError()
        if self._handling or not self.last_ping:
            return True
        if time.time() - self.last_ping > self.server.ping_timeout:
            await self.close(wait=False, abort=True, reason=self.server.reason.PING_TIMEOUT)
            return False
        return True

    # Receiving

    async def receive(self, pkt: packet.Packet) -> None:
        """Handle one packet. Whatever comes shows that the client is alive."""
        if self.last_ping:
            self.schedule_ping()
        if pkt.packet_type == packet.MESSAGE:
            await self._handle(pkt.data)
        elif pkt.packet_type == packet.PONG:
            if self.pings and (pong := self.pings.popleft()) is not None:
                pong()
        elif pkt.packet_type == packet.UPGRADE:
            await self.send(packet.Packet(packet.NOOP))
        elif pkt.packet_type == packet.CLOSE and self._leaving and not self.upgraded:
            self._end_soon()
        elif pkt.packet_type == packet.CLOSE:
            await self.close(wait=False, abort=True, reason=self.server.reason.CLIENT_DISCONNECT)
        elif pkt.packet_type != packet.NOOP:
            raise exceptions.UnknownPacketError()

    async def _handle(self, message: str | bytes) -> None:
        """Handle a message. Its client is not silent meanwhile: the node reads nothing from it."""
        self._handling = True
        try:
            await self.server.on_message(self, message)
        finally:
            self._handling = False
            if self.last_ping:
                self.schedule_ping()

    async def handle_post_request(self, environ: dict[str, Any]) -> None:
        """Handle what a polling client sends, in its order."""
        try:
            body = await self._body(environ["wsgi.input"])
        except web.RequestPayloadError:
            await self.server.tell(self, BadEvent("the request's body can't be read"))
            return
        except ConnectionError:
            return  # the client went away in the middle of it
        if body is None:
            await self.server.tell(self, self._too_large("request"))
            return
        try:
            packets = [_decoded(part) for part in body.decode("utf-8").split(SEPARATOR)]
        except ValueError:
            await self.server.tell(self, BadEvent("that is not an Engine.IO payload"))
            return
        if len(packets) > self.server.config.max_polling_packets:
            await self.server.tell(self, FrameTooLarge("too many packets in one polling request"))
            return
        async with self._posting:
            for pkt in packets:
                try:
                    await self.receive(pkt)
                except exceptions.UnknownPacketError:
                    await self.server.tell(self, BadEvent("that is not an Engine.IO packet"))
        self._posted.set()

    def _too_large(self, what: str) -> FrameTooLarge:
        return FrameTooLarge(f"a {what} is over {self.server.max_http_buffer_size} bytes")

    async def _body(self, stream: StreamReader) -> bytes | None:
        """Read a request; return None if it is over the limit, having read past it.

        A client whose request is cut off ends its session before it hears why.
        """
        most = self.server.max_http_buffer_size
        parts, size = [], 0
        async for chunk in stream.iter_any():
            size += len(chunk)
            if size <= most:
                parts.append(chunk)
            elif size > MOST_READ_PAST * most and not self.closed:
                raise exceptions.ContentTooLongError()
        return b"".join(parts) if size <= most else None

    async def _upgrade_websocket(self, environ: dict[str, Any]) -> web.StreamResponse:
        if self.upgraded:
            raise OSError("the session has its WebSocket already")
        self._request = environ["aiohttp.request"]
        ws = _WebSocket(
            max_msg_size=MOST_READ_PAST * self.server.max_http_buffer_size,
            compress=self.server.config.deflate,
            autoclose=True,
        )
        ws.last_words = self.server.render_error(self._too_large("message"))
        await ws.prepare(self._request)
        await self._websocket_handler(ws)
        return ws

    async def _websocket_handler(self, ws: _WebSocket) -> None:
        if self.connected:
            self.upgraded = await self._probed(ws)
            self._settled.set()
            if not self.upgraded:
                return
        else:
            self.connected = self.upgraded = True
        writer = asyncio.create_task(self._write(ws))
        try:
            await self._read(ws)
        finally:
            self.outbox.close()
            await self.close(wait=False, abort=True, reason=self.server.reason.TRANSPORT_CLOSE)
            if ws.closed or ws.close_code is not None:
                writer.cancel()
            await asyncio.wait([writer])

    async def _probed(self, ws: _WebSocket) -> bool:
        try:
            async with asyncio.timeout(UPGRADE_TIME):
                first = await ws.receive()
                if first.type is not WSMsgType.TEXT or first.data != "2probe":
                    return False
                # The client pauses when it has the answer and no poll is out: from now on none
                # waits. Until then polls go on, lest a WebSocket that hangs stops the session.
                self._settled.clear()
                await ws.send_str("3probe")
                self.outbox.put_slot("noop", _noop)
                second = await ws.receive()
        except (TimeoutError, OSError):
            return False
        return second.type is WSMsgType.TEXT and second.data == "5"

    async def _read(self, ws: _WebSocket) -> None:
        async for message in ws:
            if message.type is WSMsgType.TEXT or message.type is WSMsgType.BINARY:
                if _is_over(message.data, self.server.max_http_buffer_size):
                    await self.server.tell(self, self._too_large("message"))
                    continue
                try:
                    await self.receive(_decoded(message.data))
                except (exceptions.UnknownPacketError, ValueError):
                    await self.server.tell(self, BadEvent("that is not an Engine.IO packet"))
            if self.closed:
                return

    async def close(
        self, wait: bool = True, abort: bool = False, reason: str | None = None
    ) -> None:
        """End the session: tell the application, then, unless ``abort``, the client."""
        if self.closed or self.closing:
            return
        self.closing = True
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        await self.server._trigger_event(
            "disconnect", self.sid, reason or self.server.reason.SERVER_DISCONNECT, run_async=False
        )
        if not abort and not self.outbox.closed:
            self.outbox.put(packet.Packet(packet.CLOSE))
        self.outbox.close()
        self.pings.clear()  # they refer to members, and those to this socket: no cycle
        self.closed = True
        self._left.set()
        self.server.sockets.pop(self.sid, None)  # whoever still asks for it is told that it is gone
        if (
            reason == self.server.reason.PING_TIMEOUT
            or reason == self.server.reason.TRANSPORT_ERROR
        ):
            self._abort_transport()

    def _abort_transport(self) -> None:
        # A peer that is gone answers no closing handshake, and its reader would wait for ever.
        if self._request is not None and self._request.transport is not None:
            self._request.transport.abort()


def _can_be_websocket(request: web.Request) -> bool:
    return bool(web.WebSocketResponse().can_prepare(request))


def _noop() -> list[packet.Packet]:
    return [packet.Packet(packet.NOOP)]


async def _within(seconds: float, event: asyncio.Event) -> None:
    """Wait until ``event`` is set, for ``seconds`` at the most."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


async def _nobody(socket: EngineSocket, message: str | bytes) -> None:
    """Take messages until a protocol above Engine.IO asks for them."""


def _is_over(message: str | bytes, most: int) -> bool:
    """Whether a message has more than ``most`` bytes, which it can't if it is short enough."""
    if len(message) * 4 <= most or isinstance(message, bytes):
        return len(message) > most
    return len(message.encode()) > most


def _size(packets: list[packet.Packet]) -> int:
    """Return the characters that packets hold (fewer than bytes, but the limit is a rough one)."""
    return sum(len(pkt.data) for pkt in packets if isinstance(pkt.data, str))


def _decoded(raw: str | bytes) -> packet.Packet:
    """Read one packet; what a MESSAGE holds stays as it came. Raises ValueError."""
    if isinstance(raw, bytes):
        return packet.Packet(packet.MESSAGE, raw)
    if raw[:1] == "b":
        return packet.Packet(packet.MESSAGE, base64.b64decode(raw[1:]))
    return packet.Packet(int(raw[:1]), raw[1:])


class EngineServer(engineio.AsyncServer):  # type: ignore[misc]  # python-engineio has no types
    """The Engine.IO server of a node."""

    def __init__(self, *, config: Config, metrics: Metrics, **options: Any) -> None:
        super().__init__(**options)
        self.config = config
        self.metrics = metrics
        self.draining = False
        self.crowded: Callable[[], int] = int  # connections of the other door
        self.words: Callable[[CollabError], str] = str
        self.on_message: Callable[[EngineSocket, str | bytes], Awaitable[None]] = _nobody

    def _log_error_once(self, message: str, message_key: str) -> None:
        """Log what is wrong with a request; the whole message would repeat what a client says."""
        log.info("bad request", extra={"reason": message_key})

    def generate_id(self) -> str:
        """Return a fresh id (of a Socket.IO session; those of Engine.IO come with a key)."""
        return new_sid()

    async def handle_request(self, request: web.Request) -> web.StreamResponse:
        """Answer one request: a handshake, or any later one of a session."""
        origin, sockname = request.headers.get("Origin"), request.get_extra_info("sockname")
        try:
            self.config.cors_origins.check(origin, sockname)
        except OriginNotAllowed as forbidden:
            return self._turn_away(forbidden, HTTPStatus.FORBIDDEN)
        # At either answer the load balancer asks the next node. It may have sent a session's
        # handshake there while this node was down or full.
        if (sid := request.query.get("sid")) is None:
            if problem := self._no_more():
                return self._turn_away(problem, HTTPStatus.SERVICE_UNAVAILABLE, origin)
        elif sid not in self.sockets:
            unknown = UnknownSession("this node has no session of that sid")
            return self._turn_away(unknown, HTTPStatus.NOT_FOUND, origin)
        response: web.StreamResponse = await super().handle_request(request)
        return response

    def _no_more(self) -> CollabError | None:
        if self.draining:
            return Draining()
        if len(self.sockets) + self.crowded() >= self.config.max_connections:
            return NodeFull("this node has all the connections it may have")
        return None

    def _turn_away(
        self, problem: CollabError, status: HTTPStatus, origin: str | None = None
    ) -> web.Response:
        """Return the answer to a request; a page of ``origin`` may read it."""
        refusal = self.refusal(problem, status)
        headers = refusal["headers"]
        if origin is not None:
            headers.append(("Access-Control-Allow-Origin", origin))
        return web.Response(status=status, headers=headers, body=refusal["response"])

    async def tell(self, socket: EngineSocket, problem: CollabError) -> None:
        """Send the contract's ``error``."""
        await socket.send(self.render_error(problem))

    def render_error(self, problem: CollabError) -> Render:
        """Return what makes the contract's ``error`` when it is written, and counts it then."""

        def render() -> list[packet.Packet]:
            self.metrics.errors.labels(problem.code).inc()
            return [packet.Packet(packet.MESSAGE, self.words(problem))]

        return render

    async def _handle_connect(
        self, environ: dict[str, Any], transport: str, jsonp_index: int | None = None
    ) -> Any:
        if transport == "websocket" and not _can_be_websocket(environ["aiohttp.request"]):
            return self._bad_request("Invalid websocket upgrade")
        if self.start_service_task:
            self.start_service_task: bool = False
            # It ends the sessions of all, so it is not for the request of the first to be logged.
            self.service_task_handle = asyncio.create_task(self._service_task(), context=Context())

        sid = new_sid(environ.get(ROUTE_KEY_HEADER, ""))
        socket = EngineSocket(self, sid)
        self.sockets[sid] = socket
        await socket.send(packet.Packet(packet.OPEN, {
            "sid": sid,
            "upgrades": self._upgrades(sid, transport),
            "pingTimeout": int(self.ping_timeout * 1000),
            "pingInterval": int(self.ping_interval * 1000),
            "maxPayload": self.max_http_buffer_size,
        }))  # fmt: skip
        await self._trigger_event("connect", sid, environ, run_async=False)
        socket.schedule_ping()
        if transport == "websocket":
            try:
                return await socket.handle_get_request(environ)
            finally:
                if socket.closed:
                    self.sockets.pop(sid, None)
        socket.connected = True
        return self._ok(await socket.poll(), jsonp_index=jsonp_index)

    def refusal(self, problem: CollabError, status: HTTPStatus) -> dict[str, Any]:
        """Return the answer to whoever is turned away, in the form of python-engineio's own."""
        self.metrics.errors.labels(problem.code).inc()
        headers = [("Content-Type", "application/json")]
        if problem.retryable:
            headers.append(("Retry-After", RETRY_AFTER))
        return {
            "status": f"{status.value} {status.phrase}",
            "headers": headers,
            "response": json.dumps(problem.payload()).encode(),
        }
