"""gunicorn -c deploy/gunicorn.conf.py: one node under a supervisor that restarts it.

The node reads its settings from the environment, as `python -m collab` does (`--help` lists them).
"""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

from aiohttp.worker import GunicornUVLoopWebWorker
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from collab import logs
from collab.config import Config
from collab.errors import CollabError, ConfigError

EXIT_USAGE = 2
SPARE_SECONDS = 10
"""Added to the times in the configuration, for the steps before and after them."""


class NodeWorker(GunicornUVLoopWebWorker):
    """aiohttp's uvloop worker. It logs that it serves, or one clear line about why it can't."""

    _serves = False

    def notify(self) -> None:
        """Tell gunicorn that this worker lives. The first call comes when the worker serves."""
        super().notify()
        if not self._serves:
            self._serves = True
            for listener in self.sockets:
                listener.sock.listen(settings.backlog)  # aiohttp has set it to its own 128
            logs.log_ready(listener.getsockname() for listener in self.sockets)

    def run(self) -> None:
        try:
            super().run()
        except CollabError as problem:
            self.log.error(str(problem))
            sys.exit(Arbiter.WORKER_BOOT_ERROR)  # gunicorn then stops instead of retrying for ever


class NodeLogger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """Formats gunicorn's own log lines like the node's; nginx writes the access log."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        set_up_logs()


def set_up_logs() -> None:
    logs.set_up(settings.log_level, settings.log_format, settings.node_id)


def refuse(why: object) -> NoReturn:
    """Exit with one clear line, before logging is set up."""
    print(f"collab: {why}", file=sys.stderr)  # noqa: T201
    sys.exit(EXIT_USAGE)


try:
    settings = Config.from_env(os.environ)
except ConfigError as problem:
    refuse(problem)

wsgi_app = "collab.app:node_runner"
worker_class = NodeWorker
logger_class = NodeLogger
loglevel = settings.log_level
host = f"[{settings.host}]" if ":" in settings.host else settings.host
bind = f"{host}:{settings.port}"
backlog = settings.backlog

# One process is one node. Several workers behind one socket would accept connections in turn, and
# the next request of a long-polling client would reach a worker that does not have its session. To
# run more nodes, start more gunicorns behind nginx, each on its own port.
workers = 1

# A node that stops moves its clients to others, commits pending edits, and ends the last requests.
graceful_timeout = int(2 * settings.drain_time) + SPARE_SECONDS
# A worker that waits for Redis can't send gunicorn's heartbeat, and must not be killed for it.
timeout = int(settings.redis_wait) + 2 * SPARE_SECONDS
# The control socket (gunicorn 25 and later) would be a file outside this directory, and it has a
# command to add workers, which a node must refuse.
control_socket_disable = True


def on_starting(server: Arbiter) -> None:
    """Refuse `--workers 2`, which would otherwise override this file."""
    if server.cfg.workers != 1:
        refuse(
            f"{server.cfg.workers} workers behind one socket break long-polling; "
            "start one gunicorn for each node, on its own port, behind nginx"
        )


def pre_fork(server: Arbiter, worker: NodeWorker) -> None:
    """Make the supervisor's log lines name the node that it starts, also after a reload."""
    set_up_logs()


def post_fork(server: Arbiter, worker: NodeWorker) -> None:
    """Give the node the name in the log, without changing the supervisor's environment."""
    os.environ["COLLAB_NODE_ID"] = settings.node_id


def nworkers_changed(server: Arbiter, new_value: int, old_value: int | None) -> None:
    """Keep one worker when a signal (TTIN, TTOU) asks for another number."""
    if old_value is not None and new_value != 1:
        server.log.warning("the number of workers stays 1: one worker is one node")
        server.num_workers = 1
