"""Loopback ports that no other process of the tests gets.

A server opens its port a second or more after a test has chosen it, and several processes of tests
run side by side. So each process has a share of the ports for itself, and gives each of them out
once before it gives one out again.
"""

from __future__ import annotations

import functools
import itertools
import socket
from collections.abc import Iterator

FIRST_PORT, LAST_PORT = 20_000, 32_000
"""Below the ports of outgoing connections, one of which might get the port meanwhile."""
CLUSTER_BUS = 10_000
"""How far above its port a server of Redis Cluster listens to the other servers."""
SHARES = 20
"""How many processes can have ports at the same time."""
PAIRS = (LAST_PORT - FIRST_PORT - CLUSTER_BUS) // SHARES
"""How many ports of a share have a bus port, too."""
SINGLES = (CLUSTER_BUS - PAIRS * SHARES) // SHARES
"""How many ports of a share have none."""


def free_port() -> int:
    """Return a port on which no process listens."""
    return _share().free_port()


def free_port_with_bus() -> int:
    """Return a port on which no process listens, nor on the port ``CLUSTER_BUS`` above it."""
    return _share().free_port_with_bus()


class Share:
    """The ports of one process, for as long as it runs.

    Raises ``RuntimeError`` if all shares are taken.
    """

    def __init__(self) -> None:
        for number in range(SHARES):
            pairs = FIRST_PORT + number * PAIRS
            self._lock = socket.socket()
            try:
                self._lock.bind(("127.0.0.1", pairs))
            except OSError:
                self._lock.close()
                continue
            singles = FIRST_PORT + SHARES * PAIRS + number * SINGLES
            self._pairs = itertools.cycle(range(pairs + 1, pairs + PAIRS))
            self._singles = itertools.cycle(range(singles, singles + SINGLES))
            return
        raise RuntimeError(f"{SHARES} processes have ports already")

    def free_port(self) -> int:
        """Return a port on which no process listens."""
        return _first_free(self._singles, 0)

    def free_port_with_bus(self) -> int:
        """Return a port on which no process listens, nor on the port ``CLUSTER_BUS`` above it."""
        return _first_free(self._pairs, CLUSTER_BUS)

    def close(self) -> None:
        """Let another process have these ports."""
        self._lock.close()


@functools.cache
def _share() -> Share:
    return Share()


def _first_free(ports: Iterator[int], *above: int) -> int:
    return next(port for port in ports if all(map(_is_free, (port, *(port + n for n in above)))))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
