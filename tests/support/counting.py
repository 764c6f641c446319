"""``python -m tests.support.counting``: a node that also says what it holds, at ``/counted``.

The service itself has no such page: to count all objects stops a node for a tenth of a second.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys
from collections import Counter
from typing import Any

from aiohttp import web

from collab import app, cli

PATH = "/counted"


class CountingRunner(app.NodeRunner):
    """Runs a node whose application has one page more."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.app.router.add_get(PATH, _count)


async def _count(request: web.Request) -> web.Response:
    """Return the tasks, by their coroutines; with ``?objects`` also the objects, by their types.

    ``cycles`` is how many objects only the collector could free, ``blocks`` how many pieces of
    memory Python's objects are in then: if these stay as many while the resident memory grows, it
    is not a leak, but free places between them. With ``?trim`` the C library gives back what it
    keeps of freed memory; Python's own allocator keeps each MB in which a single object lives.
    """
    mine = asyncio.current_task()
    tasks = [task for task in asyncio.all_tasks() if task is not mine]
    told: dict[str, Any] = {
        "tasks": Counter(getattr(task.get_coro(), "__qualname__", "?") for task in tasks)
    }
    if "objects" in request.query:
        told["cycles"] = gc.collect()
        told["blocks"] = sys.getallocatedblocks()
        kinds = map(type, gc.get_objects())
        told["objects"] = Counter(f"{kind.__module__}.{kind.__qualname__}" for kind in kinds)
    if "trim" in request.query:
        ctypes.CDLL(None).malloc_trim(0)
    return web.json_response(told)


def main() -> int:
    """Run the node until a signal stops it, as ``python -m collab`` does."""
    vars(cli)["NodeRunner"] = CountingRunner
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
