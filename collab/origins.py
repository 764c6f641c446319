"""Which pages may connect: the setting, and the one rule that every endpoint applies.

A browser sends the origin of the page in ``Origin``. That the Host header has the same name proves
nothing: a page whose name resolves to this machine's address (DNS rebinding) chooses both headers.
So the rule reads the Host header only if no such page can have it (`Hosts.own`).
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, replace
from ipaddress import IPv6Address, ip_address
from typing import Any

from collab.errors import OriginNotAllowed
from collab.hosts import ADDRESS, ANY_HOST, Hosts

log = logging.getLogger(__name__)

FORM = "an origin is scheme://host or scheme://host:port"
MAX_LOGGED_ORIGIN = 200
"""Characters of a refused origin that are logged."""
MAX_PORT = 65535
_DEFAULT_PORTS = {"http": 80, "https": 443}
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")


@dataclass(frozen=True)
class Origins:
    """The allowed origins, in the form that browsers send; None allows all.

    The service's own page is always allowed, also at one of its ``hosts``.
    """

    allowed: frozenset[str] | None
    hosts: Hosts = ANY_HOST

    def __str__(self) -> str:
        return "*" if self.allowed is None else ",".join(sorted(self.allowed)) or "none"

    @classmethod
    def parse(cls, raw: str) -> Origins:
        """Read ``*``, or origins separated by commas. Raises ValueError."""
        if raw.strip() == "*":
            return cls(None)
        return cls(frozenset(_parse_origin(entry.strip()) for entry in raw.split(",")))

    def at(self, hosts: Hosts) -> Origins:
        """Return these origins for a service with these names."""
        return replace(self, hosts=hosts)

    def allow(self, origin: str | None, sockname: Any, host: str = "") -> bool:
        """Whether a page of ``origin`` may connect; None is a client that is not a browser.

        ``sockname`` is the node's address of the connection. It is also the origin of the page
        that the node serves, unless there is a proxy in between. ``host`` is the Host header of
        the request, which a proxy passes on.
        """
        if self.allowed is None or origin is None or origin in self.allowed:
            return True
        return origin in _own_origins(sockname) or self._is_at(origin, host)

    def check(self, origin: str | None, sockname: Any, host: str = "") -> None:
        """Raise OriginNotAllowed, and log the origin, if a page may not connect."""
        if not self.allow(origin, sockname, host):
            log.info("origin refused", extra={"origin": str(origin)[:MAX_LOGGED_ORIGIN]})
            raise OriginNotAllowed(
                "pages of this origin may not connect; COLLAB_CORS_ORIGINS lists those that may "
                "(behind a proxy COLLAB_HOSTS the public name of the service's own page)"
            )

    def _is_at(self, origin: str, host: str) -> bool:
        """Whether a page of ``origin`` is the service's own, at the ``host`` that it requests."""
        scheme, _, address = origin.partition("://")
        return scheme in _DEFAULT_PORTS and address == host.lower() and self.hosts.own(host)


ANY_ORIGIN = Origins(None)
ONLY_OWN_PAGE = Origins(frozenset())


def _parse_origin(entry: str) -> str:
    """Return one origin as browsers write it.

    Raises ValueError; its message follows the name of the setting.
    """
    if not entry:
        raise ValueError("has an empty entry between its commas")
    if "*" in entry:
        raise ValueError(f"has {entry!r}: '*' stands alone and allows all origins")
    if entry == "null":
        raise ValueError("has 'null', the origin of any sandboxed page: only '*' allows it")
    if not entry.isascii():
        raise ValueError(f"has {entry!r}: browsers write such a host in ASCII, as xn--…")
    scheme, separator, rest = entry.lower().partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        raise ValueError(f"has {entry!r} without a scheme: {FORM}")
    if scheme in ("ws", "wss"):
        raise ValueError(f"has {entry!r}: a page's origin begins with http:// or https://")
    for sign, part in (("/", "path"), ("?", "query"), ("#", "fragment"), ("@", "user")):
        if sign in rest:
            raise ValueError(f"has {entry!r} with a {part}: {FORM}")
    address = ADDRESS.fullmatch(rest)
    if not address or int(address["port"] or 0) > MAX_PORT:
        raise ValueError(f"has {entry!r} with no host or a bad port: {FORM}")
    host = address["host"]
    if host.startswith("["):
        try:
            host = str(IPv6Address(host[1:-1]))
        except ValueError as problem:
            raise ValueError(f"has {entry!r}: {problem}") from None
    return _serialize(scheme, host, int(address["port"]) if address["port"] else None)


def _serialize(scheme: str, host: str, port: int | None) -> str:
    """Return an origin as browsers write it: without the default port of its scheme."""
    if ":" in host:
        host = f"[{host}]"
    if port is None or port == _DEFAULT_PORTS.get(scheme):
        return f"{scheme}://{host}"
    return f"{scheme}://{host}:{port}"


def _own_origins(sockname: Any) -> set[str]:
    """Return the origins of a page served by the socket with this name (none for a unix socket)."""
    if not isinstance(sockname, tuple):
        return set()
    address = ip_address(sockname[0].partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    hosts = {str(address)}
    if address.is_loopback:
        hosts |= {"localhost", "127.0.0.1", "::1"}
    return {_serialize("http", host, sockname[1]) for host in hosts}
