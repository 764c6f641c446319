"""What an edit costs, and how soon it arrives: `python -m loadtest.bench --help`, or README.md."""

import argparse
import gc
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import redis
import uvloop

from loadtest.arrivals import measure_arrivals
from loadtest.load import Load, Outcome, Unusable, run_load
from loadtest.memory import measure_memory
from loadtest.processes import (
    ROOT,
    SERVICE,
    Cores,
    Meter,
    Redis,
    pin,
    redis_server,
    relay,
    service,
    stop_on_sigterm,
)

NOISY = 0.2
"""Of a core, what other processes may use before a row is called noisy."""
TIRED = 0.8
"""Of its core, what the generator may use before it is part of what it measures."""
LATE_MS = 20.0
SATURATED_MS = 100.0
"""Of delivery, the 99th percentile at which a node counts as saturated."""
FIRST_ROOMS, GROWTH, MIN_STEP = 300, 1.4, 10
MAX_NOISY = 3
"""How often a load that was too much is repeated because of what else the machine did."""


@dataclass(frozen=True)
class Row:
    name: str
    load: Load
    nodes: int = 1

    def __str__(self) -> str:
        nodes = "one node" if self.nodes == 1 else f"{self.nodes} nodes"
        return f"{self.load.kind}, {self.load.rooms} rooms, {nodes}"


USUAL = [
    Row("text-300", Load(300)),
    Row("text-600", Load(600)),
    Row("yjs-300", Load(300, "yjs")),
    Row("nodes-2", Load(100), nodes=2),
]
OTHERS = [
    Row("yjs-600", Load(600, "yjs")),
    Row("yjs-nodes-2", Load(100, "yjs"), nodes=2),
    Row("nodes-4", Load(100), nodes=4),
    Row("yjs-nodes-4", Load(100, "yjs"), nodes=4),
]
ROWS = {row.name: row for row in USUAL + OTHERS}
LONGER = {
    "memory": "what idle connections and rooms hold",
    "arrivals": "1,000 clients that come at once",
    "saturation": "how many text rooms one node carries",
    "yjs-saturation": "how many Yjs rooms one node carries",
}
HEAD = (
    "| load | server µs a change | to relay | Redis µs | p50 / p99 / p99.9 ms | lost | |",
    "| --- | --- | --- | --- | --- | --- | --- |",
)


@dataclass(frozen=True)
class Bench:
    """Where things run, and how the service is started."""

    cores: Cores
    command: str

    def measure_named(self, name: str, minutes: float | None) -> list[dict[str, Any]]:
        """Measure what has that name; print a table, and return its rows for the JSON file."""
        if name == "memory":
            return measure_memory(self.cores, self.command)
        if name == "arrivals":
            return measure_arrivals(self.cores, self.command)
        if name in ROWS:
            row = ROWS[name]
            if minutes:
                row = replace(row, load=replace(row.load, seconds=60 * minutes))
            return [self.compare(row)]
        print("", *HEAD, sep="\n", flush=True)
        return list(self.saturate("yjs" if name.startswith("yjs") else "text"))

    def measure(self, row: Row) -> tuple[Outcome, int]:
        """Return what came of a load on the service, and how many rooms Redis has wrong."""
        with (
            redis_server(self.cores) as store,
            service(store, self.cores, nodes=row.nodes, command=self.command) as nodes,
        ):
            ports = [node.port for node in nodes]
            outcome = run(run_load(row.load, ports, Meter(nodes, store)))
            return outcome, count_unstored(store, outcome.texts, row.load.patience)

    def measure_relay(self, load: Load) -> Outcome:
        with relay(self.cores) as server:
            return run(run_load(load, [server.port], Meter([server])))

    def compare(self, row: Row) -> dict[str, Any]:
        """Measure a row and the relay under the same load; print it and return its values.

        The relay needs no more than the usual time for what it costs, however long the row takes.
        """
        yardstick = self.measure_relay(replace(row.load, seconds=Load.seconds))
        outcome, unstored = self.measure(row)
        ratio = outcome.server_us / yardstick.server_us
        print(table_line(row, outcome, unstored, f"{ratio:.2f}"), flush=True)
        return values(row, outcome, unstored) | {
            "ratio": ratio,
            "relay_us": yardstick.server_us,
            "relay_p99": yardstick.p99,
        }

    def saturate(self, kind: str) -> Iterator[dict[str, Any]]:
        """Grow the number of rooms until a node is saturated, then halve the step to 10 %."""
        carried, too_many, rooms, noisy = 0, 0, FIRST_ROOMS, 0
        while not too_many or too_many - carried > max(MIN_STEP, carried // 10):
            load = Load(rooms, kind, warm_up=5.0, patience=60.0)
            row = Row(f"{kind}-{rooms}", load)
            outcome, unstored = self.measure(row)
            print(table_line(row, outcome, unstored, ""), flush=True)
            yield values(row, outcome, unstored)
            if outcome.p99 <= SATURATED_MS and outcome.nothing_lost:
                carried, noisy = rooms, 0
            elif outcome.usage.foreign_share > NOISY and noisy < MAX_NOISY:
                noisy += 1
                continue
            else:
                too_many, noisy = rooms, 0
            rooms = (carried + too_many) // 2 if too_many else int(rooms * GROWTH)
        print(f"\none node carries {carried} {kind} rooms at p99 ≤ {SATURATED_MS:.0f} ms\n")


def run(loading: Coroutine[Any, Any, Outcome]) -> Outcome:
    """Run a load. What earlier loads have left is collected now and not in the middle of it."""
    gc.collect()
    return uvloop.run(loading)


def count_unstored(store: Redis, texts: dict[str, str], patience: float) -> int:
    """Return in how many rooms `code_{room}` is not the final text after a while."""
    deadline = time.monotonic() + patience
    with redis.Redis.from_url(store.url) as client:
        while True:
            names = list(texts)
            found = client.mget([f"code_{name}" for name in names])
            codes = [code and code.decode() for code in found]
            wrong = sum(code != texts[name] for name, code in zip(names, codes, strict=True))
            if not wrong or time.monotonic() > deadline:
                return int(wrong)
            time.sleep(0.1)


def table_line(row: Row, outcome: Outcome, unstored: int, ratio: str) -> str:
    lost = str(outcome.lost)
    if outcome.wrong or unstored:
        lost += f", {outcome.wrong} members and {unstored} keys wrong"
    cells = (
        str(row), f"{outcome.server_us:.0f}", ratio, f"{outcome.redis_us:.0f}",
        f"{outcome.p50:.1f} / {outcome.p99:.1f} / {outcome.p999:.1f}", lost,
        "; ".join(remarks(outcome)),
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def remarks(outcome: Outcome) -> Iterator[str]:
    """Yield why the values of a row should not be trusted."""
    if outcome.usage.foreign_share > NOISY:
        yield f"NOISY: others used {outcome.usage.foreign_share:.0%} of a core"
    if outcome.usage.generator_share > TIRED or outcome.lateness > LATE_MS:
        yield (
            f"the generator used {outcome.usage.generator_share:.0%} of its core, "
            f"and was {outcome.lateness:.0f} ms late"
        )
    if outcome.errors:
        yield f"{len(outcome.errors)} errors: {outcome.errors[0]}"


def values(row: Row, outcome: Outcome, unstored: int) -> dict[str, Any]:
    """Return a row for the JSON file."""
    result = asdict(outcome)
    del result["texts"], result["errors"]
    return {
        "row": row.name,
        "load": asdict(row.load),
        "nodes": row.nodes,
        "server_us": outcome.server_us,
        "redis_us": outcome.redis_us,
        **result,
        "unstored": unstored,
        "remarks": list(remarks(outcome)),
        "ok": outcome.nothing_lost and not unstored,
    }


def describe_machine(cores: Cores) -> dict[str, str]:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
    )
    cpu = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ] if Path("/proc/cpuinfo").exists() else []  # fmt: skip
    return {
        "commit": commit.stdout.strip(),
        "cpu": f"{os.cpu_count()} x {cpu[0] if cpu else platform.processor()}",
        "python": platform.python_version(),
        "pinning": str(cores),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.bench",
        description="Measure what an edit costs the service, beside a fixed plain relay.",
        epilog="Exit code 1: something was lost, or refused.",
    )
    known = [*ROWS, *(f"{name} ({what})" for name, what in LONGER.items())]
    usual = " ".join(row.name for row in USUAL)
    add = parser.add_argument
    add(
        "rows", nargs="*", metavar="ROW",
        help=f"of {', '.join(known)}; default: {usual}, which take two minutes",
    )  # fmt: skip
    add("--minutes", type=float, help="measure each row for so long")
    add("--json", type=Path, help="also write everything to this file")
    add("--command", default=SERVICE, help="what starts a node (default: %(default)s)")
    options = parser.parse_args(arguments)
    names = options.rows or [row.name for row in USUAL]
    if unknown := set(names) - set(ROWS) - set(LONGER):
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    stop_on_sigterm()
    cores = Cores.of_this_machine()
    pin(0, cores.others)
    machine = describe_machine(cores)
    print(*(f"{key}: {value}" for key, value in machine.items()), sep="\n")
    bench = Bench(cores, options.command)
    results: list[dict[str, Any]] = []
    try:
        for before, name in pairwise(["", *names]):
            if name in ROWS and before not in ROWS:
                print("", *HEAD, sep="\n", flush=True)
            results += bench.measure_named(name, options.minutes)
    except Unusable as problem:
        print(problem, file=sys.stderr)
        return 1
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "rows": results}, indent=1) + "\n")
    return 0 if all(result.get("ok", True) for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
