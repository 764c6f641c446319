"""The wiring: the one module that knows everybody."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial

from aiohttp import web

from collab.config import Config, warn_of_unknown_variables
from collab.embedded import private_redis
from collab.http import page
from collab.http.api import Api
from collab.http.edge import Edge
from collab.http.health import Health
from collab.metrics import Metrics
from collab.rooms.policy import MayWrite, everybody
from collab.rooms.registry import Rooms
from collab.sio.door import TextDoor
from collab.sio.manager import RoomManager
from collab.sio.server import Server
from collab.store.store import Store
from collab.store.subscriber import Subscriber
from collab.yjs.door import PATH as YJS_PATH
from collab.yjs.door import YjsDoor

log = logging.getLogger(__name__)

GC_THRESHOLDS = (50_000, 50, 100)
"""The collector's defaults stop a node of some hundred clients for 70-90 ms every few seconds."""


def create_app(config: Config | None = None, *, may_write: MayWrite = everybody) -> web.Application:
    """Return the service as an aiohttp application; without ``config`` the environment is read.

    ``may_write`` says who may write. The service starts when the application does, and raises
    CollabError there if it can't.
    """
    settings = config or Config.from_env(os.environ)
    metrics = Metrics()
    app = web.Application(middlewares=[Edge(metrics).pass_on])
    node = _Node(settings, app, may_write, metrics)
    app.cleanup_ctx.append(node.run)
    app.on_shutdown.append(node.drain)
    return app


async def application() -> web.Application:
    """Return the service as gunicorn's aiohttp worker and adev want it.

    Whoever opens the port then says that the node is ready (`collab.logs.say_ready`).
    """
    warn_of_unknown_variables(os.environ)
    return create_app()


class _Node:
    """One node: its parts, in the order in which they are opened and, reversed, closed."""

    def __init__(
        self, config: Config, app: web.Application, may_write: MayWrite, metrics: Metrics
    ) -> None:
        self.config = config
        self.may_write = may_write
        self.metrics = metrics
        self._server: Server | None = None
        self._yjs: YjsDoor | None = None
        page.add_routes(app)
        self._api = Api(config, metrics)
        self._api.add_routes(app)
        # Routes can't be added once an application runs, and the parts need a running loop.
        self._health: Health | None = None
        app.router.add_get("/{probe:healthz|readyz|metrics}", self._probe)
        for method in ("GET", "POST", "OPTIONS"):
            app.router.add_route(method, "/socket.io/", self._socket_io)
        app.router.add_get(YJS_PATH, self._y_websocket)

    async def _probe(self, request: web.Request) -> web.Response:
        assert self._health is not None
        return await self._health.answer(request.match_info["probe"])

    async def _socket_io(self, request: web.Request) -> web.StreamResponse:
        assert self._server is not None
        response = await self._server.handle_request(request)
        assert isinstance(response, web.StreamResponse)
        return response

    async def _y_websocket(self, request: web.Request) -> web.StreamResponse:
        assert self._yjs is not None
        return await self._yjs.handle(request)

    async def run(self, app: web.Application) -> AsyncIterator[None]:
        """Open everything; after the application's end close everything."""
        config = self.config
        async with AsyncExitStack() as stack:
            url = config.redis_url or await stack.enter_async_context(private_redis())
            store = Store(url, config.node_id, config.redis_timeout, self.metrics)
            stack.push_async_callback(store.close)
            await store.open(config.redis_wait)
            subscriber = Subscriber(store.pool, config.node_id, config.redis_timeout)
            await subscriber.open()
            stack.push_async_callback(subscriber.close)
            rooms = Rooms(config, store, subscriber, self.metrics)
            manager = RoomManager(url, store, subscriber)
            server = Server(config=config, metrics=self.metrics, manager=manager)
            rooms.others = manager.hear
            text = TextDoor(server, rooms, config, self.metrics)
            text.may_write = self.may_write
            yjs = YjsDoor(
                rooms, config, self.metrics,
                may_write=self.may_write, crowded=lambda: len(server.eio.sockets),
            )  # fmt: skip
            server.eio.crowded = lambda: len(yjs.sessions)
            self._health = Health(
                config.node_id, store, subscriber, self.metrics, lambda: server.eio.draining
            )
            await manager.open()
            stack.push_async_callback(manager.close)
            rooms.open()
            stack.push_async_callback(rooms.close)
            stack.push_async_callback(server.shutdown)
            await stack.enter_async_context(self._api.open(store, subscriber, rooms))
            self._server, self._yjs = server, yjs
            gc.collect()
            gc.freeze()
            gc.set_threshold(*GC_THRESHOLDS)
            if not config.api_key and not config.on_loopback:
                log.warning(
                    "/api is open to all who reach this node: set COLLAB_API_KEY",
                    extra={"host": config.host},
                )
            log.info("started", extra={"redis": "given" if config.redis_url else "private"})
            yield
            log.info("stopped")

    async def drain(self, app: web.Application) -> None:
        """Move the clients off, spread over half of the drain time, so that no node is stormed."""
        server, yjs = self._server, self._yjs
        if server is None or yjs is None:
            return
        server.eio.draining = yjs.draining = True
        # Without a word of Engine.IO's: to many clients its CLOSE is the end, and only a transport
        # that ends is a reason to connect again.
        closing = [
            partial(socket.close, wait=False, abort=True) for socket in server.eio.sockets.values()
        ]
        closing += [partial(yjs.close, session) for session in yjs.sessions]
        random.shuffle(closing)
        log.info("draining", extra={"clients": len(closing)})
        pause = self.config.drain_time / 2 / max(1, len(closing))
        async with asyncio.TaskGroup() as group:
            for number, close in enumerate(closing):
                if number:
                    await asyncio.sleep(pause)
                group.create_task(close())
