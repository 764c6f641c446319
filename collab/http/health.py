"""``/healthz``: the process runs. ``/readyz``: the node can serve. ``/metrics``: its counters."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from collab.admission import Admission
from collab.errors import Draining, StoreUnavailable
from collab.metrics import Metrics
from collab.store.store import Store
from collab.store.subscriber import Subscriber

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Health:
    """The state of this node, for load balancers and people."""

    def __init__(
        self,
        node: str,
        store: Store,
        subscriber: Subscriber,
        metrics: Metrics,
        admission: Admission,
    ) -> None:
        self._node = node
        self._store = store
        self._subscriber = subscriber
        self._metrics = metrics
        self._admission = admission

    def add_routes(self, app: web.Application) -> None:
        """Serve the three paths."""
        app.router.add_get("/healthz", self.healthz)
        app.router.add_get("/readyz", self.readyz)
        app.router.add_get("/metrics", self.metrics)

    async def healthz(self, request: web.Request) -> web.Response:
        """Respond that the event loop runs."""
        return web.json_response({"ok": True, "node": self._node})

    async def readyz(self, request: web.Request) -> web.Response:
        """Respond whether the node can serve; 503 if not.

        It can if Redis accepts writes, pub/sub delivers messages, and the node is not draining. In
        a Redis Cluster each master must accept writes, and deliver messages.
        """
        try:
            if self._admission.draining:
                raise Draining()
            await self._store.check_writable()
            await self._subscriber.probe(
                lambda channel, word: asyncio.ensure_future(self._store.publish(channel, word)),
                self._store.places(),
            )
        except (Draining, StoreUnavailable) as problem:
            body = {"ok": False, "node": self._node, "error": problem.payload()}
            return web.json_response(body, status=503)
        return web.json_response({"ok": True, "node": self._node, **self._figures()})

    def _figures(self) -> dict[str, Any]:
        """Return what the node holds and how much memory Redis uses, for people."""
        usage = self._store.usage
        redis = {"used_bytes": usage.used, "max_bytes": usage.limit}
        return {**self._metrics.figures(), "redis": redis}

    async def metrics(self, request: web.Request) -> web.Response:
        """Return all counters, in Prometheus' text format."""
        return web.Response(body=self._metrics.render(), headers={"Content-Type": METRICS_TYPE})
