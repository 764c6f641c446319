"""The WebSocket of one client, as every endpoint uses it.

Everything that the service needs of aiohttp's WebSocket beyond its documentation is in this module:
how messages are read and written, and how a connection ends. The module uses private attributes of
aiohttp 3.14: setup.cfg pins that minor version, and tests/unit/test_engine.py fails if they change.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeVar, cast

from aiohttp import WebSocketError, WSCloseCode, WSMsgType, web
from aiohttp._websocket.reader import WebSocketReader
from aiohttp.abc import AbstractStreamWriter

from collab.budget import Meter
from collab.wire.connection import Connection
from collab.wire.cork import Cork
from collab.wire.direct import DirectQueue, taking
from collab.wire.flushing import Flushing
from collab.wire.frames import Message
from collab.wire.handling import Begun, Handling
from collab.wire.outbox import Outbox

log = logging.getLogger(__name__)

M = TypeVar("M", bound=Message)

RESTART: Final = 1012
"""Close code of a node that shuts down: clients connect again."""
MAX_QUEUED_BYTES: Final = 1 << 16
"""Half of the bytes of messages that may be queued before the connection is not read any more."""
MAX_REASON_BYTES: Final = 120
"""Bytes of the reason in a Close frame; the protocol allows 123."""
LAST_WORDS_TIMEOUT: Final = 1.0
"""Seconds that a client has to read why it is let go."""
VIOLATIONS: Final = frozenset(
    (WSCloseCode.PROTOCOL_ERROR, WSCloseCode.INVALID_TEXT, WSCloseCode.MESSAGE_TOO_BIG)
)
"""Close codes with which aiohttp itself ends a connection whose client breaks the protocol."""


class Farewell(NamedTuple):
    """What a client is sent before its connection is closed for a violation of the protocol."""

    messages: Sequence[Message] = ()
    """Sent before the Close frame."""
    reason: str = ""
    """The reason in the Close frame."""


class Closed(Exception):
    """The connection has ended, with the close code ``code``."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class _Origin:
    """What a WebSocket still needs of its request: the connection."""

    __slots__ = ("_protocol",)

    def __init__(self, connection: Connection) -> None:
        self._protocol = connection

    @property
    def transport(self) -> asyncio.Transport | None:
        return self._protocol.transport


class WebSocket(web.WebSocketResponse):
    """One WebSocket: messages in, messages out, and five ways to end.

    A message of more than ``max_message_bytes`` ends the connection (close code 1009). Before the
    connection is closed for this or another of `VIOLATIONS`, ``farewell`` is called with the code,
    if its result can be sent. The client has ``close_timeout`` seconds to answer a Close frame.
    ``heartbeat`` is the time between two PING frames, and the time in which the client must answer
    one, in seconds. ``meter`` is that of the client, which is charged for all that it sends.
    """

    # With more than 30 attributes in it, the dict of an object takes 1.6 kB instead of 0.3.
    __slots__ = (
        "_close_timeout", "_connection", "_cork", "_drain", "_farewell", "_handling", "_meter",
        "_queue", "_request",
    )  # fmt: skip

    def __init__(
        self,
        *,
        max_message_bytes: int,
        farewell: Callable[[int], Farewell],
        close_timeout: float,
        heartbeat: tuple[float, float] | None = None,
        deflate: bool = False,
        meter: Meter | None = None,
    ) -> None:
        super().__init__(
            max_msg_size=max_message_bytes,
            timeout=close_timeout,
            autoping=False,
            heartbeat=None if heartbeat is None else heartbeat[0],
            compress=deflate,
        )
        if heartbeat is not None:
            self._pong_heartbeat = heartbeat[1]  # aiohttp would wait for half an interval
        self._farewell = farewell
        self._close_timeout = close_timeout
        self._request: web.BaseRequest | None = None
        self._connection: Connection | None = None
        self._meter = meter
        self._handling = Handling(meter) if meter is not None else None
        self._queue: DirectQueue | None = None

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Answer the handshake; from then on the connection can be read, written and ended."""
        self._request = request
        if self._meter is not None and isinstance(request.protocol, Connection):
            self._connection = request.protocol
            if self._queue is None:  # aiohttp prepares a response again when its handler returns
                self._connection.new_parser = self._new_parser
        stream = await super().prepare(request)
        assert self._writer is not None
        self._writer.transport = self._cork = Cork(self._writer.transport)
        self._drain = stream.drain
        if self._connection is not None and self._meter is not None:
            self._connection.belongs_to(self._meter)
        return stream

    def _new_parser(self) -> WebSocketReader:
        assert self._connection is not None and self._loop is not None
        self._reader = self._queue = DirectQueue(
            self._connection, MAX_QUEUED_BYTES, loop=self._loop
        )
        self._connection.waiting = self._queue._buffer
        self._parser = WebSocketReader(
            self._queue, self._max_msg_size, compress=bool(self._compress), decode_text=True
        )
        return self._parser

    async def serve(self, session: Coroutine[Any, Any, None]) -> None:
        """Let ``session`` use the WebSocket until it ends; that may be after this has returned.

        Call it at the end of a request's handler. The request is no longer kept then.
        """
        if self._connection is None:
            await session
            return
        self._request = self._req = cast(web.BaseRequest, _Origin(self._connection))
        self._headers.clear()
        self._connection.detach(self._serve(session))

    async def _serve(self, session: Coroutine[Any, Any, None]) -> None:
        try:
            await session
            await self.close()
        except OSError:
            log.debug("client disconnected")
        except Exception:  # a fault of the service: logged here, and the client sees an end
            log.exception("session failed")
            self.abort()
        finally:
            if (transport := self._transport) is not None:
                transport.close()

    @property
    def _exception(self) -> None:
        """Keep no error of the connection: its traceback refers to this object, which is a cycle.

        aiohttp keeps it for `exception`, which nothing here calls.
        """

    @_exception.setter
    def _exception(self, problem: BaseException | None) -> None:
        pass

    @property
    def is_open(self) -> bool:
        """Whether the connection can be written to; what is written then counts as sent."""
        transport = self._transport
        return not (self.closed or transport is None or transport.is_closing())

    @property
    def _transport(self) -> asyncio.Transport | None:
        return self._request.transport if self._request is not None else None

    # Messages

    @property
    def _queued(self) -> int:
        """How many messages of the client have been read, but not returned."""
        return len(self._reader._buffer) if self._reader is not None else 0

    async def read(self) -> Message:
        """Return the client's next message. Raises Closed when the connection has ended."""
        message = await self.receive()
        while message.type is WSMsgType.PING or message.type is WSMsgType.PONG:
            if message.type is WSMsgType.PING:
                with contextlib.suppress(OSError):  # a Close frame may have been sent already
                    await self.pong(message.data)
            if self._handling is not None:
                await self._handling.skip(self._queued)
            message = await self.receive()
        if message.type is WSMsgType.TEXT or message.type is WSMsgType.BINARY:
            if self._connection is not None:
                self._connection.take_read()
            data: Message = message.data
            return data
        if isinstance(message.data, WebSocketError):
            raise Closed(message.data.code)
        raise Closed(self.close_code or WSCloseCode.ABNORMAL_CLOSURE)

    async def read_messages(
        self,
        handle: Callable[[Message], Awaitable[None]],
        is_quick: Callable[[Message], bool] = lambda message: False,
        handle_now: Callable[[Message], bool] = lambda message: False,
    ) -> int:
        """Call ``handle`` with each message of the client, in order; return the close code.

        The next message is read when ``handle`` has returned, and when the client's budget allows
        it. Errors of ``handle`` are raised.

        A message need not wait for this task. ``handle_now`` is asked first: it handles a message
        without waiting, or returns False and has done nothing. It is called where the message
        arrives, or here if the message had to wait for its turn. ``handle`` begins where it arrives
        with a message that ``is_quick``, if it needs no task until its first wait.
        """

        async def handle_in_turn(message: Message) -> None:
            if not handle_now(message):
                await handle(message)

        handling, queue = self._handling, self._queue
        if handling is not None and queue is not None and self._connection is not None:
            queue.take = taking(queue, self._connection, handling, handle, is_quick, handle_now)
        try:
            while True:
                message = await self.read()
                if handling is None:
                    await handle_in_turn(message)
                elif isinstance(message, Begun):
                    await handling.finish(message)
                else:
                    work = handle_in_turn(message)
                    del message  # nothing keeps it until the next one
                    arrived = queue.arrived if queue is not None else 0.0
                    await handling.handle(work, self._queued, arrived)
                    del work
        except Closed as end:
            return end.code
        finally:
            if queue is not None:
                queue.take = None  # it refers to the queue

    async def send_messages(self, messages: Iterable[Message]) -> None:
        """Send messages in one write; return when the transport's buffer has room for more."""
        self._cork.hold()
        try:
            for message in messages:
                await self._send(message)
        finally:
            self._cork.release()
        # aiohttp waited for the client while the frames were still held back, so it is done here.
        await self._drain()

    async def write_outbox(
        self, outbox: Outbox[M], on_write: Callable[[M], None] | None = None
    ) -> None:
        """Send what waits in ``outbox`` until it is closed and empty, or the connection has ended.

        All messages of one `Outbox.pop` leave in one write. ``on_write`` is called with each.
        """
        try:  # as long as the connection: a context manager would be kept too
            if self._connection is None or self.compress:
                while await outbox.wait() and self.is_open:
                    messages = outbox.pop()
                    if on_write is not None:
                        for message in messages:
                            on_write(message)
                    await self.send_messages(messages)
            else:
                await Flushing(self, self._connection, outbox, on_write).run()
        except (OSError, RuntimeError):
            pass  # the reader sees this end too

    async def _send(self, message: Message) -> None:
        if isinstance(message, str):
            await self.send_str(message)
        else:
            await self.send_bytes(message)

    # Ends

    async def close(self, *, code: int = 1000, message: bytes = b"", drain: bool = True) -> bool:
        """Send a Close frame and wait for the client's; messages before that are discarded.

        aiohttp calls this method, with only a code, when a client violates the protocol.
        """
        if not message and code in VIOLATIONS and self.is_open:
            farewell = self._farewell(code)
            for last in farewell.messages:
                await self._send(last)
            message = _reason(farewell.reason)
        return await super().close(code=code, message=message, drain=drain)

    async def close_or_abort(self, code: int, reason: str) -> None:
        """Close the connection; abort it if that takes more than ``close_timeout`` seconds."""
        try:
            async with asyncio.timeout(self._close_timeout):
                await self.close(code=code, message=_reason(reason))
        except TimeoutError:
            self.abort()

    async def announce_close(self, code: int, reason: str) -> None:
        """Send a Close frame, and go on reading until the client answers with its own.

        aiohttp's `close` would discard all messages until then. Nothing can be sent afterwards.
        """
        if self._writer is not None and not self.closed:
            with contextlib.suppress(OSError):
                await self._writer.close(code, _reason(reason))

    async def dismiss(self, last: Iterable[Message], code: int, reason: str) -> None:
        """Send ``last`` and a Close frame, and end the connection soon after.

        Nothing more is read, and an unfinished message is dropped.
        """
        if self._connection is not None and self._reader is not None:
            self._connection.stop_reading(self._reader.feed_eof)
            self._parser = None
        with contextlib.suppress(OSError, RuntimeError, TimeoutError):
            async with asyncio.timeout(LAST_WORDS_TIMEOUT):
                for message in last:
                    await self._send(message)
                await self.announce_close(code, reason)
                await asyncio.sleep(LAST_WORDS_TIMEOUT)
        self.abort()

    def abort(self) -> None:
        """Drop the connection without a Close frame: a peer that is gone would not answer it."""
        if (transport := self._transport) is not None:
            transport.abort()


def _reason(reason: str) -> bytes:
    # Half a character at the end would make the frame invalid.
    return reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore").encode()
