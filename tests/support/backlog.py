"""Many connections that arrive while the server accepts none: the size of its backlog."""

from __future__ import annotations

import contextlib
import selectors
import signal
import socket
import time
from collections.abc import Iterator

import psutil

CONNECT_TIMEOUT = 0.25
"""Seconds to connect on loopback; the kernel retries a dropped connection only after a second."""


def waiting_connections(port: int, pid: int, arriving: int) -> int:
    """Stop a server and return how many of ``arriving`` connections its port accepts.

    ``pid`` is the server's; its child processes are stopped too.
    """
    with _stopped(pid), contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        for _ in range(arriving):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
            selector.register(client, selectors.EVENT_WRITE)
        made: set[int] = set()
        deadline = time.monotonic() + CONNECT_TIMEOUT
        while len(made) < arriving and (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                made.add(key.fd)
                selector.unregister(key.fileobj)
        return len(made)


@contextlib.contextmanager
def _stopped(pid: int) -> Iterator[None]:
    server = psutil.Process(pid)
    processes = [server, *server.children(recursive=True)]
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)
