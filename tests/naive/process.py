"""The obvious server as a process."""

from __future__ import annotations

import signal
import sys

from tests.support.ports import free_port
from tests.support.processes import Process, until_open


class Naive(Process):
    """A node of the naive server."""

    def __init__(self, redis_url: str) -> None:
        self.port = free_port()
        super().__init__(
            sys.executable, "-m", "tests.naive.server",
            env={"REDIS_URL": redis_url, "PORT": str(self.port)},
        )  # fmt: skip

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        await super().start()
        await until_open(self.port, self)

    async def stop(self, how: signal.Signals = signal.SIGKILL) -> int | None:
        return await super().stop(how)
