"""gunicorn -c deploy/gunicorn.conf.py: one node under a supervisor that starts it again.

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
"""For what comes before and after the times that the configuration names."""


class NodeWorker(GunicornUVLoopWebWorker):
    """aiohttp's uvloop worker, which says when it serves, or in one clear line why it can't."""

    _serves = False

    def notify(self) -> None:
        """Tell gunicorn that this worker lives: it does so from the moment when it serves."""
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
            sys.exit(Arbiter.WORKER_BOOT_ERROR)  # the arbiter gives up instead of trying for ever


class NodeLogger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """Lets gunicorn's own lines look like the node's; the access log is nginx's."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        set_up_logs()


def set_up_logs() -> None:
    logs.set_up(settings.log_level, settings.log_format, settings.node_id)


def refuse(why: object) -> NoReturn:
    """End with one clear line, before there is a log."""
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

# One process is one node. Workers behind one socket take turns at accepting connections, and a
# long-polling client's next request would reach one that never heard of its session. More nodes are
# more gunicorns, each on a port of its own, behind nginx.
workers = 1

# A node moves its clients off, commits what waits, and answers the last requests.
graceful_timeout = int(2 * settings.drain_time) + SPARE_SECONDS
# A worker that still waits for Redis can't answer gunicorn's heartbeat, and must not die of it.
timeout = int(settings.redis_wait) + 2 * SPARE_SECONDS
# A control socket (gunicorn 25 and later) would be a file outside of this directory, and its
# command to add workers is one that a node must refuse.
control_socket_disable = True


def on_starting(server: Arbiter) -> None:
    """Refuse `--workers 2`, which would otherwise win over this file."""
    if server.cfg.workers != 1:
        refuse(
            f"{server.cfg.workers} workers behind one socket break long-polling; "
            "start one gunicorn for each node, on a port of its own, behind nginx"
        )


def pre_fork(server: Arbiter, worker: NodeWorker) -> None:
    """Let the supervisor's lines name the node that it starts, also after a reload."""
    set_up_logs()


def post_fork(server: Arbiter, worker: NodeWorker) -> None:
    """Let the node have the name that the log has; the supervisor's environment stays as it is."""
    os.environ["COLLAB_NODE_ID"] = settings.node_id


def nworkers_changed(server: Arbiter, new_value: int, old_value: int | None) -> None:
    """Stay with one worker when a signal (TTIN, TTOU) asks for another number."""
    if old_value is not None and new_value != 1:
        server.log.warning("a node is one worker")
        server.num_workers = 1
