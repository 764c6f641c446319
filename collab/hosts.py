"""The names under which clients reach the service: the setting, and the rule for each request.

A browser sends the name in ``Host``, and no page can change that. But a page at a name of its own
can bind the name to the address of this service (DNS rebinding), and is then of one origin with it.
The service recognizes such a page by its name, which is none of the service's.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from ipaddress import ip_address

from collab.errors import WrongHost

log = logging.getLogger(__name__)

FORM = "a host is NAME or NAME:PORT"
MAX_LOGGED_HOST = 200
"""Characters of a refused host that are logged."""
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths that supervisors and load balancers request by the address of the node."""
ADDRESS = re.compile(
    r"(?P<host>[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
)
"""A host in lower case with its port, if any, as URLs and the Host header write it."""


@dataclass(frozen=True)
class Hosts:
    """The names of the service in lower case, with a port or for any port. Without any, all are."""

    names: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return ",".join(sorted(self.names)) or "none"

    @classmethod
    def parse(cls, raw: str) -> Hosts:
        """Read hosts separated by commas. Raises ValueError, whose message follows the setting."""
        names = [entry.strip().lower() for entry in raw.split(",")]
        for name in names:
            if not ADDRESS.fullmatch(name):
                raise ValueError(f"has {name!r}: {FORM}, without https://, a path or '*'")
        return cls(frozenset(names))

    def check(self, host: str, path: str) -> None:
        """Raise WrongHost, and log the host, if a request is for another service.

        ``host`` is its Host header, '' if it has none. A request to one of the `PROBES` may also
        have an IP address there, or nothing.
        """
        if not self.names or self._lists(host):
            return
        if path in PROBES and (not host or is_address(host)):
            return
        log.info("host refused", extra={"host": host[:MAX_LOGGED_HOST]})
        raise WrongHost("the service has no such name; COLLAB_HOSTS lists those that it has")

    def own(self, host: str) -> bool:
        """Whether a page at ``host`` is the service's own if it requests the same ``host``.

        It is if the host is a listed name, or an IP address: nobody can bind that to another.
        """
        return self._lists(host) or is_address(host)

    def _lists(self, host: str) -> bool:
        host = host.lower()
        found = ADDRESS.fullmatch(host)
        return found is not None and (host in self.names or found["host"] in self.names)


ANY_HOST = Hosts()


def is_address(host: str) -> bool:
    """Whether a Host header has an IP address, or ``localhost``, which browsers never look up."""
    found = ADDRESS.fullmatch(host.lower())
    if not found:
        return False
    name = found["host"].strip("[]")
    try:
        return name == "localhost" or bool(ip_address(name))
    except ValueError:
        return False
