"""``/healthz``: the process runs. ``/readyz``: it can serve. ``/metrics``: what it counts."""

from __future__ import annotations

import asyncio

from aiohttp import web

from collab.admission import Admission
from collab.errors import Draining, StoreUnavailable
from collab.metrics import Metrics
from collab.store.store import Store
from collab.store.subscriber import Subscriber

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Health:
    """Tells load balancers and people how this node is."""

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

    async def handle(self, request: web.Request) -> web.Response:
        """Handle a request to one of the three paths, by its name."""
        handlers = {"healthz": self.healthz, "readyz": self.readyz, "metrics": self.metrics}
        return await handlers[request.match_info["probe"]]()

    async def healthz(self) -> web.Response:
        """The event loop turns."""
        return web.json_response({"ok": True, "node": self._node})

    async def readyz(self) -> web.Response:
        """Redis takes writes, this node hears itself through pub/sub, and is not shutting down."""
        try:
            if self._admission.draining:
                raise Draining()
            await self._store.check_writable()
            await self._subscriber.probe(
                lambda channel, word: asyncio.ensure_future(self._store.publish(channel, word))
            )
        except (Draining, StoreUnavailable) as problem:
            body = {"ok": False, "node": self._node, "error": problem.payload()}
            return web.json_response(body, status=503)
        return web.json_response({"ok": True, "node": self._node})

    async def metrics(self) -> web.Response:
        """All counters, in Prometheus' format."""
        return web.Response(body=self._metrics.render(), headers={"Content-Type": METRICS_TYPE})
