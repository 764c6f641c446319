"""The metrics of a node, for Prometheus: docs/metrics.md explains each."""

from __future__ import annotations

import platform

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    GCCollector,
    ProcessCollector,
    generate_latest,
)

from collab import __version__
from collab.counters import Counter, Gauges, Histogram
from collab.errors import all_codes

COMMIT_BUCKETS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60,
)  # fmt: skip
"""Most commits take 2 to 10 ms; while Redis is away, as long as that lasts."""
DELIVERY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
"""A node that has little to do needs less than 0.5 ms; a saturated one, seconds."""
LAG_BUCKETS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
"""uvloop's timers are exact to 1 ms, so smaller buckets would show nothing."""

WEBHOOK_EVENTS = ("opened", "idle", "expiring", "ended")
"""The types of events, behind ``room.``."""


class Metrics:
    """The metrics of one node, in their own registry."""

    def __init__(self, node: str = "") -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        self._add_build_info(node)

        # Who is here, and what they do
        self.connections = self._gauge("connections", "Connections open now", "endpoint")
        self.max_connections = self._gauge("max_connections", "Connections that the node accepts")
        self.connects = Counter(
            "collab_connects", "Clients that have connected", registry, "endpoint", "kind"
        )
        _begin(self.connects, ("text", "new"), ("text", "restored"), ("text", "unknown"))
        _begin(self.connects, ("yjs", "new"))
        self.rooms = self._gauge("rooms", "Rooms this node holds now")
        self.members = self._gauge("members", "Members of rooms here now")
        self.draining = self._gauge("draining", "1 while the node moves its clients to others")
        self.changes = Counter(
            "collab_changes", "Changes accepted from clients of every endpoint", registry
        )
        self.guesses = Counter(
            "collab_guesses",
            "Changes that fit more than one view; the smallest edit was applied",
            registry,
        )
        self.late = Counter(
            "collab_late_changes",
            "Changes of a text that a receive had replaced, because the page renders late",
            registry,
        )
        self.receives = Counter("collab_receives", "Receives written", registry)
        self.updates = Counter("collab_updates", "Updates written to Yjs members", registry)
        self.delivery_seconds = Histogram(
            "collab_delivery_seconds",
            "From the arrival of an edit at this node to its write to a client",
            registry,
            DELIVERY_BUCKETS,
        )

        # What is refused
        self.errors = Counter("collab_errors", "Errors sent", registry, "code")
        _begin(self.errors, *((code,) for code in sorted(all_codes())))
        self.slowed = Counter("collab_slowed", "Events delayed by the rate limit", registry)
        self.let_go = Counter(
            "collab_let_go", "Clients disconnected for what they use", registry, "code"
        )
        _begin(self.let_go, ("rate_limited",), ("node_full",))
        self.over_budget = self._gauge(
            "over_budget_connections", "Connections that are over their own budget now"
        )
        self.budget_seconds = Counter(
            "collab_budget_seconds",
            "Budget of the node that clients have used; it gets one second of it each second",
            registry,
        )
        self.held_bytes = self._gauge("held_bytes", "Bytes that wait for clients, or of them, now")
        self.held_max_bytes = self._gauge(
            "held_max_bytes", "Held bytes above which clients are disconnected"
        )
        self.written = Counter(
            "collab_written_bytes", "Bytes of updates that clients have made", registry
        )
        self.http_requests = Counter(
            "collab_http_requests", "HTTP requests answered", registry, "route", "method", "status"
        )

        # Redis
        self.uncommitted = Gauges(
            {
                "collab_uncommitted_edits": "Edits made here that Redis has not confirmed",
                "collab_uncommitted_age_seconds": "How long the oldest room has waited for Redis",
            },
            registry,
        )
        self.commits = Counter("collab_commits", "Commits by outcome", registry, "outcome")
        _begin(self.commits, ("ok",), ("failed",))
        self.commit_seconds = Histogram(
            "collab_commit_seconds",
            "From the first edit of a commit to its acknowledgement",
            registry,
            COMMIT_BUCKETS,
        )
        self.announcements = Counter(
            "collab_announcements", "Room messages received through pub/sub", registry
        )
        self.pubsub_up = self._gauge(
            "pubsub_up", "1 if Redis has confirmed all subscriptions of the node"
        )
        self.redis_up = self._gauge("redis_up", "1 if Redis has answered the last question")
        self.redis_round_trips = Counter(
            "collab_redis_round_trips", "Pipelined round trips to Redis", registry
        )
        self.redis_commands = Counter(
            "collab_redis_commands", "Commands in those round trips", registry
        )
        self.redis_failures = Counter("collab_redis_failures", "Round trips that failed", registry)
        self.unreadable_rooms = self._gauge(
            "unreadable_rooms", "Rooms whose keys in Redis this node could not read lately"
        )
        self.redis_used = self._gauge("redis_used_bytes", "Memory that Redis uses; 0 if not known")
        self.redis_limit = self._gauge("redis_max_bytes", "Redis' maxmemory; 0 if it has none")

        # Webhooks
        self.webhook_events = Counter(
            "collab_webhook_events", "Events of rooms that this node has made", registry, "type"
        )
        _begin(self.webhook_events, *((f"room.{kind}",) for kind in WEBHOOK_EVENTS))
        self.webhook_attempts = Counter(
            "collab_webhook_attempts", "Attempts to deliver a webhook", registry, "outcome"
        )
        _begin(self.webhook_attempts, ("delivered",), ("refused",), ("failed",))
        self.webhook_died = Counter(
            "collab_webhook_died", "Webhooks moved to the dead-letter list", registry
        )
        self.webhook_dropped = Counter(
            "collab_webhook_dropped", "Webhooks dropped from the full dead-letter list", registry
        )
        self.webhook_held_back = Counter(
            "collab_webhook_held_back", "Times an event waited because too many do", registry
        )
        self.webhook_backlog = Gauges(
            {
                "collab_webhook_waiting": "Webhooks of the cluster that wait to be delivered",
                "collab_webhook_oldest_age_seconds": "How long the oldest of them has waited",
                "collab_webhook_dead": "Webhooks in the cluster's dead-letter list",
            },
            registry,
        )

        # The process
        self.loop_lag_seconds = Histogram(
            "collab_loop_lag_seconds", "How late a timer is, four times a second", registry,
            LAG_BUCKETS,
        )  # fmt: skip

    def _gauge(self, name: str, help: str, *labels: str) -> Gauge:
        return Gauge(f"collab_{name}", help, labels, registry=self.registry)

    def _add_build_info(self, node: str) -> None:
        labels = {"version": __version__, "python": platform.python_version(), "node": node}
        self._gauge("build_info", "1; the labels say what runs here", *labels).labels(**labels).set(
            1
        )

    def figures(self) -> dict[str, int]:
        """Return how many connections, rooms and members the node has now."""
        return {
            "connections": _sum(self.connections),
            "rooms": _sum(self.rooms),
            "members": _sum(self.members),
        }

    def render(self) -> bytes:
        """Return the text of ``/metrics``."""
        return generate_latest(self.registry)


def _begin(counter: Counter, *values: tuple[str, ...]) -> None:
    """Let a counter show 0 for some labels: Prometheus misses a rise from nothing."""
    for each in values:
        counter.labels(*each)


def _sum(gauge: Gauge) -> int:
    return round(sum(sample.value for metric in gauge.collect() for sample in metric.samples))
