"""What the cost of an edit depends on: `make curves` measures it and draws `docs/curves`."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from loadtest.ageing import age_rooms
from loadtest.bench import describe_machine, remarks, run
from loadtest.drawing import chart
from loadtest.load import Load, Outcome, connect_members, run_load, write_first_texts
from loadtest.members import Room
from loadtest.processes import (
    ROOT,
    SERVICE,
    Cores,
    Meter,
    pin,
    redis_server,
    service,
    stop_on_sigterm,
)

BRIEFLY = Load(100, warm_up=2.0, seconds=6.0)
FEW_ROOMS = replace(BRIEFLY, rooms=20)
"""For loads of which a core carries less: large texts, many members."""
# As many changes a second as BRIEFLY, in rooms of which each takes seconds to make.
FAST = replace(FEW_ROOMS, rate=25.0)


@dataclass(frozen=True)
class Point:
    """One load, and what is there beside it."""

    load: Load
    bystanders: int = 0
    idle_rooms: int = 0
    edits_before: int = 0

    def measure(self, cores: Cores, command: str) -> Outcome:
        with (
            redis_server(cores) as store,
            service(store, cores, nodes=1 + self.bystanders, command=command) as nodes,
        ):
            return run(self._run(nodes[0].port, Meter(nodes, store)))

    async def _run(self, port: int, meter: Meter) -> Outcome:
        idle = [Room(f"idle-{number}", self.load.size) for number in range(self.idle_rooms)]
        members = await connect_members(self.load, idle, [port])
        await write_first_texts(members, patience=30.0)
        if self.edits_before:
            rooms = [Room(f"bench-{number}", self.load.size) for number in range(self.load.rooms)]
            await age_rooms(rooms, port, self.edits_before)
        outcome = await run_load(self.load, [port], meter)
        for member in chain.from_iterable(members):
            member.close()
        return outcome


@dataclass(frozen=True)
class Curve:
    """Points along one axis; their cost is drawn for a change, or for a `delivery` of it."""

    title: str
    axis: str
    points: dict[str, Point]
    per: str = "change"


CURVES = {
    "nodes": Curve(
        "Nodes that do not hold the room", "other nodes",
        {str(count): Point(BRIEFLY, bystanders=count) for count in (0, 1, 2, 4, 8)},
    ),
    "rooms": Curve(
        "Other rooms, in which nobody types", "idle rooms, of two members each",
        {f"{count:,}": Point(BRIEFLY, idle_rooms=count) for count in (0, 10, 100, 1000)},
    ),
    "age": Curve(
        "The age of the room", "edits before",
        {f"{count:,}": Point(FAST, edits_before=count) for count in (0, 100, 1000, 5000, 20_000)},
    ),
    "length": Curve(
        "The length of the text", "kB",
        {str(size): Point(replace(FEW_ROOMS, size=1000 * size)) for size in (2, 10, 30, 100)},
    ),
    "members": Curve(
        "The members of the room", "members",
        {str(count): Point(replace(FEW_ROOMS, members=count)) for count in (2, 5, 10, 25, 50)},
        per="delivery",
    ),
}  # fmt: skip
HEAD = "server µs a change", "its node's µs", "µs a delivery", "Redis µs", "p99 ms", "lost", ""


def measure(curve: Curve, cores: Cores, command: str) -> Iterator[Outcome]:
    """Measure the points of a curve, and print its table."""
    print(f"\n{curve.title}\n\n| {' | '.join((curve.axis, *HEAD))} |\n{'| --- ' * 8}|", flush=True)
    for label, point in curve.points.items():
        outcome = point.measure(cores, command)
        cells = (
            label, f"{outcome.server_us:.0f}", f"{holder_us(outcome):.0f}",
            f"{outcome.server_us / readers(point):.0f}", f"{outcome.redis_us:.0f}",
            f"{outcome.p99:.1f}", str(outcome.lost), "; ".join(remarks(outcome)),
        )  # fmt: skip
        print(f"| {' | '.join(cells)} |", flush=True)
        yield outcome


def holder_us(outcome: Outcome) -> float:
    """Return what a change costs the node that holds the room."""
    return 1e6 * outcome.usage.servers[0] / outcome.changes


def readers(point: Point) -> int:
    """Return how many members each change is delivered to."""
    return point.load.members - 1


def draw(curve: Curve, outcomes: Sequence[Outcome]) -> str:
    """Return the drawing of a curve."""
    shares = [readers(point) if curve.per == "delivery" else 1 for point in curve.points.values()]
    series = {
        "all nodes": [o.server_us / share for o, share in zip(outcomes, shares, strict=True)],
        "Redis": [o.redis_us / share for o, share in zip(outcomes, shares, strict=True)],
    }
    return chart(f"{curve.title}: µs a {curve.per}", curve.axis, list(curve.points), series)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.curves",
        description="Measure and draw what the cost of an edit depends on, in eight minutes.",
        epilog="Exit code 1: something was lost, or refused.",
    )
    add = parser.add_argument
    add("curves", nargs="*", metavar="CURVE", help=f"of {', '.join(CURVES)} (default: all)")
    add("--folder", type=Path, default=ROOT / "docs" / "curves", help="where the drawings go")
    add("--command", default=SERVICE, help="what starts a node (default: %(default)s)")
    options = parser.parse_args(arguments)
    if unknown := set(options.curves) - set(CURVES):
        parser.error(f"no such curve: {', '.join(sorted(unknown))}")
    stop_on_sigterm()
    cores = Cores.of_this_machine()
    pin(0, cores.others)
    print(*(f"{key}: {value}" for key, value in describe_machine(cores).items()), sep="\n")
    options.folder.mkdir(parents=True, exist_ok=True)
    clean = True
    for name in options.curves or CURVES:
        outcomes = list(measure(CURVES[name], cores, options.command))
        (options.folder / f"{name}.svg").write_text(draw(CURVES[name], outcomes))
        clean = clean and all(outcome.nothing_lost for outcome in outcomes)
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
