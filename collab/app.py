"""The wiring: the one module that knows everybody."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
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
from collab.store.questions import Questions
from collab.store.store import Store
from collab.store.subscriber import Subscriber
from collab.yjs.door import PATH as YJS_PATH
from collab.yjs.door import YjsDoor

log = logging.getLogger(__name__)

Drain = Callable[[], Awaitable[None]]
DRAIN: web.AppKey[Drain] = web.AppKey("drain")
"""What moves an application's clients off; it does nothing before the start, or twice."""
KEEPALIVE = 75.0
"""Seconds that an idle connection is kept: longer than nginx keeps it (30 s), so that no request
meets a closing one."""
LAST_REQUESTS = 5.0
"""Seconds that requests which are under way have when all clients are moved off."""
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
    app[DRAIN] = node.drain
    app.on_shutdown.append(lambda app: app[DRAIN]())  # where whoever runs it has not done so before
    return app


class NodeRunner(web.AppRunner):
    """Runs a node; at its end its clients are moved off first, while it still listens."""

    def __init__(self, config: Config) -> None:
        super().__init__(
            create_app(config),
            access_log=None,
            keepalive_timeout=KEEPALIVE,
            shutdown_timeout=LAST_REQUESTS,
        )

    async def cleanup(self) -> None:
        """Move the clients off, then stop listening and end the application."""
        await self.app[DRAIN]()
        await super().cleanup()


async def node_runner() -> NodeRunner:
    """Return a node that the environment describes, as gunicorn's aiohttp worker wants it.

    Whoever opens the port then says that the node is ready (`collab.logs.say_ready`).
    """
    warn_of_unknown_variables(os.environ)
    return NodeRunner(Config.from_env(os.environ))


async def application() -> web.Application:
    """Return the service as adev wants it, which starts it again after each change of the code."""
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
        self._text: TextDoor | None = None
        self._yjs: YjsDoor | None = None
        page.add_routes(app)
        self._api = Api(config)
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
            questions = Questions(store, subscriber)
            await questions.open()
            stack.push_async_callback(questions.close)
            text = TextDoor(server, rooms, store, subscriber, questions, config, self.metrics)
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
            await text.returns.open()
            stack.push_async_callback(text.returns.close)
            self._api.open(store, questions, rooms)
            self._server, self._text, self._yjs = server, text, yjs
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

    async def drain(self) -> None:
        """Move the clients off, spread over half of the drain time, so that no node is stormed.

        The node listens on meanwhile: a polling client's next request may need a connection of its
        own. Each client has half of the drain time to say what it still has to say.
        """
        server, text, yjs = self._server, self._text, self._yjs
        if server is None or text is None or yjs is None or yjs.draining:
            return
        server.eio.draining = yjs.draining = True
        spread = self.config.drain_time / 2
        leaving = [partial(socket.move_off, spread) for socket in server.eio.sockets.values()]
        leaving += [partial(yjs.move_off, session, spread) for session in yjs.sessions]
        random.shuffle(leaving)
        log.info("draining", extra={"clients": len(leaving)})
        async with asyncio.TaskGroup() as group:
            for number, leave in enumerate(leaving):
                if number:
                    await asyncio.sleep(spread / len(leaving))
                group.create_task(leave())
        await text.returns.all_left()
