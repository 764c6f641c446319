"""The forms of REDIS_URL: one server, the masters of a Redis Cluster, or what Sentinels watch."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

Address = tuple[str, int]
"""A host, which may be an IPv6 address without brackets, and a port."""
DEFAULT_PORTS = {"cluster": 6379, "sentinel": 26379}
"""The ports of hosts that are given without one: Redis' own."""
SENTINEL_LOGIN = ("sentinel_username", "sentinel_password")
"""Words of the query: the login at the Sentinels, which have their own users."""


class Kind(Enum):
    """What REDIS_URL leads to."""

    SERVER = "server"
    CLUSTER = "cluster"
    SENTINEL = "sentinel"


_SCHEMES = {
    "redis": ("redis", Kind.SERVER),
    "rediss": ("rediss", Kind.SERVER),
    "unix": ("unix", Kind.SERVER),
    "redis+cluster": ("redis", Kind.CLUSTER),
    "rediss+cluster": ("rediss", Kind.CLUSTER),
    "redis+sentinel": ("redis", Kind.SENTINEL),
    "rediss+sentinel": ("rediss", Kind.SENTINEL),
}


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """A URL that was read.

    ``addresses`` are servers of the cluster, or the Sentinels; ``service`` is the name by which
    these know the master. ``server_url`` is a URL of one server, for redis-py, with the login, the
    options and the database of this one; only its host and port mean nothing unless ``kind`` is
    SERVER. ``sentinel_login`` is a user and a password, '' for none.
    """

    kind: Kind
    server_url: str = field(repr=False)
    tls: bool = False
    addresses: tuple[Address, ...] = ()
    service: str = ""
    sentinel_login: tuple[str, str] = field(default=("", ""), repr=False)

    @classmethod
    def parse(cls, raw: str) -> RedisUrl:
        """Read a URL. Raises ValueError, whose message follows the URL."""
        try:
            parts = urlsplit(raw)
        except ValueError as problem:
            raise ValueError(f"is not a URL: {problem}") from None
        if parts.scheme not in _SCHEMES:
            raise ValueError(f"must start with {', '.join(s + '://' for s in _SCHEMES)}")
        scheme, kind = _SCHEMES[parts.scheme]
        if kind is Kind.SERVER:
            try:
                parts.port  # noqa: B018 - urlsplit checks the port only when asked for it
            except ValueError as problem:
                raise ValueError(f"is not a URL: {problem}") from None
            if not (parts.path if scheme == "unix" else parts.hostname):
                raise ValueError("names no server")
            return cls(kind, raw, scheme == "rediss")
        user, at, hosts = parts.netloc.rpartition("@")
        addresses = tuple(_address(each, kind) for each in hosts.split(",") if each)
        if not addresses:
            raise ValueError("names no server")
        given = parse_qs(parts.query, keep_blank_values=True)
        user_of_sentinels, password = (given.pop(word, [""])[-1] for word in SENTINEL_LOGIN)
        path = [unquote(part) for part in parts.path.split("/") if part]
        service = _service(path) if kind is Kind.SENTINEL else ""
        database = _database(path, kind)
        query = urlencode(given, doseq=True)
        server_url = f"{scheme}://{user}{at}server/{database}" + (f"?{query}" if query else "")
        return cls(
            kind, server_url, scheme == "rediss", addresses, service, (user_of_sentinels, password)
        )


def _address(raw: str, kind: Kind) -> Address:
    """Read ``host:port``, ``host`` or ``[IPv6]:port``."""
    try:
        parts = urlsplit(f"//{raw}")
        host, port = parts.hostname, parts.port
    except ValueError as problem:
        raise ValueError(f"is not a URL: {problem}") from None
    if not host:
        raise ValueError("names no server")
    return host, port or DEFAULT_PORTS[kind.value]


def _service(path: list[str]) -> str:
    """Take the name of the master that the Sentinels watch out of the path."""
    if not path:
        raise ValueError("names no service: redis+sentinel://host:port,host:port/SERVICE")
    return path.pop(0)


def _database(path: list[str], kind: Kind) -> int:
    """Read what is left of the path: the number of a database."""
    database = path[0] if path else "0"
    if len(path) > 1 or not database.isdecimal():
        raise ValueError("has a path that is no number of a database")
    if kind is Kind.CLUSTER and int(database):
        raise ValueError("names a database, but a Redis Cluster has only the database 0")
    return int(database)
