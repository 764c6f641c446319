"""What a number of rooms needs, computed from what one edit, connection and room costs.

Arithmetic only: `capacity.py` prints it, and `capacity_check.py` compares it with measurements.
"""

from dataclasses import dataclass, field
from functools import cached_property
from math import ceil, inf, isinf
from typing import Any

from loadtest.costs import Costs

SEGMENT, HEADERS = 1448, 90
"""Bytes of data in a full TCP segment of Ethernet, and of headers, preamble and gap around them.
Acknowledgements are not counted, and TLS is not either: the proxy in front ends it."""
WINDOW, MAX_WINDOW = 0.005, 0.02
"""Seconds in which a node gathers commits for one round trip to each Redis: so much for each of
them, and at most."""
KEPT_JOURNAL_BYTES, KEPT_TEXTS = 256 * 1024, 4
"""What the updates in a journal may have in any case, and how often its room's text."""
COMPACTED = 0.75
"""Of its greatest length, what a journal has on average that is compacted again and again: each
compaction halves it."""


def option(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class Demand:
    """What people do, and what the machines and the settings are. The fields are the options."""

    rooms: int = option(1000, "rooms in which somebody is")
    members: float = option(2.0, "members of a room")
    active: float = option(0.1, "share of the rooms in which somebody types at a moment")
    rate: float = option(5.0, "changes a second of who types")
    size: int = option(2000, "bytes of a room's text")
    yjs: float = option(0.0, "share of the rooms whose members use Yjs")
    spanning: float = option(0.1, "share of the rooms that have members on two nodes")
    session: float = option(2700.0, "seconds that the members of a room stay")
    utilization: float = option(0.5, "share of a core, and of a link, that may be used")
    fill: float = option(0.75, "share of memory, and of connections, that may be used")
    node_memory: float = option(2.0, "GB of memory of a node")
    redis_memory: float = option(16.0, "GB of maxmemory of a Redis master")
    link: float = option(1000.0, "Mbit/s of the link of a node or a master, each way")
    max_connections: int = option(10_000, "COLLAB_MAX_CONNECTIONS")
    room_ttl: float = option(1800.0, "COLLAB_ROOM_TTL")
    room_grace: float = option(120.0, "COLLAB_ROOM_GRACE")
    max_journal_entries: int = option(2000, "COLLAB_MAX_JOURNAL_ENTRIES")
    max_journal_bytes: int = option(2_097_152, "COLLAB_MAX_JOURNAL_BYTES")
    check_interval: float = option(2.0, "COLLAB_CHECK_INTERVAL")
    presence_interval: float = option(8.0, "COLLAB_PRESENCE_INTERVAL")


@dataclass(frozen=True)
class Need:
    """What all nodes, or all masters, use of one resource, and what one of them has.

    ``used`` is beside what each needs for itself (``own``). ``share`` of what one has may be used.
    """

    resource: str
    used: float
    own: float
    one_has: float
    share: float

    @property
    def machines(self) -> float:
        """How many are needed; infinite if one can't even do with what it needs for itself."""
        left = self.share * self.one_has - self.own
        return self.used / left if left > 0 else inf

    def load(self, machines: int) -> float:
        """Return which part of what it has each of so many machines uses."""
        return (self.used / machines + self.own) / self.one_has


@dataclass(frozen=True)
class Plan:
    """What a demand needs: CPU in µs a second, memory in bytes, links in bytes a second.

    Of nodes it needs as many as it must have, unless their number is given.
    """

    demand: Demand
    costs: Costs
    given_nodes: int | None = None

    # What happens, a second

    @property
    def changes(self) -> float:
        return self.demand.rooms * self.demand.active * self.demand.rate

    @property
    def deliveries(self) -> float:
        return self.changes * (self.demand.members - 1)

    @property
    def connections(self) -> float:
        return self.demand.rooms * self.demand.members

    @property
    def held_rooms(self) -> float:
        """Rooms with members on nodes: one with members on two counts twice."""
        return self.demand.rooms * (1 + self.demand.spanning)

    @property
    def remote_changes(self) -> float:
        """Changes that are announced to another node."""
        return self.changes * self.demand.spanning

    @property
    def checks(self) -> float:
        return self.held_rooms / self.demand.check_interval

    @property
    def reports(self) -> float:
        return self.held_rooms / self.demand.presence_interval

    def left_rooms(self, seconds: float) -> float:
        """Return how many rooms everybody has left less than so many seconds ago."""
        return self.demand.rooms * seconds / self.demand.session

    # What that costs

    @property
    def nodes_cpu(self) -> float:
        """µs of CPU a second of all nodes, beside what each is awake for."""
        demand, costs = self.demand, self.costs
        text_changes = self.changes * (1 - demand.yjs)
        return (
            text_changes * (costs.text_change_us + costs.text_kb_us * demand.size / 1000)
            + self.changes * demand.yjs * costs.yjs_change_us
            + self.deliveries * costs.delivery_us
            + self.remote_changes * costs.remote_us
            + self.checks * costs.check_us
            + self.reports * costs.report_us
            + self.connections * costs.connection_us
            + self.connections / demand.session * costs.arrival_us
        )

    @property
    def nodes_memory(self) -> float:
        """Bytes of all nodes, beside what the process has."""
        edits, left = self.edits_of_a_room, self.left_rooms(self.demand.room_grace)
        return self.memory_of_open_rooms(edits / 2) + left * self.node_room(edits)

    def memory_of_open_rooms(self, edits: float) -> float:
        """Return the bytes of all nodes for rooms of so many edits, and for their members."""
        members = self.connections * self.costs.connection_bytes
        return members + self.held_rooms * self.node_room(edits)

    def node_room(self, edits: float) -> float:
        """Return the bytes of a room on a node after so many edits."""
        costs = self.costs
        return (
            costs.room_bytes + costs.room_text_bytes * self.demand.size + costs.edit_bytes * edits
        )

    @property
    def edits_of_a_room(self) -> float:
        """Edits of a room in all its life."""
        return self.demand.session * self.demand.active * self.demand.rate

    def redis_room(self, edits: float) -> float:
        """Return the bytes of a room in Redis after so many edits, each committed alone."""
        demand, costs = self.demand, self.costs
        kept = min(demand.max_journal_bytes, max(KEPT_JOURNAL_BYTES, KEPT_TEXTS * demand.size))
        most = min(demand.max_journal_entries, kept / costs.update_bytes)
        entries = edits if edits <= most else COMPACTED * most
        # The text stands in the snapshot and in the first entry, or in the base later.
        return (
            costs.redis_room_bytes
            + costs.redis_text_bytes * demand.size
            + costs.redis_entry_bytes * entries
        )

    @property
    def redis_memory(self) -> float:
        """Bytes of all masters: rooms at half of their life, and those that nobody is in."""
        demand, edits = self.demand, self.edits_of_a_room
        return demand.rooms * self.redis_room(edits / 2) + self.left_rooms(
            demand.room_ttl
        ) * self.redis_room(edits)

    def commits_together(self, masters: int) -> float:
        """Return how many commits share a round trip from one node to one master."""
        window = max(WINDOW, min(WINDOW * masters, MAX_WINDOW))
        return 1 + window * self.changes / (self.nodes * masters)

    def redis_load(self, masters: int) -> float:
        """Return which part of its core each of so many masters uses.

        Redis wakes up for a round trip unless it is awake for another one. So while it is busy, a
        commit costs what its script costs; while it is idle, up to three times as much.
        """
        costs = self.costs
        work = (
            self.changes * self.script_us
            + self.remote_changes * costs.redis_announcement_us
            + self.checks * costs.redis_check_us
            + self.reports * costs.redis_report_us
        )
        waking = self.changes / self.commits_together(masters) * costs.redis_round_trip_us
        work, waking = 1e-6 * work / masters, 1e-6 * waking / masters
        return (work + waking) / (1 + waking)  # the load at which load = work + (1 - load) * waking

    @property
    def script_us(self) -> float:
        """Redis' µs for a commit, without its round trip."""
        return self.costs.redis_commit_us + self.costs.redis_kb_us * self.demand.size / 1000

    @property
    def clients_link(self) -> tuple[float, float]:
        """Bytes a second from all clients to the nodes, and to the clients."""
        demand, costs = self.demand, self.costs
        event = costs.event_bytes + costs.escaped_bytes * demand.size
        sent = (1 - demand.yjs) * event + demand.yjs * costs.yjs_frame_bytes
        answers = self.deliveries * (1 - demand.yjs) * costs.marks_bytes
        return self.changes * sent + answers, self.deliveries * sent + answers

    @property
    def redis_link(self) -> tuple[float, float]:
        """Bytes a second from all nodes to Redis, and from Redis."""
        demand, costs = self.demand, self.costs
        return (
            self.changes * (costs.commit_bytes + demand.size)
            + self.checks * costs.check_bytes
            + self.reports * costs.announcement_bytes,
            self.changes * costs.commit_answer_bytes
            + self.remote_changes * costs.announcement_bytes
            + self.checks * costs.check_answer_bytes,
        )

    # What is needed for it

    @cached_property
    def node_needs(self) -> list[Need]:
        demand = self.demand
        wire = max(sum(pair) for pair in zip(self.clients_link, self.redis_link[::-1], strict=True))
        return [
            Need("CPU", self.nodes_cpu, self.costs.node_awake_us, 1e6, demand.utilization),
            Need("connections", self.connections, 0, demand.max_connections, demand.fill),
            Need(
                "memory", self.nodes_memory, self.costs.node_bytes,
                1e9 * demand.node_memory, demand.fill,
            ),
            Need("link", on_wire(wire), 0, 1e6 / 8 * demand.link, demand.utilization),
        ]  # fmt: skip

    @cached_property
    def nodes(self) -> int:
        return count(self.node_needs) if self.given_nodes is None else self.given_nodes

    def needs_of_masters(self, masters: int) -> list[Need]:
        demand = self.demand
        return [
            Need("CPU", masters * self.redis_load(masters), 0, 1, demand.utilization),
            Need("memory", self.redis_memory, 0, 1e9 * demand.redis_memory, demand.fill),
            Need(
                "link", on_wire(max(self.redis_link)), 0, 1e6 / 8 * demand.link, demand.utilization
            ),
        ]

    @cached_property
    def masters(self) -> int:
        """Of more masters each is less busy and gets fewer commits at once, so that a commit costs
        more. From one on, this finds the fewest that are enough."""
        masters = 1
        while (needed := count(self.needs_of_masters(masters))) > masters:
            masters = needed
        return masters

    @property
    def master_needs(self) -> list[Need]:
        return self.needs_of_masters(self.masters)

    @property
    def first_limit(self) -> tuple[str, float]:
        """What gives way first as the load grows, and which part of it is used now."""
        loads = [(f"{need.resource} of nodes", need.load(self.nodes)) for need in self.node_needs]
        loads += [
            (f"{need.resource} of Redis", need.load(self.masters)) for need in self.master_needs
        ]
        return max(loads, key=lambda load: load[1])

    @property
    def takeover(self) -> float:
        """Seconds of CPU of each other node if one is killed; infinite if it is the only one."""
        if self.nodes == 1:
            return inf
        return 1e-6 * self.connections / self.nodes / (self.nodes - 1) * self.costs.arrival_us


def count(needs: list[Need]) -> int:
    """Return how many machines are enough for all needs. Raises ValueError if none are."""
    most = max(needs, key=lambda need: need.machines)
    if isinf(most.machines):
        raise ValueError(f"one machine's {most.resource} is not enough for an empty node")
    return max(1, ceil(most.machines))


def on_wire(payload: float) -> float:
    """Return payload with the headers of full segments."""
    return payload * (1 + HEADERS / SEGMENT)
