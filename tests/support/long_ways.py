"""A node that says in its log when a message or a commit takes the long way, with a task.

The first message to each endpoint that holds `FAULT` makes the short way raise an exception.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

from collab import cli
from collab.rooms.worker import Worker
from collab.sio.endpoint import SocketIOEndpoint
from collab.sio.server import Server
from collab.yjs.session import Session

FAULT = "a fault, please"
LONG_WAY = "the long way: "
log = logging.getLogger("tests")


def report(owner: type, method: str) -> None:
    """Let a method say in the log that it was called."""
    right = getattr(owner, method)

    def reporting(self: Any, *arguments: Any) -> Any:
        log.warning("%s%s.%s", LONG_WAY, owner.__name__, method)
        return right(self, *arguments)

    setattr(owner, method, reporting)


def break_once(owner: type, method: str) -> None:
    """Let a method raise an exception the first time that one of its arguments holds `FAULT`."""
    right = getattr(owner, method)

    def breaking(self: Any, *arguments: Any) -> Any:
        if FAULT in repr(arguments):
            setattr(owner, method, right)
            raise RuntimeError(FAULT)
        return right(self, *arguments)

    setattr(owner, method, breaking)


if __name__ == "__main__":
    for owner, method in ((Server, "_handle_event"), (Session, "_read"), (Worker, "start")):
        report(owner, method)
    break_once(SocketIOEndpoint, "change_now")
    break_once(Session, "_handle_now")
    sys.exit(cli.main())
