"""A receiver of spans over OTLP/HTTP, for nodes that trace changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


class ReceivedSpan:
    """One span, with the id of the node that made it."""

    def __init__(self, node: str, span: Any) -> None:
        self.node = node
        self.name: str = span.name
        self.trace: bytes = span.trace_id
        self.id: bytes = span.span_id
        self.parent: bytes = span.parent_span_id
        self.links: list[bytes] = [link.span_id for link in span.links]
        self.failed = span.status.code == 2
        self.began: int = span.start_time_unix_nano
        self.took = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
        self.attributes = {
            each.key: getattr(each.value, each.value.WhichOneof("value"))
            for each in span.attributes
        }


class Receiver:
    """Keeps the spans that it gets. While it ``hangs``, it reads requests and answers none."""

    def __init__(self) -> None:
        self.spans: list[ReceivedSpan] = []
        self.bodies: list[bytes] = []
        self.hangs = False
        self.url = ""
        self._forever = asyncio.Event()

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.bodies.append(body)
        if self.hangs:
            await self._forever.wait()
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = {each.key: each.value.string_value for each in resource.resource.attributes}
            assert about["service.name"] == "collab" and about["service.version"]
            for scope in resource.scope_spans:
                node = about["service.instance.id"]
                self.spans += [ReceivedSpan(node, span) for span in scope.spans]
        answer = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type="application/x-protobuf")

    def trace_of(self, one: ReceivedSpan) -> list[ReceivedSpan]:
        """Return the spans of a span's trace so far, by name and node."""
        spans = [span for span in self.spans if span.trace == one.trace]
        return sorted(spans, key=lambda span: (span.name, span.node))

    def of(self, name: str, room: str) -> list[ReceivedSpan]:
        """Return the spans of that name so far that belong to a room."""
        return [
            span
            for span in self.spans
            if span.name == name and span.attributes["collab.room"] == room
        ]


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """Run a receiver on a loopback port."""
    receiving = Receiver()
    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/v1/traces", receiving.receive)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiving.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiving
    finally:
        await runner.cleanup()
