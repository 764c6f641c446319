"""The Socket.IO server: the events of one client in order, acknowledgements when they are true.

python-socketio would run each event as a task of its own, and one client's events could overtake
each other. Here the reader handles an event before it reads the next; what the client sends
meanwhile waits in its socket. A handler whose reply comes later returns a Future, and the reader
goes on. The methods overridden here are private in python-socketio 5.18: setup.cfg pins that minor
version, and tests/unit/test_engine.py fails if they change.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Final, Protocol

import orjson
import socketio
from socketio import exceptions, packet

from collab.admission import Admission
from collab.config import Config
from collab.errors import (
    BadEvent,
    CollabError,
    FrameTooLarge,
    StoreUnavailable,
    Unauthorized,
)
from collab.merge.pings import OnPong
from collab.metrics import Metrics
from collab.sio import json
from collab.sio import packets as eio
from collab.sio.engine import EngineServer
from collab.sio.engine_socket import CHANGE, EngineSocket

log = logging.getLogger(__name__)

MAX_CONNECT: Final = 16 * 1024
"""Characters of a packet that is not an event: CONNECT has a token, a name and a pid at most."""

Reply = dict[str, Any]
PLAIN_EVENT = re.compile(r"2([0-9]{0,15})(?=\[)")
"""The beginning of an event in the default namespace. python-socketio parses all other packets: it
takes three times as long as the JSON does."""
LaterReply = Callable[[], asyncio.Future[Reply]]
"""Returns a Future of a reply; it is called at once, if the client wants a reply at all."""
Handler = Callable[[str, Any], Awaitable[Reply | LaterReply]]


class Application(Protocol):
    """The callbacks of a server, each with the sid of a client of the default namespace.

    `connect` raises CollabError to refuse the client.

    Each handler in ``events`` is given the sid and the event's first argument. It returns the
    acknowledgement or a Future of it; it raises CollabError to send the client an ``error``.
    """

    events: Mapping[str, Handler]

    async def connect(self, sid: str, environ: dict[str, Any], auth: Any) -> None:
        """Handle a new client; CONNECT is answered afterwards."""

    def change_now(self, sid: str, payload: Any) -> LaterReply | None:
        """Handle a ``change`` as its handler does, if that need not wait and raises no error.

        Otherwise it returns None, and has done nothing.
        """

    def pid_of(self, sid: str) -> str:
        """Return the pid that the answer to CONNECT carries."""

    def connected(self, sid: str) -> None:
        """Handle that the answer to CONNECT has been queued."""

    def acknowledging(self, sid: str) -> OnPong | None:
        """Return what to call at the PONG of a PING before an acknowledgement, if there is any."""

    async def disconnect(self, sid: str, reason: str) -> None:
        """Handle that a client has disconnected."""


class Server(socketio.AsyncServer):  # type: ignore[misc]  # python-socketio has no types
    """A Socket.IO server that serves one application."""

    def __init__(
        self, config: Config, metrics: Metrics, admission: Admission,
        manager: socketio.AsyncManager, application: Application,
    ) -> None:  # fmt: skip
        super().__init__(
            async_mode="aiohttp",
            client_manager=manager,
            logger=logging.getLogger("socketio.server"),
            engineio_logger=logging.getLogger("engineio.server"),
            json=json,
            config=config,
            metrics=metrics,
            admission=admission,
            encode_error=_encode_error,
            encode_refusal=_encode_refusal,
            on_message=self._handle_message,
            on_change=self._change_now,
            cors_allowed_origins=partial(_may_connect, admission),
            cors_credentials=False,
            max_http_buffer_size=config.max_frame_bytes,
            ping_interval=config.ping_interval,
            ping_timeout=config.ping_timeout,
            http_compression=False,
        )
        self.manager_initialized = True  # the node opens the manager, not the first client
        self.eio: EngineServer
        self._application = application
        self.on("connect", self._connect)
        self.on("disconnect", application.disconnect)
        self._sending: set[asyncio.Future[None]] = set()

    def _engineio_server_class(self) -> type[EngineServer]:
        return EngineServer

    def socket(self, sid: str) -> EngineSocket:
        """Return the Engine.IO session that a connected client's ``sid`` belongs to."""
        socket = self.eio.sockets[self.manager.eio_sid_from_sid(sid, "/")]
        assert isinstance(socket, EngineSocket)
        return socket

    async def _handle_message(self, socket: EngineSocket, message: str | bytes) -> None:
        try:
            if isinstance(message, str) and (plain := PLAIN_EVENT.match(message)):
                data = _event_data(message[plain.end() :])
                await self._handle_event(socket.sid, "/", _event_id(plain[1]), data)
            else:
                await self._dispatch(socket, self._parse(message))
        except CollabError as problem:
            await self.eio.send_error(socket, problem)
        except Exception as fault:
            await self.eio.send_error(socket, _internal_error(fault, socket.sid))

    def _change_now(self, socket: EngineSocket, message: str) -> bool:
        """Handle an encoded ``change`` at once; return False if it must wait, or is none."""
        head = CHANGE.match(message)
        sid = self.manager.sid_from_eio_sid(socket.sid, "/")
        if head is None or sid is None or len(message) > self.eio.max_http_buffer_size // 4:
            return False
        try:
            _, payload = orjson.loads(message[head.end() :])
        except ValueError:
            return False
        id = _event_id(head[1])
        try:
            reply = self._application.change_now(sid, payload)
        except Exception as fault:  # as for any event: the client is told, and goes on
            self._send_soon(self._send_failure(socket.sid, id, _internal_error(fault, socket.sid)))
            return True
        if reply is not None and id is not None:
            self._acknowledge_later(socket.sid, id, reply)
        return reply is not None

    @staticmethod
    def _parse(message: str | bytes) -> packet.Packet:
        if isinstance(message, bytes) or message[:1] in ("5", "6"):
            raise BadEvent("this service accepts no binary events")
        if message[:1] != "2" and len(message) > MAX_CONNECT:
            raise FrameTooLarge(f"only an event may have more than {MAX_CONNECT} characters")
        try:
            parsed = packet.Packet(encoded_packet=message)
        except (ValueError, TypeError, RecursionError):
            raise BadEvent("that is not a Socket.IO packet") from None
        if not message or parsed.packet_type > packet.CONNECT_ERROR:
            raise BadEvent("that is not a Socket.IO packet")
        return parsed

    async def _dispatch(self, socket: EngineSocket, parsed: packet.Packet) -> None:
        namespace = parsed.namespace or "/"
        if parsed.packet_type == packet.EVENT:
            await self._handle_event(socket.sid, namespace, parsed.id, parsed.data)
        elif parsed.packet_type == packet.CONNECT:
            await self._handle_connect(socket.sid, namespace, parsed.data)
        elif parsed.packet_type == packet.DISCONNECT:
            await self._handle_disconnect(socket.sid, namespace, self.reason.CLIENT_DISCONNECT)
        elif parsed.packet_type == packet.CONNECT_ERROR:
            raise BadEvent("a client does not send CONNECT_ERROR")
        # An ACK is ignored: this server asks for none.

    async def _handle_connect(self, eio_sid: str, namespace: str, data: Any) -> None:
        if self.manager.sid_from_eio_sid(eio_sid, namespace or "/") is not None:
            raise BadEvent("this session is connected already, and stays so")
        await super()._handle_connect(eio_sid, namespace, data)
        sid = self.manager.sid_from_eio_sid(eio_sid, namespace or "/")
        if sid is not None and eio_sid not in self.eio.sockets:
            # The session ended meanwhile. python-socketio passes over clients that still connect.
            await self._handle_disconnect(eio_sid, namespace, self.reason.TRANSPORT_CLOSE)
        elif sid is not None and namespace in (None, "/"):
            self.eio.unconnected.discard(self.eio.sockets.get(eio_sid))
            self._application.connected(sid)

    async def _connect(self, sid: str, environ: dict[str, Any], auth: Any) -> None:
        """Add a client, or refuse it with CONNECT_ERROR, whose ``data`` has the error's code."""
        try:
            await self._application.connect(sid, environ, auth)
        except CollabError as problem:
            self.eio.metrics.errors.labels(problem.code).inc()
            reason = problem.reason if isinstance(problem, Unauthorized) else problem.code
            log.info("refused", extra={"sid": sid, "reason": reason})
            if isinstance(problem, StoreUnavailable):
                # After CONNECT_ERROR socket.io-client would not try again.
                await self.socket(sid).end(self.reason.TRANSPORT_CLOSE)
            raise exceptions.ConnectionRefusedError(str(problem), problem.payload()) from None

    async def _handle_disconnect(
        self, eio_sid: str, namespace: str, reason: str | None = None
    ) -> None:
        await super()._handle_disconnect(eio_sid, namespace, reason)
        socket = self.eio.sockets.get(eio_sid)
        if socket is not None and namespace in (None, "/"):
            self.eio.unconnected.add(socket)

    async def _send_packet(self, eio_sid: str, pkt: packet.Packet) -> None:
        if pkt.packet_type == packet.CONNECT and pkt.namespace in (None, "/"):
            # socket.io-client sends the pid back when it has lost its connection.
            pkt.data["pid"] = self._application.pid_of(pkt.data["sid"])
        await super()._send_packet(eio_sid, pkt)

    async def _handle_event(self, eio_sid: str, namespace: str, id: int | None, data: Any) -> None:
        sid = self.manager.sid_from_eio_sid(eio_sid, namespace)
        if not self.manager.is_connected(sid, namespace):
            return  # there is no client to answer: it never entered the namespace, or has left it
        try:
            if not (isinstance(data, list) and data and isinstance(data[0], str)):
                raise BadEvent("an event is a list that begins with its name")
            events = self._application.events
            handler = events.get(data[0])
            if handler is None:
                raise BadEvent("there is no such event; there are " + ", ".join(events))
            reply = await handler(sid, data[1] if len(data) > 1 else None)
        except CollabError as problem:
            await self._send_failure(eio_sid, id, problem)
            return
        except Exception as fault:
            await self._send_failure(eio_sid, id, _internal_error(fault, eio_sid))
            return
        if id is None:
            return
        if callable(reply):
            self._acknowledge_later(eio_sid, id, reply)
        else:
            await self._acknowledge(eio_sid, id, reply)

    def _acknowledge_later(self, eio_sid: str, id: int, reply: LaterReply) -> None:
        reply().add_done_callback(lambda done: self._acknowledge_when_done(eio_sid, id, done))

    def _acknowledge_when_done(self, eio_sid: str, id: int, done: asyncio.Future[Reply]) -> None:
        if done.cancelled() or eio_sid not in self.eio.sockets:
            return
        problem = done.exception()
        if problem is None:
            answer = self._acknowledge(eio_sid, id, done.result())
        else:
            if not isinstance(problem, CollabError):
                problem = _internal_error(problem, eio_sid)
            answer = self._send_failure(eio_sid, id, problem)
        self._send_soon(answer)

    def _send_soon(self, answer: Coroutine[Any, Any, None]) -> None:
        sending = asyncio.ensure_future(answer)
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)

    async def _acknowledge(self, eio_sid: str, id: int, reply: Reply) -> None:
        pong = self._application.acknowledging(self.manager.sid_from_eio_sid(eio_sid, "/"))
        socket = self.eio.sockets.get(eio_sid)
        if pong is not None and socket is not None:
            await socket.send_render(lambda: [socket.ping_packet(pong)])
        await self._send_packet(eio_sid, packet.Packet(packet.ACK, data=[reply], id=id))

    async def _send_failure(self, eio_sid: str, id: int | None, problem: CollabError) -> None:
        if socket := self.eio.sockets.get(eio_sid):
            await self.eio.send_error(socket, problem)
        if id is not None:
            await self._acknowledge(eio_sid, id, {"ok": False, "error": problem.payload()})


def _may_connect(admission: Admission, origin: str | None, environ: dict[str, Any]) -> bool:
    request = environ["aiohttp.request"]
    sockname, host = request.get_extra_info("sockname"), request.headers.get("Host", "")
    return admission.origins.allow(origin, sockname, host)


def _event_id(digits: str) -> int | None:
    return int(digits) if digits else None


def _event_data(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise BadEvent("that is not a Socket.IO packet") from None


def _encode_error(problem: CollabError) -> str:
    return encode_event("error", problem.payload())


def _encode_refusal(problem: CollabError) -> str:
    """Return an encoded CONNECT_ERROR, with which clients make a ``connect_error``."""
    refusal = {"message": str(problem), "data": problem.payload()}
    return eio.message(f"{packet.CONNECT_ERROR}" + orjson.dumps(refusal).decode())


def _internal_error(fault: BaseException, sid: str) -> CollabError:
    """Log an error of this service; return the error for the client, which has no details."""
    log.error("event failed", exc_info=fault, extra={"sid": sid})
    return CollabError("the server made a mistake")


def encode_event(event: str, argument: Any) -> str:
    """Return an event of the default namespace as an encoded Engine.IO packet."""
    return "42" + orjson.dumps([event, argument]).decode()
