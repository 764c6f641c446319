"""The configuration: every setting and limit, with its variable, default and meaning."""

from __future__ import annotations

import logging
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from difflib import get_close_matches
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from collab.errors import ConfigError
from collab.origins import ANY_ORIGIN, Origins

log = logging.getLogger(__name__)

KIB = 1024
REDIS_SCHEMES = ("redis", "rediss", "unix")
PREFIX = "COLLAB_"
FOREIGN_VARIABLES = ("COLLAB_PUBLIC_PORT", "COLLAB_URL")
"""Variables of Compose and of the load test, about which a node does not warn."""


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(raw: str) -> int:
        try:
            value = int(raw)
        except ValueError:
            raise ValueError("is not a whole number") from None
        if not low <= value <= high:
            raise ValueError(f"is not between {low} and {high}")
        return value

    return parse


def _seconds(low: float, high: float) -> Callable[[str], float]:
    def parse(raw: str) -> float:
        try:
            value = float(raw)
        except ValueError:
            raise ValueError("is not a number of seconds") from None
        if not low <= value <= high:
            raise ValueError(f"is not between {low:g} and {high:g} seconds")
        return value

    return parse


def _choice(*words: str) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        if raw not in words:
            raise ValueError(f"is not one of {', '.join(words)}")
        return raw

    return parse


def _switch(raw: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True}
    words |= {"0": False, "false": False, "no": False, "off": False}
    try:
        return words[raw.lower()]
    except KeyError:
        raise ValueError("is neither yes nor no") from None


def _node_id(raw: str) -> str:
    if not raw.isascii() or not raw.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise ValueError("may hold letters, digits and -_. only")
    if len(raw) > 64:
        raise ValueError("is longer than 64 characters")
    return raw


def _redis_url(raw: str) -> str:
    try:
        parts = urlsplit(raw)
        parts.port  # noqa: B018 - urlsplit checks the port only when asked for it
    except ValueError as problem:
        raise ValueError(f"is not a URL: {problem}") from None
    if parts.scheme not in REDIS_SCHEMES:
        raise ValueError(f"must start with {', '.join(s + '://' for s in REDIS_SCHEMES)}")
    if not (parts.path if parts.scheme == "unix" else parts.hostname):
        raise ValueError("names no server")
    return raw


def _fresh_node_id() -> str:
    name = "".join(c if c.isalnum() or c in "-_." else "-" for c in socket.gethostname()[:40])
    return f"{name or 'node'}-{secrets.token_hex(3)}"


def _setting(
    default: Any, variable: str, parse: Callable[[str], Any], about: str, **extra: Any
) -> Any:
    return field(
        default=default, metadata={"variable": variable, "parse": parse, "about": about, **extra}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of a node. ``from_env`` reads them once, at the start; they never change.

    Sizes of text are UTF-8 bytes, times are seconds, unless the name says otherwise.
    """

    host: str = _setting("127.0.0.1", "COLLAB_HOST", str, "address to listen on")
    port: int = _setting(
        8005, "COLLAB_PORT", _whole(0, 65535), "port to listen on; 0 lets the system choose"
    )
    backlog: int = _setting(
        4096, "COLLAB_BACKLOG", _whole(1, 65535),
        "connections that may wait to be accepted, if the system allows as many",
    )  # fmt: skip
    redis_url: str = _setting(
        "", "REDIS_URL", _redis_url, "redis://, rediss:// or unix:// URL; none: a private Redis"
    )
    node_id: str = _setting("", "COLLAB_NODE_ID", _node_id, "name of this node; none: a random one")
    cors_origins: Origins = _setting(  # noqa: RUF009 - it makes a field
        ANY_ORIGIN, "COLLAB_CORS_ORIGINS", Origins.parse,
        "origins of pages that may connect, scheme://host[:port], separated by commas, or *",
    )  # fmt: skip
    api_key: str = _setting(
        "",
        "COLLAB_API_KEY",
        str,
        "key that callers of /api send as a bearer token; none: /api is open",
    )
    log_level: str = _setting(
        "info",
        "COLLAB_LOG_LEVEL",
        _choice("debug", "info", "warning", "error"),
        "lowest level that is logged",
    )
    log_format: str = _setting(
        "auto",
        "COLLAB_LOG_FORMAT",
        _choice("auto", "text", "json"),
        "auto: text on a terminal, else json",
    )

    room_ttl: float = _setting(
        1800.0,
        "COLLAB_ROOM_TTL",
        _seconds(1, 30 * 86400),
        "how long a room outlives its last change",
    )
    room_grace: float = _setting(
        120.0, "COLLAB_ROOM_GRACE", _seconds(0, 3600),
        "how long a node keeps an empty room, and the views of members that may return "
        "(views for at most 120 s)",
    )  # fmt: skip
    max_code_bytes: int = _setting(
        256 * KIB, "COLLAB_MAX_CODE_BYTES", _whole(1, 16 * KIB * KIB), "largest text of a room"
    )
    max_room_name: int = _setting(
        128, "COLLAB_MAX_ROOM_NAME", _whole(1, 512), "longest room name, in characters"
    )
    max_rooms_per_connection: int = _setting(
        16,
        "COLLAB_MAX_ROOMS_PER_CONNECTION",
        _whole(1, 10_000),
        "rooms that one connection may be in",
    )
    max_members_per_room: int = _setting(
        100, "COLLAB_MAX_MEMBERS_PER_ROOM", _whole(1, 100_000), "members of a room on one node"
    )
    max_connections: int = _setting(
        10_000, "COLLAB_MAX_CONNECTIONS", _whole(1, 1_000_000), "connections that one node accepts"
    )
    max_changes_per_second: int = _setting(
        60, "COLLAB_MAX_CHANGES_PER_SECOND", _whole(1, 100_000),
        "events per second of one connection; more are delayed (bursts of twice as many pass)",
    )  # fmt: skip
    max_slowed: float = _setting(
        30.0, "COLLAB_MAX_SLOWED", _seconds(0.1, 3600),
        "time after which a client that is delayed without a break gets rate_limited",
    )  # fmt: skip
    max_frame_bytes: int = _setting(
        2048 * KIB, "COLLAB_MAX_FRAME_BYTES", _whole(1024, 64 * KIB * KIB),
        "largest message or polling request (JSON may write one character as twelve bytes)",
    )  # fmt: skip
    max_polling_packets: int = _setting(
        1024, "COLLAB_MAX_POLLING_PACKETS", _whole(16, 100_000), "packets in one polling request"
    )
    max_unsent_packets: int = _setting(
        1024, "COLLAB_MAX_UNSENT_PACKETS", _whole(16, 100_000),
        "packets that may wait for one client; above that it is disconnected",
    )  # fmt: skip
    max_unsent_bytes: int = _setting(
        4096 * KIB, "COLLAB_MAX_UNSENT_BYTES", _whole(KIB, 1024 * KIB * KIB),
        "bytes that may wait for one Yjs client; above that it is disconnected, and syncs again",
    )  # fmt: skip
    max_document_bytes: int = _setting(
        4096 * KIB, "COLLAB_MAX_DOCUMENT_BYTES", _whole(KIB, 1024 * KIB * KIB),
        "maximum size to which Yjs clients may grow a document, including everything but its text",
    )  # fmt: skip
    max_document_structs: int = _setting(
        50_000, "COLLAB_MAX_DOCUMENT_STRUCTS", _whole(1, 10_000_000),
        "maximum number of structs to which Yjs clients may grow a document",
    )  # fmt: skip
    max_update_structs: int = _setting(
        12_000, "COLLAB_MAX_UPDATE_STRUCTS", _whole(1, 10_000_000),
        "structs that one Yjs update may insert",
    )  # fmt: skip
    max_update_ranges: int = _setting(
        12_000, "COLLAB_MAX_UPDATE_RANGES", _whole(1, 10_000_000),
        "ranges that one Yjs update may delete",
    )  # fmt: skip
    max_nesting: int = _setting(
        64,
        "COLLAB_MAX_NESTING",
        _whole(1, 1000),
        "depth to which shared types of Yjs may be nested",
    )
    max_state_vector: int = _setting(
        10_000, "COLLAB_MAX_STATE_VECTOR", _whole(1, 10_000_000),
        "entries in the state vector of a Yjs client, and clients that may write a document",
    )  # fmt: skip
    ping_interval: float = _setting(
        25.0, "COLLAB_PING_INTERVAL", _seconds(0.1, 300), "time between heartbeats"
    )
    ping_timeout: float = _setting(
        20.0, "COLLAB_PING_TIMEOUT", _seconds(0.1, 300), "time a client has to answer a heartbeat"
    )
    deflate: bool = _setting(
        False, "COLLAB_DEFLATE", _switch, "permessage-deflate (costs 113 kB a connection)"
    )
    redis_timeout: float = _setting(
        2.0,
        "COLLAB_REDIS_TIMEOUT",
        _seconds(0.05, 60),
        "time to connect to Redis, and for each of its answers",
    )
    redis_wait: float = _setting(
        30.0, "COLLAB_REDIS_WAIT", _seconds(0, 3600), "time to wait at start until Redis is up"
    )
    check_interval: float = _setting(
        2.0, "COLLAB_CHECK_INTERVAL", _seconds(0.1, 60), "time between checks of a room's journal"
    )
    presence_interval: float = _setting(
        8.0, "COLLAB_PRESENCE_INTERVAL", _seconds(0.1, 10),
        "time between reports of a node's members; a node that misses three counts as dead",
    )  # fmt: skip
    max_journal_entries: int = _setting(
        2000, "COLLAB_MAX_JOURNAL_ENTRIES", _whole(2, 1_000_000), "entries in the history of a room"
    )
    max_journal_bytes: int = _setting(
        2048 * KIB, "COLLAB_MAX_JOURNAL_BYTES", _whole(KIB, 1024 * KIB * KIB),
        "bytes in the history of a room",
    )  # fmt: skip
    drain_time: float = _setting(
        5.0,
        "COLLAB_DRAIN_TIME",
        _seconds(0, 600),
        "time over which a node that stops moves its clients to others",
    )

    @property
    def on_loopback(self) -> bool:
        """Whether ``host`` lets only this machine reach the node."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @classmethod
    def from_env(cls, env: Mapping[str, str], options: Mapping[str, str] | None = None) -> Config:
        """Read the settings from ``env``; an empty or missing variable has its default.

        ``options`` are those of the command line, by the variables that they override. Raises
        ConfigError, which names the option or the variable, for an invalid value.
        """
        values: dict[str, Any] = {}
        for setting in fields(cls):
            variable, name = setting.metadata["variable"], setting.metadata["variable"]
            raw = env.get(variable, "").strip()
            if options and (given := options.get(variable, "").strip()):
                raw, name = given, option_name(setting)
            if not raw:
                continue
            try:
                values[setting.name] = setting.metadata["parse"](raw)
            except ValueError as problem:
                shown = "the URL given" if setting.name == "redis_url" else repr(raw)
                raise ConfigError(f"{name}: {shown} {problem}") from None
        values.setdefault("node_id", _fresh_node_id())
        return cls(**values)


def option_name(setting: Field[Any]) -> str:
    """Return the command-line option of a field of Config."""
    return "--" + setting.name.replace("_", "-")


def unknown_variables(env: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    """Yield each variable that looks like a setting but is none, with the most similar setting."""
    variables = [setting.metadata["variable"] for setting in fields(Config)]
    words = {variable.removeprefix(PREFIX): variable for variable in variables}
    for variable in sorted(env):
        if variable.startswith(PREFIX) and variable not in (*variables, *FOREIGN_VARIABLES):
            near = get_close_matches(variable.removeprefix(PREFIX), words, 1)
            yield variable, words[near[0]] if near else None


def warn_of_unknown_variables(env: Mapping[str, str]) -> None:
    """Log variables that may be misspelt settings; they are no error, as others may use them."""
    for variable, nearest in unknown_variables(env):
        log.warning("unknown variable", extra={"variable": variable, "nearest": nearest})
