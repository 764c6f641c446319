"""The server that accepts connections: aiohttp's, with a `Connection` for each."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from collab.budget import Budgets
from collab.config import Config
from collab.errors import BadRequest, error_body
from collab.wire.connection import Connection
from collab.wire.standstill import Standstill

BEAT_INTERVAL: Final = 1.0
"""Seconds for which a client that has sent something need not show again that it is alive, unless
heartbeats are more frequent: the answer to one that came so soon would not count."""
BEATS: Final = 4
"""Times in one interval of heartbeats that a client may show that it is alive."""
MAX_HEADERS: Final = 64
"""Header lines of one request; browsers send about 20, and proxies add a few."""
CONTINUE: Final = "100-continue"
"""The only expectation that HTTP has (RFC 9110, section 10.1.1)."""


class Listener(web.Server):
    """aiohttp's server, whose connections have meters, and time limits of the configuration."""

    def __init__(
        self, server: web.Server, budgets: Budgets, config: Config, standstill: Standstill
    ) -> None:
        super().__init__(
            self._handle,
            request_factory=server.request_factory,
            loop=server._loop,
            **{**server._kwargs, "max_headers": MAX_HEADERS},
        )
        self._handler = server.request_handler
        self.budgets = budgets
        self.standstill = standstill
        standstill.connections = lambda: cast(list[Connection], self.connections)
        self.write_timeout = config.write_timeout
        self.connect_timeout = config.connect_timeout
        self.beat_interval = min(BEAT_INTERVAL, config.ping_interval / BEATS)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Handle a request, unless aiohttp would fail to answer what it expects.

        aiohttp quotes an unknown expectation, which may not be UTF-8, and fails to answer a client
        that has disconnected.
        """
        expected, transport = request.headers.get("Expect"), request.transport
        if expected is not None and (
            expected.lower() != CONTINUE or transport is None or transport.is_closing()
        ):
            body = error_body(BadRequest.code, f"the Expect header may only be {CONTINUE}")
            return web.json_response(body, status=HTTPStatus.EXPECTATION_FAILED)
        return await self._handler(request)

    def __call__(self) -> RequestHandler:
        """Return the handler of a new connection."""
        return Connection(self, loop=self._loop, **self._kwargs)
