"""The wiring: the one module that knows everybody."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from aiohttp import web

from collab.config import Config
from collab.embedded import private_redis
from collab.http import page
from collab.http.api import Api
from collab.http.health import Health
from collab.metrics import Metrics
from collab.rooms.registry import Rooms
from collab.sio.door import TextDoor
from collab.sio.manager import RoomManager
from collab.sio.server import Server
from collab.store.store import Store
from collab.store.subscriber import Subscriber

log = logging.getLogger(__name__)

GC_THRESHOLDS = (50_000, 50, 100)
"""The collector's defaults stop a node of some hundred clients for 70-90 ms every few seconds."""


def create_app(config: Config | None = None) -> web.Application:
    """Return the service as an aiohttp application; without ``config`` the environment is read.

    It starts when the application does and raises CollabError there if it can't.
    """
    settings = config or Config.from_env(os.environ)
    app = web.Application()
    node = _Node(settings, app)
    app.cleanup_ctx.append(node.run)
    app.on_shutdown.append(node.drain)
    return app


async def application() -> web.Application:
    """Return the service as gunicorn's aiohttp worker and adev want it."""
    return create_app()


class _Node:
    """One node: its parts, in the order in which they are opened and, reversed, closed."""

    def __init__(self, config: Config, app: web.Application) -> None:
        self.config = config
        self.metrics = Metrics()
        self._server: Server | None = None
        page.add_routes(app)
        self._api = Api(config, self.metrics)
        self._api.add_routes(app)
        # Routes can't be added once an application runs, and the parts need a running loop.
        self._health: Health | None = None
        app.router.add_get("/{probe:healthz|readyz|metrics}", self._probe)
        app.router.add_route("*", "/socket.io/", self._socket_io)

    async def _probe(self, request: web.Request) -> web.Response:
        assert self._health is not None
        return await self._health.answer(request.match_info["probe"])

    async def _socket_io(self, request: web.Request) -> web.StreamResponse:
        assert self._server is not None
        response = await self._server.handle_request(request)
        assert isinstance(response, web.StreamResponse)
        return response

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
            TextDoor(server, rooms, config, self.metrics)
            self._health = Health(
                config.node_id, store, subscriber, self.metrics, lambda: server.eio.draining
            )
            await manager.open()
            stack.push_async_callback(manager.close)
            rooms.open()
            stack.push_async_callback(rooms.close)
            stack.push_async_callback(server.shutdown)
            await stack.enter_async_context(self._api.open(store, subscriber, rooms))
            self._server = server
            gc.collect()
            gc.freeze()
            gc.set_threshold(*GC_THRESHOLDS)
            log.info(
                "ready",
                extra={
                    "node": config.node_id,
                    "url": f"http://{config.host}:{config.port}",
                    "redis": "given" if config.redis_url else "private",
                },
            )
            yield
            log.info("stopped", extra={"node": config.node_id})

    async def drain(self, app: web.Application) -> None:
        """Move the clients off, spread over half of the drain time, so that no node is stormed."""
        server = self._server
        if server is None:
            return
        server.eio.draining = True
        sockets = list(server.eio.sockets.values())
        random.shuffle(sockets)
        log.info("draining", extra={"clients": len(sockets)})
        pause = self.config.drain_time / 2 / max(1, len(sockets))
        for number, socket in enumerate(sockets):
            if number:
                await asyncio.sleep(pause)
            # Without a word of ours: to many clients an Engine.IO CLOSE is the end, and only a
            # transport that ends is a reason to connect again.
            await socket.close(wait=False, abort=True)
