"""The undocumented parts of python-engineio, python-socketio and aiohttp that are used here.

Each of these is overridden, called or set by collab.sio, collab.wire or collab.app. When one of
them changes, the code that uses it must be reviewed before setup.cfg may allow that version.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import engineio
import pytest
import socketio
from aiohttp import web
from aiohttp._websocket.reader import WebSocketDataQueue
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import WebSocketWriter
from aiohttp.web_protocol import RequestHandler
from engineio import payload
from engineio.async_socket import AsyncSocket
from socketio.async_manager import AsyncManager

from collab.sio.engine import new_sid


@pytest.mark.parametrize(
    ("owner", "method", "parameters"),
    [
        (AsyncSocket, "__init__", "server sid"),
        (AsyncSocket, "send", "pkt"),
        (AsyncSocket, "poll", ""),
        (AsyncSocket, "receive", "pkt"),
        (AsyncSocket, "schedule_ping", ""),
        (AsyncSocket, "check_ping_timeout", ""),
        (AsyncSocket, "handle_post_request", "environ"),
        (AsyncSocket, "handle_get_request", "environ"),
        (AsyncSocket, "close", "wait abort reason"),
        (AsyncSocket, "_upgrade_websocket", "environ"),
        (AsyncSocket, "_websocket_handler", "ws"),
        (engineio.AsyncServer, "handle_request", "args kwargs"),
        (engineio.AsyncServer, "_handle_connect", "environ transport jsonp_index"),
        (engineio.AsyncServer, "_trigger_event", "event args kwargs"),
        (engineio.AsyncServer, "_service_task", ""),
        (engineio.AsyncServer, "_upgrades", "sid transport"),
        (engineio.AsyncServer, "_ok", "packets headers jsonp_index"),
        (engineio.AsyncServer, "create_queue", "args kwargs"),
        (engineio.AsyncServer, "generate_id", ""),
        (engineio.AsyncServer, "_bad_request", "message"),
        (engineio.AsyncServer, "_log_error_once", "message message_key"),
        (socketio.AsyncServer, "_engineio_server_class", ""),
        (socketio.AsyncServer, "_handle_event", "eio_sid namespace id data"),
        (socketio.AsyncServer, "_handle_connect", "eio_sid namespace data"),
        (socketio.AsyncServer, "_handle_disconnect", "eio_sid namespace reason"),
        (socketio.AsyncServer, "_send_packet", "eio_sid pkt"),
        (socketio.AsyncRedisManager, "_publish", "data"),
        (socketio.AsyncRedisManager, "_listen", ""),
        (socketio.AsyncRedisManager, "_thread", ""),
        (BaseProtocol, "_pause_transport_reading", ""),
        (BaseProtocol, "_resume_transport_reading", ""),
        (BaseProtocol, "pause_writing", ""),
        (BaseProtocol, "resume_writing", ""),
        (RequestHandler, "connection_made", "transport"),
        (RequestHandler, "connection_lost", "exc"),
        (RequestHandler, "data_received", "data"),
        (RequestHandler, "start", ""),
        (RequestHandler, "finish_response", "request resp start_time"),
        (RequestHandler, "force_close", ""),
        (RequestHandler, "set_parser", "parser data_received_cb"),
        (WebSocketDataQueue, "feed_data", "data size"),
        (web.AppRunner, "_make_server", ""),
        (AsyncManager, "basic_enter_room", "sid namespace room eio_sid"),
        (AsyncManager, "basic_leave_room", "sid namespace room"),
        (AsyncManager, "basic_disconnect", "sid namespace kwargs"),
        (AsyncManager, "get_rooms", "sid namespace"),
        (AsyncManager, "get_participants", "namespace room"),
        (AsyncManager, "is_sid_room", "namespace room"),
    ],
)
def test_the_methods_we_override_or_call_have_the_form_we_know(
    owner: Any, method: str, parameters: str
) -> None:
    found = [
        name for name in inspect.signature(getattr(owner, method)).parameters if name != "self"
    ]
    assert " ".join(found) == parameters


def test_the_attributes_we_set_are_those_the_library_reads() -> None:
    socket = AsyncSocket(engineio.AsyncServer(async_mode="aiohttp"), "sid")
    for name in ("connected", "upgraded", "upgrading", "closing", "closed", "last_ping"):
        assert hasattr(socket, name)
    server = socketio.AsyncServer(async_mode="aiohttp")
    for name in ("manager_initialized", "environ", "reason", "eio"):
        assert hasattr(server, name)
    for name in ("sockets", "start_service_task", "service_task_handle", "max_http_buffer_size"):
        assert hasattr(server.eio, name)
    assert payload.Payload.max_decode_packets == 16  # why requests are not parsed by it


async def test_a_connection_has_the_attributes_that_are_read_and_set() -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response()

    server = web.Server(answer, max_headers=64)
    assert server.request_handler is answer and server._kwargs == {"max_headers": 64}
    protocol = RequestHandler(server, loop=server._loop)
    for name in (
        "_messages", "_payload_parser", "_current_request", "_task_handler", "_reading_paused",
        "_buffer_paused", "_request_count", "_data_received_cb", "_parser", "_cache", "_close",
        "_force_close",
    ):  # fmt: skip
        assert hasattr(protocol, name), name
    assert hasattr(web.WebSocketResponse(), "_reader")  # the queue that is read
    assert hasattr(web.WebSocketResponse(), "_parser")  # with the part of an unfinished message
    assert hasattr(web.WebSocketResponse(), "_req")  # of which transport and _protocol are read
    queue = WebSocketDataQueue(protocol, 1 << 16, loop=asyncio.get_running_loop())
    assert not queue._buffer, "the messages that were read"


def test_the_writer_of_a_websocket_has_the_form_we_know() -> None:
    assert web.WebSocketResponse.__annotations__["_writer"] == WebSocketWriter | None
    assert list(inspect.signature(WebSocketWriter).parameters)[:2] == ["protocol", "transport"]
    assert str(inspect.signature(WebSocketWriter.close)) == (
        "(self, code: int = 1000, message: bytes | str = b'') -> None"
    )


def test_a_sid_begins_with_a_usable_route_key() -> None:
    key = "0123456789abcdef0123456789abcdef"
    assert new_sid(key).startswith(key + ".") and new_sid(key) != new_sid(key)


@pytest.mark.parametrize("key", ["", "a.b", "a b", "é", "x" * 65, "a\r\nb"])
def test_an_unusable_route_key_is_ignored(key: str) -> None:
    assert "." not in new_sid(key)
