"""What a number of rooms needs: `python -m loadtest.capacity --help`, or docs/scaling.md."""

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from loadtest import capacity_check
from loadtest.costs import Costs, entries
from loadtest.processes import ROOT
from loadtest.sizing import Demand, Plan, on_wire

ROOMS = 1_000, 10_000, 100_000, 1_000_000
PAGE = ROOT / "docs" / "scaling.md"
BEGIN, END = "<!-- begin: python -m loadtest.capacity --page -->", "<!-- end: capacity -->"

USUAL = Demand(rooms=ROOMS[-1])
VARIANTS = {
    "as above": USUAL,
    "everybody uses Yjs": replace(USUAL, yjs=1.0),
    "no client names its room: all rooms are on two nodes": replace(USUAL, spanning=1.0),
    "five members a room": replace(USUAL, members=5.0),
    "texts of 20 kB": replace(USUAL, size=20_000),
    "somebody types in three of ten rooms": replace(USUAL, active=0.3),
    "nobody types": replace(USUAL, active=0.0),
    "`COLLAB_MAX_JOURNAL_ENTRIES` = 500": replace(USUAL, max_journal_entries=500),
    "`COLLAB_ROOM_TTL` = 300": replace(USUAL, room_ttl=300.0),
}


def table(plans: Sequence[Plan]) -> list[str]:
    """Return a table with a column for each plan."""
    rows = [lines(plan) for plan in plans]
    head = ["", *(f"{plan.demand.rooms:,} rooms" for plan in plans)]
    return markdown([head, *([name, *(row[name] for row in rows)] for name in rows[0])])


def lines(plan: Plan) -> dict[str, str]:
    """Return what a plan needs, by name."""
    nodes, masters = plan.nodes, plan.masters
    cpu, connections, memory, link = (need.load(nodes) for need in plan.node_needs)
    redis_cpu, redis_memory, redis_link = (need.load(masters) for need in plan.master_needs)
    demand = plan.demand
    limit, load = plan.first_limit
    coming, going = plan.clients_link
    to_redis, from_redis = plan.redis_link
    return {
        "members; changes a second": f"{plan.connections:,.0f}; {plan.changes:,.0f}",
        "**nodes**, of a core each": f"**{nodes:,}**",
        "CPU of a node": f"{cpu:.0%}",
        "connections of a node": f"{connections * demand.max_connections:,.0f}",
        "memory of a node": size(memory * 1e9 * demand.node_memory),
        "link of a node": bits(link * 1e6 / 8 * demand.link),
        "**Redis masters**, of a core each": f"**{masters:,}**",
        "commits a second of a master": f"{plan.changes / masters:,.0f}",
        "CPU of a master": f"{redis_cpu:.0%}",
        "memory of a master": size(redis_memory * 1e9 * demand.redis_memory),
        "link of a master": bits(redis_link * 1e6 / 8 * demand.link),
        "memory of all nodes": size(memory * 1e9 * demand.node_memory * nodes),
        "memory of all masters": size(plan.redis_memory),
        "from clients, to clients": f"{bits(on_wire(coming))}, {bits(on_wire(going))}",
        "to Redis, from Redis": f"{bits(on_wire(to_redis))}, {bits(on_wire(from_redis))}",
        "gives way first": f"{limit} ({load:.0%} used)",
        "a node is killed: CPU s of each other": "none" if nodes == 1 else f"{plan.takeover:.2f}",
    }


def variants(costs: Costs) -> list[str]:
    """Return a table of what changes if people, or the settings, are others."""
    head = ["", "nodes", "masters", "memory of all masters", "to clients", "gives way first"]
    rows = [head]
    for name, demand in VARIANTS.items():
        plan = Plan(demand, costs)
        limit, load = plan.first_limit
        rows.append(
            [
                name, f"{plan.nodes:,}", f"{plan.masters:,}", size(plan.redis_memory),
                bits(on_wire(plan.clients_link[1])), f"{limit} ({load:.0%} used)",
            ]
        )  # fmt: skip
    return markdown(rows)


def sources() -> list[str]:
    """Return a table of the costs with their sources."""
    rows = [["cost", "value", "of what", "source"]]
    for name, entry in entries().items():
        rows.append([f"`{name}`", f"{entry['value']:,}", entry["unit"], entry["source"]])
    return markdown(rows)


def page() -> str:
    """Return the section of docs/scaling.md that this program writes."""
    costs = Costs.read()
    return "\n".join(
        [
            BEGIN, "",
            *table([Plan(Demand(rooms=rooms), costs) for rooms in ROOMS]), "",
            "A million rooms, if something is different:", "",
            *variants(costs), "",
            "The costs (`loadtest/costs.toml`):", "",
            *sources(), "",
            END,
        ]
    )  # fmt: skip


def write_page(path: Path = PAGE) -> None:
    """Replace the section in the page."""
    old = path.read_text()
    section = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    path.write_text(section.sub(lambda _: page(), old))


def markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *rest = rows
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rest)]


def size(bytes: float) -> str:
    """Return an amount of memory, rounded."""
    return scaled(bytes, ["B", "kB", "MB", "GB", "TB"])


def bits(bytes: float) -> str:
    """Return bytes a second as bits, rounded."""
    return scaled(8 * bytes, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"])


def scaled(value: float, units: Iterable[str]) -> str:
    *smaller, largest = units
    for unit in smaller:
        if value < 999.5:
            return f"{value:.2g} {unit}" if value < 99.5 else f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:,.2g} {largest}" if value < 99.5 else f"{value:,.0f} {largest}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.capacity",
        description="Compute what a number of rooms needs, from what edits and rooms cost.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    for each in fields(Demand):
        if each.name != "rooms":
            add(
                f"--{each.name.replace('_', '-')}", type=type(each.default), metavar="N",
                default=each.default, help=each.metadata["help"],
            )  # fmt: skip
    add("--rooms", type=int, nargs="+", metavar="N", default=ROOMS, help="a column for each")
    add("--variants", action="store_true", help="show what changes if people are others")
    add("--costs", action="store_true", help="show the costs and their sources")
    add("--page", action="store_true", help=f"write the tables into {PAGE.relative_to(ROOT)}")
    add("--check", action="store_true", help="measure some loads, and compare (six minutes)")
    options: dict[str, Any] = vars(parser.parse_args(arguments))
    rooms = options.pop("rooms")
    modes = {name: options.pop(name) for name in ("variants", "costs", "page", "check")}
    if modes["check"]:
        return capacity_check.main()
    if modes["page"]:
        write_page()
        return 0
    costs = Costs.read()
    try:
        print(*table([Plan(Demand(rooms=count, **options), costs) for count in rooms]), sep="\n")
    except ValueError as problem:
        parser.error(str(problem))
    if modes["variants"]:
        print("", *variants(costs), sep="\n")
    if modes["costs"]:
        print("", *sources(), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
