"""The wiring: the only module that knows all parts of a node."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from aiohttp import web

from collab.access.grant import Verifier
from collab.access.hook import Authorize, HookVerifier
from collab.access.keys import keys_of
from collab.access.tokens import TokenVerifier
from collab.admission import Admission
from collab.budget import Budgets
from collab.config import Config
from collab.embedded import private_redis
from collab.errors import ConfigError
from collab.http.api import Api
from collab.http.edge import Edge
from collab.http.health import Health
from collab.http.page import Page
from collab.loop_lag import LoopLag
from collab.metrics import Metrics
from collab.rooms.registry import Rooms
from collab.setting_warnings import warn_of_unknown_variables
from collab.sio.endpoint import SocketIOEndpoint
from collab.sio.manager import RoomManager
from collab.store.questions import Questions
from collab.store.store import OVERSIZE, Store
from collab.store.subscriber import Subscriber
from collab.webhooks.webhooks import Webhooks
from collab.wire.heap import Heap
from collab.wire.listener import Listener
from collab.wire.standstill import Standstill
from collab.yjs.endpoint import PATH as YJS_PATH
from collab.yjs.endpoint import YjsEndpoint

if TYPE_CHECKING:
    from collab.tracing import Tracing

log = logging.getLogger(__name__)

Drain = Callable[[], Awaitable[None]]
DRAIN: web.AppKey[Drain] = web.AppKey("drain")
"""Moves an application's clients to other nodes; does nothing before the start or a second time."""
LISTEN: web.AppKey[Callable[[web.Server], web.Server]] = web.AppKey("listen")
"""Makes the server of a node, whose connections are charged, from aiohttp's."""
KEEPALIVE_TIMEOUT = 75.0
"""Seconds that an idle connection is kept: longer than nginx keeps it (30 s), so that nginx sends
no request on a connection that is being closed."""
LAST_REQUESTS_TIMEOUT = 5.0
"""Seconds for the running requests to end after all clients have been moved to other nodes."""
API_LINKS = 1
"""Connections to Redis for the HTTP API: a large answer there delays no commit."""
WEBHOOK_LINKS = 1
"""Connections to Redis for the webhooks, for the same reason."""
GC_THRESHOLDS = (10_000, 5, 1000)
"""A pass over the youngest objects takes 5-20 ms with these, one over those that survived five of
such passes up to 50. The defaults stop a node of some hundred clients for 70-90 ms every few
seconds. Nearly nothing is left to the collector: tests/cluster/test_garbage.py."""


def create_app(
    config: Config | None = None, *, authorize: Authorize | None = None
) -> web.Application:
    """Return the service as an aiohttp application; without ``config`` the environment is read.

    ``authorize`` decides who may enter, instead of the keys of tokens in the configuration
    (docs/access.md). The service starts with the application; if it can't, the start raises
    CollabError.
    """
    settings = config or Config.from_env(os.environ)
    verifier = _verifier(settings, authorize)
    metrics = Metrics(settings.node_id)
    budgets = Budgets(settings)
    budgets.on_freed = Heap().trim_soon
    _show_budgets(budgets, metrics)
    app = web.Application(middlewares=[Edge(settings, metrics, budgets).handle])
    standstill = Standstill()
    node = _Node(settings, app, verifier, metrics, budgets, standstill)
    app[LISTEN] = lambda server: Listener(server, budgets, settings, standstill)
    app.cleanup_ctx.append(node.run)
    app[DRAIN] = node.drain
    app.on_shutdown.append(lambda app: app[DRAIN]())  # if its runner has not done so before
    return app


def _show_budgets(budgets: Budgets, metrics: Metrics) -> None:
    """Let the metrics show what the clients use of the node."""
    metrics.held_bytes.set_function(lambda: budgets.held)
    metrics.held_max_bytes.set(budgets.max_held)
    metrics.over_budget.set_function(budgets.count_over)
    metrics.budget_seconds.read = lambda: budgets.node.used
    budgets.on_let_go = lambda code: metrics.let_go.labels(code).inc()


def _verifier(config: Config, authorize: Authorize | None) -> Verifier | None:
    """Return what verifies tokens; None if the service is open to all. Raises ConfigError."""
    if authorize is not None:
        if config.asks_for_tokens:
            raise ConfigError("tokens are verified with a key or by a hook, not by both")
        return HookVerifier(authorize, config.max_token_bytes)
    return TokenVerifier(config, keys_of(config)) if config.asks_for_tokens else None


def _tracing(config: Config) -> Tracing | None:
    """Return what traces changes, if that is asked for. Raises ConfigError without its packages."""
    if not config.traces:
        return None
    try:
        from collab.tracing import Tracing
    except ImportError as missing:
        raise ConfigError(
            "COLLAB_TRACES needs packages that are not installed"
            f" ({missing.name}): pip install 'collaboration-service[otel]'"
        ) from None
    return Tracing(config.node_id, config.traces)


class NodeRunner(web.AppRunner):
    """Runs a node; at the end it moves the clients to other nodes while it still listens."""

    def __init__(self, config: Config) -> None:
        super().__init__(
            create_app(config),
            access_log=None,
            keepalive_timeout=KEEPALIVE_TIMEOUT,
            shutdown_timeout=LAST_REQUESTS_TIMEOUT,
        )

    async def _make_server(self) -> web.Server:
        return self.app[LISTEN](await super()._make_server())

    async def cleanup(self) -> None:
        """Move the clients to other nodes, then stop listening and end the application."""
        await self.app[DRAIN]()
        await super().cleanup()


async def node_runner() -> NodeRunner:
    """Return a node that the environment describes, as gunicorn's aiohttp worker wants it.

    The server that opens the port then logs that the node is ready (`collab.logs.log_ready`).
    """
    warn_of_unknown_variables(os.environ)
    return NodeRunner(Config.from_env(os.environ))


async def application() -> web.Application:
    """Return the service for adev, which restarts it after each change of the code."""
    warn_of_unknown_variables(os.environ)
    return create_app()


class _Node:
    """One node: opens its parts in order, and closes them in reverse order."""

    def __init__(
        self,
        config: Config,
        app: web.Application,
        verifier: Verifier | None,
        metrics: Metrics,
        budgets: Budgets,
        standstill: Standstill,
    ) -> None:
        self._config = config
        self._verifier = verifier
        self._admission = admission = Admission(config, verifier, budgets)
        self._metrics = metrics
        self._standstill = standstill
        metrics.max_connections.set(config.max_connections)
        metrics.draining.set_function(lambda: admission.draining)
        Page(config.frame_ancestors).add_routes(app)
        self._api = Api(config, admission)
        self._api.add_routes(app)
        self._socket_io: SocketIOEndpoint | None = None

    async def run(self, app: web.Application) -> AsyncIterator[None]:
        """Open all parts; close them when the application ends.

        aiohttp accepts routes until all parts are open, but no sub-application.
        """
        config, metrics, admission = self._config, self._metrics, self._admission
        async with AsyncExitStack() as stack:
            if tracing := _tracing(config):
                stack.push_async_callback(tracing.close)
            url = config.redis_url or await stack.enter_async_context(private_redis())
            store = Store(url, config.node_id, config.redis_timeout, metrics, config.commit_window)
            stack.push_async_callback(store.close)
            store.max_reading = OVERSIZE * config.max_reading
            await store.open(config.redis_wait)
            subscriber = Subscriber(
                store.slots or store.pool, config.node_id, config.redis_timeout,
                admission.budgets.scheduler, sharded=store.sharded,
            )  # fmt: skip
            await subscriber.open()
            stack.push_async_callback(subscriber.close)
            metrics.pubsub_up.set_function(lambda: subscriber.is_up)
            if self._verifier is not None:
                await self._verifier.open()
                stack.push_async_callback(self._verifier.close)
            questions = Questions(store, subscriber)
            await questions.open()
            stack.push_async_callback(questions.close)
            await admission.rulings.open(store, subscriber, questions)
            stack.push_async_callback(admission.rulings.close)
            manager = RoomManager(url, store, subscriber)
            await manager.open()
            stack.push_async_callback(manager.close)
            rooms = Rooms(config, store, subscriber, metrics, manager.receive, tracing)
            if config.webhook_url:
                self._open_webhooks(stack, store, questions, rooms)
            rooms.open()
            stack.push_async_callback(rooms.close)
            socket_io = SocketIOEndpoint(
                config, metrics, admission, rooms, manager, store, subscriber, questions
            )
            await socket_io.open()
            stack.push_async_callback(socket_io.close)
            yjs = YjsEndpoint(config, metrics, admission, rooms)
            health = Health(config.node_id, store, subscriber, metrics, admission)
            api_store = store.with_own_links(API_LINKS)
            stack.push_async_callback(api_store.close)
            self._api.open(api_store, questions, rooms)
            health.add_routes(app)
            for method in ("GET", "POST", "OPTIONS"):
                app.router.add_route(method, "/socket.io/", socket_io.handle)
            app.router.add_get(YJS_PATH, yjs.handle)
            self._socket_io = socket_io
            self._standstill.open(socket_io.hear_claims)
            stack.push_async_callback(self._standstill.close)
            lag = LoopLag(metrics.loop_lag_seconds)
            lag.open()
            stack.callback(lag.close)
            gc.collect()
            gc.freeze()
            gc.set_threshold(*GC_THRESHOLDS)
            if self._verifier is None and not config.all_api_keys:
                # All who reach this node may read, change and end every room.
                keys = "COLLAB_AUTH_… for people, COLLAB_API_KEYS for programs: docs/access.md"
                log.warning("open to everybody", extra={"host": config.host, "closed_by": keys})
            redis = "given" if config.redis_url else "private"
            log.info("started", extra={"redis": redis, "origins": str(admission.origins)})
            yield
            log.info("stopped")

    def _open_webhooks(
        self, stack: AsyncExitStack, store: Store, questions: Questions, rooms: Rooms
    ) -> None:
        """Let a receiver learn of the rooms' lives; ``store`` is the one that begins and ends them.

        They are closed after the rooms, which may begin journals with their last commits.
        """
        own_store = store.with_own_links(WEBHOOK_LINKS)
        stack.push_async_callback(own_store.close)
        webhooks = Webhooks(self._config, own_store, questions, self._metrics, rooms.attended)
        webhooks.open()
        stack.push_async_callback(webhooks.close)
        store.life = webhooks

    async def drain(self) -> None:
        """Move the clients to other nodes, and wait until Redis has their state.

        The node goes on listening: a polling client's next request may need a new connection.
        """
        if self._socket_io is not None:
            await self._admission.drain()
            await self._socket_io.flush()
