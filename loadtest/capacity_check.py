"""Whether real nodes and a real Redis use what `sizing` computes: measured, and compared."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from statistics import median
from typing import TypeVar

import redis
import uvloop

from loadtest.commits import commit, start_journals
from loadtest.costs import Costs
from loadtest.load import Load, Outcome, run_load
from loadtest.processes import (
    SERVICE,
    Cores,
    Meter,
    Redis,
    Server,
    Usage,
    pin,
    redis_server,
    relay,
    service,
    stop_on_sigterm,
)
from loadtest.sizing import Demand, Plan
from loadtest.wire import WebSocket

T = TypeVar("T")

TOLERANCE = {"CPU": 0.25, "memory": 0.15, "link": 0.1}
"""How far off a computed value may be. CPU time varies by a tenth from run to run."""
NOISY, ATTEMPTS = 0.2, 3
"""Of a core, what other processes may use before a point is measured again, and how often."""
RELAYS = 3
"""How often the relay is measured before each point: one measurement of it is off by a quarter."""
ROOMS = 300, 600
JOURNALS, EDITS, SIZE = 5000, 500, 2000
FOREVER = 1e9
"""Seconds that nobody leaves and nobody comes."""
NODES = 20
"""Connections of the commits, as of so many nodes that commit in one Redis."""


@dataclass(frozen=True)
class Comparison:
    """A value that was computed and measured: parts of a core, bytes, or bytes a second."""

    point: str
    what: str
    kind: str
    unit: str
    computed: float
    measured: float

    @property
    def off(self) -> float:
        return self.computed / self.measured - 1

    @property
    def close(self) -> bool:
        return abs(self.off) <= TOLERANCE[self.kind]

    def __str__(self) -> str:
        cells = (
            self.point, self.what, f"{self.computed:,.1f} {self.unit}",
            f"{self.measured:,.1f} {self.unit}", f"{self.off:+.0%}", "" if self.close else "OFF",
        )  # fmt: skip
        return f"| {' | '.join(cells)} |"


class LinkMeter(Meter):
    """A meter that also reads what has gone over the links: of the clients, and of Redis."""

    def __init__(self, servers: Sequence[Server], store: Redis) -> None:
        super().__init__(servers, store)
        self.redis = redis.Redis.from_url(store.url)
        self.links: list[tuple[int, int, int, int]] = []

    def read(self) -> Usage:
        stats = self.redis.info("stats")
        self.links.append(
            (
                WebSocket.bytes_sent, WebSocket.bytes_received,
                stats["total_net_input_bytes"], stats["total_net_output_bytes"],
            )
        )  # fmt: skip
        return super().read()

    def stored(self) -> int:
        return int(self.redis.info("memory")["used_memory"])


def quiet(measured: Iterator[T], outcome: Callable[[T], Outcome]) -> T:
    """Return the first measurement during which nothing else kept the machine busy, or the last."""
    for each in measured:
        share = outcome(each).usage.foreign_share
        if share <= NOISY:
            break
        print(f"NOISY: others used {share:.0%} of a core", flush=True)
    return each


def costs_here(cores: Cores) -> Costs:
    """Return what things cost on this machine in this minute: it may be slower than in the last."""
    relay_us = median(
        quiet(measure_relay(cores), lambda outcome: outcome).server_us for _ in range(RELAYS)
    )
    print(f"(the relay needs {relay_us:.0f} µs a change)", flush=True)
    return Costs.read().on_machine(relay_us)


def measure_relay(cores: Cores) -> Iterator[Outcome]:
    """Measure what the relay needs here, again and again."""
    for _ in range(ATTEMPTS):
        with relay(cores) as server:
            yield uvloop.run(run_load(Load(ROOMS[0]), [server.port], Meter([server])))


@dataclass(frozen=True)
class Reading:
    """What one node and its Redis used under a load: bytes of memory, and bytes a second."""

    outcome: Outcome
    resident: int
    stored: int
    links: list[float]

    @property
    def usage(self) -> Usage:
        return self.outcome.usage


def read_node(load: Load, cores: Cores, command: str) -> Iterator[Reading]:
    """Measure a load on one node, again and again."""
    for _ in range(ATTEMPTS):
        with redis_server(cores) as store, service(store, cores, command=command) as nodes:
            meter = LinkMeter(nodes, store)
            empty = meter.stored()
            outcome = uvloop.run(run_load(load, [nodes[0].port], meter))
            before, after = meter.links
            links = [(new - old) / outcome.usage.at for old, new in zip(before, after, strict=True)]
            reading = Reading(outcome, meter.resident(), meter.stored() - empty, links)
        yield reading


def check_node(load: Load, costs: Costs, cores: Cores, command: str) -> Iterator[Comparison]:
    """Compare what one node and its Redis use while somebody types in every room."""
    rooms = load.rooms
    edits = load.rate * (load.warm_up + load.seconds)
    demand = Demand(
        rooms, active=1.0, rate=load.rate, spanning=0.0, session=FOREVER,
        size=load.size + round(edits / 2),
    )  # fmt: skip
    plan = Plan(demand, costs, given_nodes=1)  # rooms for ever would need more for their memory
    reading = quiet(read_node(load, cores, command), attrgetter("outcome"))
    point, usage = f"{rooms} rooms, one node", reading.usage
    yield Comparison(
        point, "CPU of the node", "CPU", "% of a core",
        100 * plan.node_needs[0].load(1), 100 * sum(usage.servers) / usage.at,
    )  # fmt: skip
    yield Comparison(
        point, "CPU of Redis", "CPU", "% of a core",
        100 * plan.redis_load(1), 100 * usage.redis / usage.at,
    )  # fmt: skip
    yield Comparison(
        point, "memory of the node", "memory", "MB",
        1e-6 * (costs.node_bytes + plan.memory_of_open_rooms(edits)), 1e-6 * reading.resident,
    )  # fmt: skip
    yield Comparison(
        point, "memory of Redis", "memory", "MB",
        1e-6 * rooms * plan.redis_room(edits), 1e-6 * reading.stored,
    )  # fmt: skip
    names = "from clients", "to clients", "to Redis", "from Redis"
    computed = *plan.clients_link, *plan.redis_link
    for name, *rates in zip(names, computed, reading.links, strict=True):
        yield Comparison(point, name, "link", "Mbit/s", *(8e-6 * rate for rate in rates))


def check_redis(costs: Costs, cores: Cores) -> Iterator[Comparison]:
    """Compare what rooms of some edits take of a Redis, and how many commits a core of it does."""
    plan = Plan(Demand(JOURNALS, size=SIZE), costs)
    with redis_server(cores) as store, redis.Redis.from_url(store.url) as client:
        empty = int(client.info("memory")["used_memory"])
        journals = start_journals(store, JOURNALS, SIZE)
        for together, edits in (1, EDITS // 2), (8, EDITS - EDITS // 2):
            rate = uvloop.run(
                commit(store, journals, connections=NODES, together=together, edits=edits)
            )
            # The next commits wait already, so Redis never sleeps long: it is cheap to wake.
            yield Comparison(
                f"{together} in a round trip: {rate.of_a_core:,.0f} commits a core",
                "CPU of Redis", "CPU", "µs a commit", plan.script_us, rate.redis_us,
            )  # fmt: skip
        stored = int(client.info("memory")["used_memory"]) - empty
    yield Comparison(
        f"{JOURNALS:,} rooms, {EDITS} edits each", "memory of Redis", "memory", "MB",
        1e-6 * JOURNALS * plan.redis_room(EDITS), 1e-6 * stored,
    )  # fmt: skip


def check_all(cores: Cores, command: str) -> Iterator[Comparison]:
    """Compare all points, each with what things cost just before it."""
    for rooms in ROOMS:
        yield from check_node(Load(rooms), costs_here(cores), cores, command)
    yield from check_redis(costs_here(cores), cores)


def main(command: str = SERVICE) -> int:
    """Measure and compare; return 1 if something is further off than it may be."""
    stop_on_sigterm()
    cores = Cores.of_this_machine()
    pin(0, cores.others)
    print(f"{cores}; times are scaled by what the relay needs before each point\n")
    print(
        "| point | what | computed | measured | off | |", "| --- " * 6 + "|", sep="\n", flush=True
    )
    close = True
    for comparison in check_all(cores, command):
        print(comparison, flush=True)
        close &= comparison.close
    return 0 if close else 1
