"""Traces of changes with OpenTelemetry: a change, its commit, its delivery (docs/tracing.md).

The only module that knows OpenTelemetry, which is an extra. A node imports this module only if
traces are asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.environment_variables import OTEL_TRACES_SAMPLER
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from collab import __version__

MAX_UNCOMMITTED = 64
"""Changes of one room that wait for Redis and are in the trace of their commit; more are traced
without it. Redis may be away for long."""
CLOSE_TIMEOUT = 2.0
"""Seconds that a node which stops waits for the receiver of its last spans."""
PROPAGATOR = TraceContextTextMapPropagator()
TRACEPARENT = "traceparent"
"""The propagator's name for the text that stands for a span: W3C Trace Context."""


class Tracing:
    """Makes the spans of one node, and sends them in a thread of its own.

    ``node`` is the node's name. ``ratio`` is the part of all changes that is traced, 0 to 1. Where
    spans are sent and everything else is in the variables ``OTEL_…``, which OpenTelemetry itself
    reads; its own sampler, if one is set there, comes before ``ratio``.
    """

    def __init__(self, node: str, ratio: float) -> None:
        described = {"service.name": "collab", "service.instance.id": node}
        resource = Resource.create({**described, "service.version": __version__})
        self._provider = TracerProvider(
            sampler=None if OTEL_TRACES_SAMPLER in os.environ else ParentBasedTraceIdRatio(ratio),
            resource=resource.merge(OTELResourceDetector().detect()),
            shutdown_on_exit=False,  # it may take longer than a node has
        )
        # Its queue is bounded (OTEL_BSP_MAX_QUEUE_SIZE); spans beyond it are dropped.
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("collab", __version__)

    def room(self, name: str) -> RoomTraces:
        """Return what traces the changes of one room."""
        return RoomTraces(self._tracer, name)

    async def close(self) -> None:
        """Send the spans that wait, if the receiver takes them in time."""
        loop = asyncio.get_running_loop()
        sent = asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            with contextlib.suppress(RuntimeError):  # the loop has ended, because this took long
                loop.call_soon_threadsafe(sent.set)

        # A daemon, unlike the threads of the event loop: the process does not wait for it.
        threading.Thread(target=shut_down, daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await sent.wait()


class RoomTraces:
    """The spans of one room on one node.

    A commit may carry several changes: its span is a child of the first, and linked to the others.
    """

    def __init__(self, tracer: Tracer, room: str) -> None:
        self._tracer = tracer
        self._room = room
        self._uncommitted: list[SpanContext] = []
        self._commit: Span | None = None
        self._carried = 0

    def change(self, endpoint: str, size: int) -> Change | None:
        """Begin the span of a change of ``size`` bytes; None if this change is not traced."""
        span = self._begin("change", None, SpanKind.SERVER)
        if not span.is_recording():
            return None
        span.set_attributes({"collab.endpoint": endpoint, "collab.bytes": size})
        if len(self._uncommitted) < MAX_UNCOMMITTED:
            self._uncommitted.append(span.get_span_context())
        return Change(self, span)

    def begin_commit(self) -> str:
        """Begin the span of a commit, and return what stands for it in the commit's announcement.

        It carries all changes that Redis has not confirmed. If none of them is traced, there is no
        span, and the text is ''.
        """
        self.end_commit("unanswered")
        if not self._uncommitted:
            return ""
        first, *others = self._uncommitted
        parent = set_span_in_context(NonRecordingSpan(first))
        self._commit = self._begin("commit", parent, SpanKind.CLIENT, [Link(it) for it in others])
        self._carried = len(self._uncommitted)
        self._commit.set_attributes({"db.system.name": "redis", "collab.changes": self._carried})
        carrier: dict[str, str] = {}
        PROPAGATOR.inject(carrier, set_span_in_context(self._commit))
        return carrier.get(TRACEPARENT, "")

    def end_commit(self, outcome: str) -> None:
        """End the span of the commit, if there is one. ``outcome`` is Redis' word for it."""
        if self._commit is None:
            return
        self._commit.set_attribute("collab.outcome", outcome)
        if outcome == "ok":
            del self._uncommitted[: self._carried]
        self._commit.end()
        self._commit = None

    def delivery(self, commit: str) -> Delivery | None:
        """Begin the span of the delivery of another node's commit, by its announcement's text."""
        parent = PROPAGATOR.extract({TRACEPARENT: commit})
        if not get_current_span(parent).get_span_context().is_valid:
            return None
        return Delivery(self._begin("delivery", parent, SpanKind.CONSUMER))

    def deliver(self, change: Span, began: int, members: int) -> None:
        """Make the span of a delivery on this node, which ``began`` at that time and ends now."""
        parent = set_span_in_context(change)
        Delivery(self._begin("delivery", parent, SpanKind.INTERNAL, start=began)).end(
            members, "applied"
        )

    def forget(self, change: SpanContext) -> None:
        """Leave a change out of further commits: Redis has it, or will not get it."""
        with contextlib.suppress(ValueError):
            self._uncommitted.remove(change)

    def _begin(
        self,
        name: str,
        parent: Context | None,
        kind: SpanKind,
        links: list[Link] | None = None,
        start: int | None = None,
    ) -> Span:
        span = self._tracer.start_span(name, parent, kind, links=links, start_time=start)
        span.set_attribute("collab.room", self._room)
        return span


class Change:
    """The span of a change: it ends when Redis has the change."""

    def __init__(self, traces: RoomTraces, span: Span) -> None:
        self._traces = traces
        self._span = span
        self._began = time.time_ns()

    def delivered(self, members: int) -> None:
        """Record that ``members`` of this node have been sent the change, or will be soon."""
        self._traces.deliver(self._span, self._began, members)

    def end_with(self, stored: asyncio.Future[None]) -> None:
        """End the span when Redis has the change, or when that has failed."""
        stored.add_done_callback(self._end)

    def _end(self, stored: asyncio.Future[None]) -> None:
        self._traces.forget(self._span.get_span_context())
        if stored.cancelled() or stored.exception() is not None:
            self._span.set_status(StatusCode.ERROR, "not stored")
        self._span.end()


class Delivery:
    """The span of a delivery to the members of one node."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def end(self, members: int, outcome: str) -> None:
        """End the span: ``members`` have been sent the change, or will be soon.

        ``outcome`` is "applied", or "missed" if the node first has to read the journal.
        """
        self._span.set_attributes({"collab.members": members, "collab.outcome": outcome})
        self._span.end()
