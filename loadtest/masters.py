"""Commits a second, and the price of each, with one master of a Redis Cluster and with three."""

import argparse
import gc
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import redis
import uvloop

from loadtest.bench import remarks
from loadtest.load import Load, Outcome, Unusable, run_load
from loadtest.processes import (
    Cores,
    Meter,
    Redis,
    Server,
    Usage,
    connect_to,
    cpu_seconds,
    free_port,
    pin,
    running,
    service,
    stop_on_sigterm,
)

SLOTS = 16384
NODES = 2
FIRST_SHARDED = 7
"""The first version of Redis with sharded channels."""
BUS = 10_000
"""What a server adds to its port for the one on which it talks to the others."""
PERIOD_US = 50_000
"""Of this time a limited server may use its share: at least a millisecond, says Linux."""
FORMING = 20.0
"""Seconds for the servers to become a cluster."""
COMMITS = re.compile(rb'^collab_commits_total\{[^}]*outcome="ok"[^}]*\} (\S+)$', re.MULTILINE)
HEAD = (
    "| masters | limit | rooms | changes/s | commits/s | node µs a change | Redis µs a commit "
    "| busiest, idlest master | p50 / p99 ms | lost | |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
)


@dataclass(frozen=True)
class Row:
    """``share`` is what each master may use of a core; None: all of it."""

    masters: int
    rooms: int
    share: float | None = None


def sharded_redis() -> str:
    """Return the first redis-server on PATH that has sharded channels."""
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = Path(folder) / "redis-server"
        if path.is_file():
            told = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
            version = re.search(r"v=(\d+)", told.stdout)
            if version and int(version[1]) >= FIRST_SHARDED:
                return str(path)
    raise SystemExit(f"this needs Redis {FIRST_SHARDED} or later: apt-get install redis-server")


@contextmanager
def limited(name: str, pid: int, share: float | None) -> Iterator[None]:
    """Let a process use a share of one core only; a cgroup of its own does that (as root)."""
    if share is None:
        yield
        return
    old = Path("/sys/fs/cgroup/cpu")
    group = (old if old.is_dir() else Path("/sys/fs/cgroup")) / f"loadtest-{os.getpid()}-{name}"
    quota = str(round(PERIOD_US * share))
    try:
        group.mkdir()
        if old.is_dir():
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(quota)
        else:
            (group / "cpu.max").write_text(f"{quota} {PERIOD_US}")
        (group / "cgroup.procs").write_text(str(pid))
    except OSError as problem:
        raise SystemExit(f"a server can't be limited by a cgroup here: {problem}") from None
    try:
        yield
    finally:
        (group.parent / "cgroup.procs").write_text(str(pid))
        group.rmdir()


@contextmanager
def cluster(row: Row, cores: Cores) -> Iterator[list[Redis]]:
    """Run a Redis Cluster of as many masters, which writes nothing to disk and has no replicas."""
    program = sharded_redis()
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory())
        masters = []
        for _ in range(row.masters):
            port = free_port()
            while port + BUS >= 32_000:  # above that a connection might have the port
                port = free_port()
            command = [
                program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", home,
                "--cluster-enabled", "yes", "--cluster-config-file", f"{port}.conf",
            ]  # fmt: skip
            pid = stack.enter_context(running(command, cores.others, partial(connect_to, port)))
            masters.append(Redis(port, pid))
        form(masters)
        for number, master in enumerate(masters):
            stack.enter_context(limited(str(number), master.pid, row.share))
        yield masters


def form(masters: Sequence[Redis]) -> None:
    """Divide the slots among servers, and wait until they are a cluster."""
    clients = [redis.Redis(port=master.port) for master in masters]
    for number, client in enumerate(clients):
        first, end = (SLOTS * part // len(clients) for part in (number, number + 1))
        client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
        client.execute_command("CLUSTER ADDSLOTSRANGE", first, end - 1)
        client.execute_command("CLUSTER MEET", "127.0.0.1", masters[0].port)
    deadline = time.monotonic() + FORMING
    for client in clients:
        while not is_whole(client, len(masters)):
            if time.monotonic() > deadline:
                raise SystemExit("the servers have not become a cluster")
            time.sleep(0.05)
        client.close()


def is_whole(client: "redis.Redis", masters: int) -> bool:
    info = client.execute_command("CLUSTER INFO")
    return bool(info["cluster_state"] == "ok" and info["cluster_size"] == str(masters))


class CommitMeter(Meter):
    """Also reads how many commits the nodes have made, and what each master has used."""

    def __init__(self, nodes: Sequence[Server], masters: Sequence[Redis]) -> None:
        super().__init__(nodes, *masters)
        self._ports = [node.port for node in nodes]
        self._commits: list[float] = []
        self._each: list[list[float]] = []

    def read(self) -> Usage:
        self._commits.append(sum(map(commits_of, self._ports)))
        self._each.append([cpu_seconds(master) for master in self._redis])
        return super().read()

    @property
    def commits(self) -> float:
        """The commits between the first reading and the last."""
        return self._commits[-1] - self._commits[0]

    @property
    def used(self) -> list[float]:
        """The CPU seconds of each master in between, the most first."""
        pairs = zip(self._each[0], self._each[-1], strict=True)
        return sorted((new - old for old, new in pairs), reverse=True)


def commits_of(port: int) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10.0) as answer:
        return sum(float(count) for count in COMMITS.findall(answer.read()))


def measure(row: Row, cores: Cores, seconds: float) -> bool:
    """Measure a row and print it; return whether nothing was lost."""
    load = Load(row.rooms, warm_up=3.0, seconds=seconds, patience=60.0)
    with cluster(row, cores) as masters:
        url = "redis+cluster://" + ",".join(f"127.0.0.1:{each.port}" for each in masters)
        with service(url, cores, nodes=NODES) as nodes:
            meter = CommitMeter(nodes, masters)
            gc.collect()
            outcome = uvloop.run(run_load(load, [node.port for node in nodes], meter))
            print(line(row, outcome, meter), flush=True)
            return outcome.nothing_lost


def line(row: Row, outcome: Outcome, meter: CommitMeter) -> str:
    took, used = outcome.usage.at, meter.used
    cells = (
        str(row.masters), "none" if row.share is None else f"{row.share:.0%} of a core each",
        str(row.rooms), f"{outcome.changes / took:.0f}", f"{meter.commits / took:.0f}",
        f"{outcome.server_us:.0f}", f"{1e6 * outcome.usage.redis / meter.commits:.0f}",
        f"{used[0] / took:.1%}, {used[-1] / took:.1%}", f"{outcome.p50:.1f} / {outcome.p99:.1f}",
        str(outcome.lost), "; ".join(remarks(outcome)),
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.masters", description=__doc__)
    add = parser.add_argument
    add("--masters", type=int, nargs="+", default=[1, 3], help="(1 3)")
    add("--rooms", type=int, default=100, help="while masters are not limited (100)")
    add("--many", type=int, default=300, help="rooms, while they are (300)")
    add("--share", type=float, default=0.02, help="what each may use of a core then (0.02)")
    add("--seconds", type=float, default=8.0, help="for each row (8)")
    given = parser.parse_args(arguments)
    stop_on_sigterm()
    cores = Cores.of_this_machine()
    pin(0, cores.others)
    rows = [Row(masters, given.rooms) for masters in given.masters]
    # With as many rooms for each master as before: more masters are for more rooms.
    rows += [Row(masters, given.rooms * masters) for masters in given.masters if masters > 1]
    rows += [Row(masters, given.many, given.share) for masters in given.masters]
    print(cores, "", *HEAD, sep="\n", flush=True)
    try:
        kept = [measure(row, cores, given.seconds) for row in rows]
    except Unusable as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
