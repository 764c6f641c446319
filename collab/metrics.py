"""The metrics of a node, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, generate_latest

from collab.counters import Counter, Histogram


class Metrics:
    """The metrics of one node, in their own registry."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.connections = Gauge(
            "collab_connections", "Connections open now", ["door"], registry=registry
        )
        self.rooms = Gauge("collab_rooms", "Rooms this node holds now", registry=registry)
        self.members = Gauge("collab_members", "Members of rooms here now", registry=registry)
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
        self.errors = Counter("collab_errors", "Errors sent", registry, "code")
        self.announcements = Counter(
            "collab_announcements", "Room messages received through pub/sub", registry
        )
        self.commits = Counter("collab_commits", "Answers of Redis to commits", registry, "outcome")
        self.commit_seconds = Histogram(
            "collab_commit_seconds",
            "From the first edit of a commit to its acknowledgement",
            registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30),
        )
        self.redis_round_trips = Counter(
            "collab_redis_round_trips", "Pipelined round trips to Redis", registry
        )
        self.redis_commands = Counter(
            "collab_redis_commands", "Commands in those round trips", registry
        )
        self.redis_failures = Counter("collab_redis_failures", "Round trips that failed", registry)
        self.redis_used = Gauge(
            "collab_redis_used_bytes", "Memory that Redis uses; 0 if not known", registry=registry
        )
        self.redis_limit = Gauge(
            "collab_redis_max_bytes", "Redis' maxmemory; 0 if it has none", registry=registry
        )
        self.written = Counter(
            "collab_written_bytes", "Bytes of updates that clients have made", registry
        )
        ProcessCollector(registry=registry)
        self.held_bytes = Gauge(
            "collab_held_bytes", "Bytes that wait for clients, or of them, now", registry=registry
        )
        self.slowed = Counter("collab_slowed", "Events delayed by the rate limit", registry)

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


def _sum(gauge: Gauge) -> int:
    return round(sum(sample.value for metric in gauge.collect() for sample in metric.samples))
