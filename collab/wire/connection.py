"""One TCP connection to the node: what it sends is charged before it is parsed.

aiohttp makes a `RequestHandler` for each connection, which reads HTTP and passes on a WebSocket's
bytes. `Connection` is one with a `Meter`. A client over its budget is not read until it may go on:
what it sends then waits in its own socket. The module uses private attributes of aiohttp 3.14:
setup.cfg pins that minor version, and tests/unit/test_engine.py fails if they change.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections import deque
from collections.abc import Callable, Coroutine, Sized
from http import HTTPStatus
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from collab.addresses import UNKNOWN
from collab.budget import Meter
from collab.errors import BadRequest, CollabError, RateLimited, error_body, without_frames
from collab.scheduler import MAX_QUEUED

if TYPE_CHECKING:
    from collab.wire.listener import Listener

CONNECTION_COST: Final = 0.0001
"""Seconds charged for a new connection: accepting it takes so long."""
SMALL_READ: Final = 8192
"""Bytes up to which reads are charged together: that is as cheap as not to charge a PONG, or a
keystroke in a small text."""
LARGE_READ: Final = 64 * 1024
"""Bytes of one read after which more is to be expected: it is read in the client's turn."""
CROWDED_PAUSE: Final = 1.0
"""Seconds for which a client is not read whose messages wait while the node has too many."""
MAX_READ: Final = 256_000
"""Bytes of one read that uvloop makes at most; it would read again and again while more comes."""
COPY_COST: Final = 2e-9
"""Seconds charged for each byte besides its price: the system and the parser copy it."""
KERNEL_BUFFER: Final = 256 * 1024
"""Bytes of answers that the system may hold for one client that does not read; it would hold 4 MB,
which nobody counts."""


_NO_MESSAGES: Final[deque[Any]] = deque(maxlen=0)
"""The requests of a connection that will get none any more."""


class Detached(BaseException):
    """Ends aiohttp's handling of a request whose connection goes on: see `Connection.detach`.

    Handlers of errors let it pass, as it is no Exception.
    """


class Connection(RequestHandler):
    """One TCP connection; ``meter`` is that of its client."""

    __slots__ = (
        "_backlog", "_feed", "_first_timer", "_is_detached", "_is_detaching", "_is_paused",
        "_is_stopped", "_is_websocket", "_listener", "_next_beat", "_uncharged", "_write_timer",
        "meter", "new_parser", "on_writable", "unread", "waiting",
    )  # fmt: skip

    def __init__(self, listener: Listener, **options: Any) -> None:
        super().__init__(listener, **options)
        self._listener = listener
        self._uncharged = 0
        self.unread = 0
        """Bytes that were read, and not taken from the connection yet."""
        self.waiting: Sized = ()
        """The messages of a WebSocket that wait to be handled."""
        self._feed: Callable[[bytes], tuple[bool, bytes]] | None = None
        self._next_beat = 0.0
        self._backlog = 0
        self._is_paused = False
        self._is_stopped = False
        self._is_websocket = False
        self._is_detached = False
        self._is_detaching = False
        self._write_timer: asyncio.TimerHandle | None = None
        self.meter: Meter
        self.on_writable: Callable[[], None] | None = None
        """Called when the client has read enough that more may be written."""
        self.new_parser: Callable[[], Any] | None = None
        """Makes the parser of a WebSocket, in place of aiohttp's."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to charge the client's address; that of a proxy's clients is not known yet."""
        peer = transport.get_extra_info("peername")
        budgets = self._listener.budgets
        address = budgets.address_of(peer[0] if peer else None)
        if address == UNKNOWN:
            self.meter = budgets.open_proxy(self._let_go)
        else:
            self.meter = budgets.open(address, self._let_go, patience=inf)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER)
        super().connection_made(transport)
        budgets.scheduler.add(CONNECTION_COST)
        self.meter.charge(budgets.cost(CONNECTION_COST), budgets.clock())
        self._first_timer: asyncio.TimerHandle | None = self._loop.call_later(
            self._listener.connect_timeout, self._check_first_request
        )

    def connection_lost(self, exc: BaseException | None) -> None:
        """Hold nothing any more; a WebSocket's session closes its meter itself."""
        self._end_first_timer()
        if self._write_timer is not None:
            self._write_timer.cancel()
        self.take_read()
        self._set_backlog(0)
        if not self._is_websocket:
            self.meter.close()
        super().connection_lost(exc)
        # These are methods of the WebSocket and its parser, which refer to this.
        self._data_received_cb = self._feed = self.new_parser = None
        self.waiting = ()
        if self.on_writable is not None:
            self.on_writable()  # it finds that there is no transport any more
            self.on_writable = None

    def belongs_to(self, meter: Meter) -> None:
        """Charge ``meter`` from now on: the connection is the WebSocket of one session.

        A second call does nothing; aiohttp prepares a response again when its handler returns.
        """
        if meter is self.meter:
            return
        self.take_read()
        meter.replace(self.meter)
        self.meter = meter
        self._is_websocket = True

    def set_parser(self, parser: Any, data_received_cb: Callable[[], None] | None = None) -> None:
        """Let the bytes be those of a WebSocket; some may have come already."""
        if self.new_parser is not None:
            parser, self.new_parser = self.new_parser(), None
        super().set_parser(parser, data_received_cb)
        self._feed = parser.feed_data

    def stop_reading(self, end: Callable[[], None]) -> None:
        """Read nothing more, and drop the unfinished message; ``end`` is called at the end."""
        self._is_stopped = True
        self._payload_parser, self._feed = _Nothing(end), None
        self.take_read()
        self._pause_transport_reading()

    # The request of a WebSocket

    def detach(self, session: Coroutine[Any, Any, None]) -> None:
        """Run the session of a WebSocket, whose handler may then return; the connection goes on.

        Otherwise aiohttp would keep the request, its headers and a dozen coroutines as long as the
        WebSocket: 15 kB.
        """
        self._is_detached = True
        self._task_handler = self._loop.create_task(session)

    async def start(self) -> None:
        """Handle the requests of the connection, until it is closed or detached."""
        try:
            await super().start()
        except Detached as end:
            without_frames(end)  # they refer to the request
            self._end_first_timer()
            self._parser = None
            self._messages = _NO_MESSAGES
            self._cache.clear()

    def force_close(self) -> None:
        """Close the connection, unless aiohttp does so only because of `Detached`."""
        if self._is_detaching:
            self._is_detaching = False
        else:
            super().force_close()

    # Reading

    def data_received(self, data: bytes) -> None:
        """Charge what the client has sent, then parse it."""
        if self._is_stopped:
            return
        now, standstill = monotonic(), self._listener.standstill
        if now > standstill.late_at:
            standstill.hold_back(self, data)
            return
        self._uncharged += len(data)
        if self._uncharged >= SMALL_READ:
            self._charge_read()
        feed = self._feed
        if feed is None or self._close or self._force_close:
            super().data_received(data)
            if self._messages and isinstance(bad := self._messages[-1][0], _ErrInfo):
                without_frames(bad.exc)
            return
        if (on_data := self._data_received_cb) is not None and now >= self._next_beat:
            self._next_beat = now + self._listener.beat_interval
            on_data()
        if feed(data)[0]:  # as aiohttp does for the bytes of a WebSocket
            self.close()

    def _charge_read(self) -> None:
        size, self._uncharged = self._uncharged, 0
        meter = self.meter
        budgets = self._listener.budgets
        self.unread += size
        budgets.unread += size
        meter.hold(size)
        now = meter.budgets.clock()
        budgets.scheduler.add(size * COPY_COST)
        if wait := meter.spend(size, 0.0, now):
            self._pause(wait)
        elif size >= LARGE_READ or budgets.is_crowded:
            self._pause(0.0)

    def _check_first_request(self) -> None:
        """End a connection whose first request has not come in time: aiohttp would wait for ever.

        Between requests it waits for its keep-alive time.
        """
        if not self._request_count:
            seconds = f"{self._listener.connect_timeout:g} seconds"
            body = error_body(BadRequest.code, f"no whole request has come within {seconds}")
            self._answer_and_end(HTTPStatus.REQUEST_TIMEOUT, body)

    def _end_first_timer(self) -> None:
        if self._first_timer is not None:
            self._first_timer.cancel()
            self._first_timer = None

    def take_read(self) -> None:
        """Count as read what the client has sent: it has been taken from the connection."""
        if self.unread:
            self._listener.budgets.unread -= self.unread
            self.meter.hold(-self.unread)
            self.unread = 0

    async def finish_response(self, *arguments: Any) -> tuple[web.StreamResponse, bool]:
        """Send a response; the request and its body are no longer held then."""
        if self._is_detached:
            self._is_detaching = True
            raise Detached
        result = await super().finish_response(*arguments)
        if not self._messages:
            self.take_read()
        return result

    def _pause(self, seconds: float) -> None:
        """Read nothing for some seconds; with 0, until it is the client's turn."""
        if self._is_paused:
            return
        self._is_paused = True
        self._pause_transport_reading()
        if seconds:
            self._loop.call_later(seconds, self._go_on)
        else:
            budgets = self._listener.budgets
            expected = MAX_READ * COPY_COST
            used = self.meter.used_after(budgets.cost(expected), budgets.clock())
            turn = budgets.scheduler.turn(used, expected, queued=MAX_QUEUED)
            turn.add_done_callback(self._go_on)

    def _go_on(self, turn: asyncio.Future[None] | None = None) -> None:
        self._is_paused = False
        budgets = self._listener.budgets
        if wait := self.meter.wait(budgets.clock()):
            self._pause(wait)
        elif turn is not None and self.waiting and budgets.is_crowded:
            self._pause(CROWDED_PAUSE)
        elif not (self._reading_paused or self._buffer_paused):
            self._resume_transport_reading()

    def _resume_transport_reading(self) -> None:
        # aiohttp has reasons of its own to pause
        if not (self._is_paused or self._is_stopped or self._listener.standstill.holding):
            super()._resume_transport_reading()

    def stop_for_standstill(self) -> None:
        """Read nothing more until `go_on_after_standstill`."""
        self._pause_transport_reading()

    def go_on_after_standstill(self) -> None:
        """Read again when it is the client's turn: the sockets of all may be full."""
        if self.transport is not None:
            self._pause(0.0)

    # Writing

    def pause_writing(self) -> None:
        """Handle that the client reads too slowly: what waits for it is counted until it reads."""
        super().pause_writing()
        self._check_backlog()

    def resume_writing(self) -> None:
        """Handle that little waits for the client."""
        super().resume_writing()
        self._set_backlog(0)
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        if self.on_writable is not None:
            self.on_writable()

    def _check_backlog(self) -> None:
        """Drop a client that has read nothing for the whole write time-out."""
        if self.transport is None:
            return
        before, now = self._backlog, self.transport.get_write_buffer_size()
        if before and now >= before:
            self.transport.abort()
            return
        self._set_backlog(now)
        self._write_timer = self._loop.call_later(self._listener.write_timeout, self._check_backlog)

    def _set_backlog(self, size: int) -> None:
        self.meter.hold(size - self._backlog)
        self._backlog = size

    # The end

    def _let_go(self, problem: CollabError) -> None:
        self._loop.call_soon(self._refuse, problem)

    def _refuse(self, problem: CollabError) -> None:
        """End a connection that is no WebSocket, with a response if none has begun."""
        if self.transport is None:
            return
        request = self._current_request
        if request is None or not request.writer.output_size:
            limited = isinstance(problem, RateLimited)
            status = HTTPStatus.TOO_MANY_REQUESTS if limited else HTTPStatus.SERVICE_UNAVAILABLE
            self._answer_and_end(status, error_body(problem.code, str(problem)))
            if request is None and self._task_handler is not None:
                self._task_handler.cancel()  # it may read the rest of a request that was answered
        else:
            self.transport.abort()

    def _answer_and_end(self, status: HTTPStatus, error: dict[str, Any]) -> None:
        assert self.transport is not None
        body = json.dumps(error)
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\n"
        kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.transport.write((head + kind + body).encode())
        self.force_close()


class _Nothing:
    """Takes the place of a WebSocket's parser, with the unfinished message that it has."""

    def __init__(self, end: Callable[[], None]) -> None:
        self.feed_eof = end
