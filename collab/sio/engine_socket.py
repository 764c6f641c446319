"""One Engine.IO session: one reader, one writer, and a ledger of the PINGs without a PONG.

python-engineio's own socket starts two tasks for each message, keeps an unbounded queue, and does
not report when a packet is written. Here the writer reads from an Outbox, and all PINGs, heartbeats
and marks alike, are entered into one ledger when they are written, so that each PONG can be matched
to its PING. The methods overridden here are private in python-engineio 4.15: setup.cfg pins that
minor version, and tests/unit/test_engine.py fails if they change.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from aiohttp import WSCloseCode, web
from engineio import exceptions, packet
from engineio.async_socket import AsyncSocket

from collab.errors import BadEvent, CollabError, Draining
from collab.merge.pings import OnPong, Pings
from collab.sio import packets as eio
from collab.sio import polling
from collab.sio.leaving import Leaving
from collab.sio.upgrade import Upgrade
from collab.wire.frames import Message
from collab.wire.outbox import Outbox, OutboxFull, Render
from collab.wire.websocket import WebSocket

if TYPE_CHECKING:
    from collab.sio.engine import EngineServer

log = logging.getLogger(__name__)

PACKET_BYTES: Final = 512
"""Bytes for which a waiting packet counts, acknowledgements mostly; texts are made when sent."""
CHANGE: Final = re.compile('42([0-9]{0,9})(?=\\["change",)')
"""The beginning of a change, with the id of its acknowledgement, if there is one."""
LAST_POLL_TIMEOUT: Final = 1.0
"""Seconds after the end of a session in which the open poll takes what waits for the client."""


class EngineSocket(AsyncSocket):  # type: ignore[misc]  # python-engineio has no types
    """One Engine.IO session."""

    server: EngineServer
    connected: bool
    upgraded: bool
    closing: bool
    closed: bool
    last_ping: float | None

    def __init__(self, server: EngineServer, sid: str, address: str) -> None:
        super().__init__(server, sid)
        self.address = address
        self.meter = meter = server.admission.budgets.open(address, self.dismiss_soon)
        self.outbox: Outbox[Message] = Outbox(
            server.config.max_unsent_packets, hold=meter.hold, unit=PACKET_BYTES
        )
        self.is_posting = False
        self.dismissed: CollabError | None = None
        self.pings = Pings()
        self._ws: WebSocket | None = None
        self._dismissing: asyncio.Task[None] | None = None
        self._upgrade: Upgrade | None = None
        self._handling = False
        self._leaving: Leaving | None = None

    # Marks

    def ping_packet(self, pong: OnPong) -> str:
        """Return a PING to be written now; ``pong`` is called when the client has answered it."""
        self.pings.add(pong)
        return eio.PING_PACKET

    def ping_soon(self, pong: OnPong) -> None:
        """Let a PING be written behind what waits; ``pong`` is called when it is answered."""
        self.outbox.put_slot("ping", lambda: [self.ping_packet(pong)])

    # Heartbeats

    def schedule_ping(self) -> None:
        """Send the next heartbeat after one interval."""
        self.last_ping = None
        if not self.closing:
            self.server.heartbeats.schedule(self)

    def send_heartbeat(self) -> None:
        """Send a heartbeat, unless the session has ended."""
        if not (self.closing or self.closed):
            self.last_ping = time.time()
            self.outbox.put_slot("heartbeat", self._render_heartbeat)

    def _render_heartbeat(self) -> list[Message]:
        self.pings.add(None)
        return [eio.PING_PACKET]

    async def check_ping_timeout(self) -> bool:
        """Close the session if the client has sent nothing for too long after a heartbeat."""
        if self.closed:
            raise exceptions.SocketIsClosedError()
        if self._handling or not self.last_ping:
            return True
        if time.time() - self.last_ping > self.server.ping_timeout:
            await self.end(self.server.reason.PING_TIMEOUT)
            return False
        return True

    # Sending

    async def send(self, pkt: packet.Packet) -> None:
        """Queue ``pkt``; a client with too many waiting packets is disconnected."""
        try:
            self.outbox.put(pkt.encode())
        except OutboxFull:
            await self._disconnect_slow_client()

    async def send_render(self, render: Render[Message]) -> None:
        """Queue the packets that ``render`` will make when they are sent, as `send` does."""
        try:
            self.outbox.put_render(render)
        except OutboxFull:
            await self._disconnect_slow_client()

    async def _disconnect_slow_client(self) -> None:
        log.warning("client reads too slowly", extra={"sid": self.sid})
        await self.end(self.server.reason.TRANSPORT_ERROR)

    async def poll(self) -> list[packet.Packet] | dict[str, Any]:
        """Return the packets for the response to a poll; wait until there is one.

        A client that is moved to another node gets a response with another status.
        """
        if self._upgrade is not None and not self._upgrade.settled.is_set() and not self.outbox:
            return [packet.Packet(packet.NOOP)]
        try:
            async with asyncio.timeout(self.server.ping_interval + self.server.ping_timeout):
                packets = await polling.next_answer(self.outbox)
        except TimeoutError:
            raise exceptions.QueueEmpty() from None
        if packets:
            return [eio.decode(each) for each in packets]
        if self._leaving is None:
            raise exceptions.SocketIsClosedError()
        await self._leaving.wait_for_last_post()
        return self.server.refusal(Draining(), HTTPStatus.GONE)

    async def _write(self, ws: WebSocket) -> None:
        await ws.write_outbox(self.outbox)
        if self._leaving is not None:
            await self._leaving.send_away(ws, self.ping_packet)
        elif self._dismissing is not None:
            await asyncio.wait([self._dismissing])
        else:
            await ws.close()

    # Receiving

    async def receive(self, pkt: packet.Packet) -> None:
        """Handle one packet. A packet of any type shows that the client is alive."""
        if self.closed:  # behind a CLOSE, in one polling request
            return
        if self.last_ping:
            self.schedule_ping()
        if pkt.packet_type == packet.MESSAGE:
            await self._handle_message(pkt.data)
        elif pkt.packet_type == packet.PONG:
            self.pings.handle_pong()
        elif pkt.packet_type == packet.UPGRADE:
            await self.send(packet.Packet(packet.NOOP))
        elif pkt.packet_type == packet.CLOSE and self._leaving is not None and not self.upgraded:
            self._leaving.end_soon()
        elif pkt.packet_type == packet.CLOSE:
            await self.end(self.server.reason.CLIENT_DISCONNECT)
        elif pkt.packet_type != packet.NOOP:
            raise exceptions.UnknownPacketError()

    async def _handle_message(self, message: str | bytes) -> None:
        """Handle a message. Meanwhile the node reads nothing, so the client can't time out."""
        self._handling = True
        try:
            await self.server.on_message(self, message)
        finally:
            self._handling = False
            if self.last_ping:
                self.schedule_ping()

    async def handle_post_request(self, environ: dict[str, Any]) -> None:
        """Handle the packets of a polling client's request, in order."""
        self.is_posting = True
        try:
            handled = await polling.handle_post(self, environ["wsgi.input"])
            if handled and self._leaving is not None:
                self._leaving.posted.set()
        finally:
            self.is_posting = False

    # The WebSocket

    async def _upgrade_websocket(self, environ: dict[str, Any]) -> web.StreamResponse:
        if self.upgraded:
            raise OSError("the session has its WebSocket already")
        self._ws = ws = self.server.new_websocket(self.meter)
        await ws.prepare(environ["aiohttp.request"])
        await ws.serve(self._websocket_handler(ws))
        return ws

    async def _websocket_handler(self, ws: WebSocket) -> None:
        if self.connected:
            if self._upgrade is None:
                self._upgrade = Upgrade(self.outbox)
            self.upgraded = await self._upgrade.complete(ws)
            if not self.upgraded:
                return
            self._upgrade = None
        else:
            self.connected = self.upgraded = True
        writer = asyncio.create_task(self._write(ws))
        try:
            await ws.read_messages(self._handle_raw, _is_change, self._handle_now)
        except exceptions.SocketIsClosedError:
            pass
        finally:
            self.outbox.close()
            await self.end(self.server.reason.TRANSPORT_CLOSE)
            if ws.closed or ws.close_code is not None:
                writer.cancel()
            await asyncio.wait([writer])
            self.outbox.clear()

    def _handle_now(self, message: str | bytes) -> bool:
        """Handle a PONG, or a change that need not wait; return False for any other packet."""
        if message == eio.PONG_PACKET:
            self.pings.handle_pong()
        elif not (isinstance(message, str) and self.server.on_change(self, message)):
            return False
        if self.last_ping:
            self.schedule_ping()
        return True

    async def _handle_raw(self, message: str | bytes) -> None:
        if eio.is_over(message, self.server.max_http_buffer_size):
            await self.server.send_error(self, self.server.message_too_large())
        else:
            try:
                await self.receive(eio.decode(message))
            except (exceptions.UnknownPacketError, ValueError):
                await self.server.send_error(self, BadEvent("that is not an Engine.IO packet"))
        if self.closed:
            raise exceptions.SocketIsClosedError()

    # The end

    async def move_off(self, patience: float) -> None:
        """Make the client connect to another node, within ``patience`` seconds.

        Waiting packets are sent, and everything that the client sends until it disconnects is
        handled. It gets no CLOSE packet of Engine.IO: many clients do not reconnect after one, but
        do when the transport ends.
        """
        try:
            async with asyncio.timeout(patience):
                if self._upgrade is not None:
                    await self._upgrade.settled.wait()
                if not self.closed:
                    self._leaving = Leaving()
                    self.outbox.close()
                    await self._leaving.over.wait()
        except TimeoutError:
            self._abort_transport()
        await self.end(self.server.reason.TRANSPORT_CLOSE)

    def dismiss_soon(self, problem: CollabError) -> None:
        """End the session because of ``problem``, which the client is told."""
        if self.dismissed is None:
            self.dismissed = problem
            last = self.server.last_words(self, problem)
            self._dismissing = asyncio.create_task(self._dismiss(problem, last))

    async def _dismiss(self, problem: CollabError, last: packet.Packet) -> None:
        log.warning("client let go", extra={"sid": self.sid, "reason": problem.code})
        self.outbox.end_with([last, eio.CLOSE_PACKET])
        await self.end(self.server.reason.SERVER_DISCONNECT)
        if self._ws is not None and self.upgraded:
            self.outbox.clear()
            await self._ws.dismiss([last], WSCloseCode.POLICY_VIOLATION, str(problem))

    async def end(self, reason: str) -> None:
        """End the session for one of the ``server.reason``s; this queues no CLOSE packet."""
        await self.close(wait=False, abort=True, reason=reason)

    async def close(
        self, wait: bool = True, abort: bool = False, reason: str | None = None
    ) -> None:
        """End the session: notify the application and then, unless ``abort``, the client."""
        if self.closed or self.closing:
            return
        self.closing = True
        self.server.heartbeats.discard(self)
        reasons = self.server.reason
        await self.server._trigger_event(
            "disconnect", self.sid, reason or reasons.SERVER_DISCONNECT, run_async=False
        )
        if not abort and not self.outbox.closed:
            self.outbox.put(eio.CLOSE_PACKET)
        self.outbox.close()
        self.pings.clear()  # they refer to members, which refer to this socket
        self.closed = True
        if self._leaving is not None:
            self._leaving.over.set()
        self.server.admission.discard(self)
        self.server.unconnected.discard(self)
        self.meter.close()
        self.server.sockets.pop(self.sid, None)  # later requests get 404
        if not self.upgraded:
            # What waits refers to this session: a cycle. A poll that is open takes it at once.
            asyncio.get_running_loop().call_later(LAST_POLL_TIMEOUT, self.outbox.clear)
        if reason in (reasons.PING_TIMEOUT, reasons.TRANSPORT_ERROR):
            self._abort_transport()  # the peer is gone, and the reader would wait for ever

    def _abort_transport(self) -> None:
        if self._ws is not None:
            self._ws.abort()


def _is_change(message: str | bytes) -> bool:
    """Whether a message is a ``change``, which needs no task until it waits."""
    return isinstance(message, str) and CHANGE.match(message) is not None
