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

from collab.addresses import NO_PROXIES, Proxies
from collab.api_keys import ALL_SCOPES, ApiKey, ApiKeys
from collab.errors import ConfigError
from collab.hosts import ANY_HOST, Hosts
from collab.origins import ANY_ORIGIN, ONLY_OWN_PAGE, Origins
from collab.secret_settings import FILE, any_value, has_password, no_value, read_secret
from collab.token_settings import (
    ClaimNames,
    check_jwks_url,
    check_public_key,
    check_secret,
    parse_patterns,
)

log = logging.getLogger(__name__)

KIB = 1024
REDIS_SCHEMES = ("redis", "rediss", "unix")
PREFIX = "COLLAB_"
KEYS_OF_TOKENS = ("auth_secret", "auth_public_key", "auth_jwks_url")
"""The settings of which one makes a node ask for tokens."""
DEFAULT_ORIGINS = Origins(None)
"""The value of a setting that is not given: all origins, but with a key only the own page."""
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
    default: Any,
    variable: str,
    parse: Callable[[str], Any],
    about: str,
    secret: Callable[[str], bool] | None = None,
) -> Any:
    """Make a field of Config. ``secret`` tells which values of it must not be seen, if any.

    A setting with ``secret`` can also be given as a file (`read_secret`).
    """
    metadata = {"variable": variable, "parse": parse, "about": about, "secret": secret}
    return field(default=default, metadata=metadata, repr=secret is None)


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
        "", "REDIS_URL", _redis_url,
        "redis://, rediss:// or unix:// URL; none: a private Redis", secret=has_password,
    )  # fmt: skip
    node_id: str = _setting("", "COLLAB_NODE_ID", _node_id, "name of this node; none: a random one")
    hosts: Hosts = _setting(  # noqa: RUF009 - it makes a field
        ANY_HOST, "COLLAB_HOSTS", Hosts.parse,
        "names of this service, host[:port], separated by commas; requests for others are refused",
    )  # fmt: skip
    cors_origins: Origins = _setting(  # noqa: RUF009 - it makes a field
        DEFAULT_ORIGINS, "COLLAB_CORS_ORIGINS", Origins.parse,
        "origins of pages that may connect, scheme://host[:port], separated by commas, or *",
    )  # fmt: skip
    frame_ancestors: Origins = _setting(  # noqa: RUF009 - it makes a field
        ONLY_OWN_PAGE, "COLLAB_FRAME_ANCESTORS", Origins.parse,
        "origins of other sites whose pages may embed the editor page, or *",
    )  # fmt: skip
    api_key: str = _setting(
        "",
        "COLLAB_API_KEY",
        str,
        "key with all scopes that callers of /api send as a bearer token",
        secret=any_value,
    )
    api_keys: ApiKeys = _setting(  # noqa: RUF009 - it makes a field
        ApiKeys(), "COLLAB_API_KEYS", ApiKeys.parse,
        "keys for callers of /api, NAME:SCOPES:KEY with scopes read+write+end, separated by commas",
        secret=any_value,
    )  # fmt: skip
    auth_secret: str = _setting(
        "", "COLLAB_AUTH_SECRET", check_secret,
        "secret that people's tokens are signed with (HS256)", secret=any_value,
    )  # fmt: skip
    auth_public_key: str = _setting(
        "", "COLLAB_AUTH_PUBLIC_KEY", check_public_key,
        "public key of people's tokens, in PEM form (RS256 or ES256)", secret=no_value,
    )  # fmt: skip
    auth_jwks_url: str = _setting(
        "", "COLLAB_AUTH_JWKS_URL", check_jwks_url,
        "URL of the public keys of people's tokens, a JWKS (RS256 and ES256)", secret=has_password,
    )  # fmt: skip
    auth_jwks_interval: float = _setting(
        300.0, "COLLAB_AUTH_JWKS_INTERVAL", _seconds(1, 86400),
        "time between reads of the JWKS; an unknown key is also looked for at once",
    )  # fmt: skip
    auth_audience: str = _setting(
        "", "COLLAB_AUTH_AUDIENCE", str, "audience that a token must be for (aud)"
    )
    auth_issuer: str = _setting(
        "", "COLLAB_AUTH_ISSUER", str, "issuer that a token must be from (iss)"
    )
    auth_claims: ClaimNames = _setting(  # noqa: RUF009 - it makes a field
        ClaimNames(), "COLLAB_AUTH_CLAIMS", ClaimNames.parse,
        "names of the claims in a token, CLAIM=NAME, separated by commas",
    )  # fmt: skip
    auth_default_rooms: str = _setting(
        "", "COLLAB_AUTH_DEFAULT_ROOMS", parse_patterns,
        "rooms of a token that names none, as patterns separated by commas; none: no room",
    )  # fmt: skip
    auth_default_role: str = _setting(
        "editor", "COLLAB_AUTH_DEFAULT_ROLE", _choice("viewer", "editor", "admin"),
        "role of a token that names none",
    )  # fmt: skip
    max_token_bytes: int = _setting(
        6 * KIB, "COLLAB_MAX_TOKEN_BYTES", _whole(256, 64 * KIB), "largest token"
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
        "(views for at most 120 s, a room without a text for at most 10 s)",
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
    max_new_rooms: int = _setting(
        1000, "COLLAB_MAX_NEW_ROOMS", _whole(1, 1_000_000),
        "rooms without a text that one person, or one address, may enter a minute",
    )  # fmt: skip
    max_written_bytes: int = _setting(
        32 * KIB * KIB, "COLLAB_MAX_WRITTEN_BYTES", _whole(KIB, 64 * KIB * KIB * KIB),
        "bytes of edits that one person, or one address, may add to Redis a minute; more wait",
    )  # fmt: skip
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
    max_bytes_per_second: int = _setting(
        8192 * KIB, "COLLAB_MAX_BYTES_PER_SECOND", _whole(KIB, 1024 * KIB * KIB),
        "bytes per second of one connection; more wait (bursts of twice as many pass)",
    )  # fmt: skip
    max_busy: float = _setting(
        0.25, "COLLAB_MAX_BUSY", _seconds(0.001, 1),
        "time of each second for which one connection may keep the node busy (bursts of twice it)",
    )  # fmt: skip
    max_over_budget: float = _setting(
        10.0, "COLLAB_MAX_OVER_BUDGET", _seconds(0.1, 3600),
        "time after which a client over one of these two without a break gets rate_limited",
    )  # fmt: skip
    max_held_bytes: int = _setting(
        32 * KIB * KIB, "COLLAB_MAX_HELD_BYTES", _whole(KIB, 64 * KIB * KIB * KIB),
        "bytes that wait for all clients, or of them; above it who has most is disconnected",
    )  # fmt: skip
    max_unconnected: int = _setting(
        2000, "COLLAB_MAX_UNCONNECTED", _whole(1, 1_000_000),
        "Socket.IO sessions of one address that have not sent CONNECT; the oldest of more end",
    )  # fmt: skip
    connect_timeout: float = _setting(
        10.0, "COLLAB_CONNECT_TIMEOUT", _seconds(0.1, 3600),
        "time that a Socket.IO session has to send CONNECT",
    )  # fmt: skip
    body_timeout: float = _setting(
        30.0, "COLLAB_BODY_TIMEOUT", _seconds(0.1, 3600), "time that a request's body may take"
    )  # fmt: skip
    write_timeout: float = _setting(
        20.0, "COLLAB_WRITE_TIMEOUT", _seconds(0.1, 3600),
        "time in which a client must read something of what waits for it",
    )  # fmt: skip
    max_header_bytes: int = _setting(
        32 * KIB, "COLLAB_MAX_HEADER_BYTES", _whole(KIB, 1024 * KIB),
        "headers of one request together; each has at most 8190",
    )  # fmt: skip
    trusted_proxies: Proxies = _setting(  # noqa: RUF009 - it makes a field
        NO_PROXIES, "COLLAB_TRUSTED_PROXIES", Proxies.parse,
        "addresses and networks of proxies whose X-Forwarded-For is believed, with commas",
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
    revocation_ttl: float = _setting(
        7 * 86400.0, "COLLAB_REVOCATION_TTL", _seconds(60, 366 * 86400),
        "how long removals and revocations are kept: longer than any token is valid",
    )  # fmt: skip
    max_unchecked: float = _setting(
        30.0, "COLLAB_MAX_UNCHECKED", _seconds(1, 3600),
        "time without Redis after which clients with tokens are let go: they may be revoked",
    )  # fmt: skip
    drain_time: float = _setting(
        5.0,
        "COLLAB_DRAIN_TIME",
        _seconds(0, 600),
        "time over which a node that stops moves its clients to others",
    )

    @property
    def asks_for_tokens(self) -> bool:
        """Whether people must show a token."""
        return any(getattr(self, name) for name in KEYS_OF_TOKENS)

    @property
    def closed(self) -> bool:
        """Whether a key of tokens or of the API is configured: not everybody may do everything."""
        return self.asks_for_tokens or bool(self.all_api_keys)

    def origins(self, *, closed: bool) -> Origins:
        """Return the origins that may connect: the setting, or what holds without it."""
        chosen = self.cors_origins
        if chosen is DEFAULT_ORIGINS:
            chosen = ONLY_OWN_PAGE if closed else ANY_ORIGIN
        return chosen.at(self.hosts)

    @property
    def all_api_keys(self) -> ApiKeys:
        """The keys of the HTTP API: those of both settings."""
        if not self.api_key:
            return self.api_keys
        return ApiKeys((*self.api_keys.keys, ApiKey.of("COLLAB_API_KEY", ALL_SCOPES, self.api_key)))

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
            raw, name = _read(setting, env, options or {})
            if not raw:
                continue
            try:
                values[setting.name] = setting.metadata["parse"](raw)
            except ValueError as problem:
                shown = _shown(raw, setting.metadata["secret"])
                raise ConfigError(f"{name}: {shown} {problem}") from None
        values.setdefault("node_id", _fresh_node_id())
        _check_keys(values)
        return cls(**values)


def _check_keys(values: Mapping[str, Any]) -> None:
    """Raise ConfigError unless the settings of tokens go together.

    A node that is told about tokens, but not how to verify them, must not be open to all.
    """
    keys = [name for name in KEYS_OF_TOKENS if name in values]
    names = [f"{PREFIX}{name.upper()}" for name in KEYS_OF_TOKENS]
    if len(keys) > 1:
        raise ConfigError(f"only one of {', '.join(names)} may be given")
    others = [name for name in values if name.startswith("auth_") and name not in keys]
    if others and not keys:
        raise ConfigError(f"{PREFIX}{others[0].upper()} is given, but none of {', '.join(names)}")


def _shown(raw: str, secret: Callable[[str], bool] | None) -> str:
    """Return how an error names a value, which may be secret although it is not valid."""
    if secret is None:
        return repr(raw)
    return "the URL given" if secret is has_password else "the value given"


def _read(
    setting: Field[Any], env: Mapping[str, str], options: Mapping[str, str]
) -> tuple[str, str]:
    """Return the value of a setting, '' if none is given, and the option or variable it is from.

    Raises ConfigError if a secret can't be read.
    """
    for source, name_of in ((options, option_name), (env, str)):
        given = {name: source[name].strip() for name in variables(setting) if name in source}
        names = [name_of(name) for name, raw in given.items() if raw]
        if len(names) > 1:
            raise ConfigError(f"{' and '.join(names)} are both given")
        for variable, raw in given.items():
            if not raw:
                continue
            if variable == setting.metadata["variable"]:
                return raw, name_of(variable)
            try:
                return read_secret(raw), name_of(variable)
            except ValueError as problem:
                raise ConfigError(f"{name_of(variable)}: {problem}") from None
    return "", ""


def option_name(variable: str) -> str:
    """Return the command-line option that overrides a variable."""
    return "--" + variable.removeprefix(PREFIX).lower().replace("_", "-")


def variables(setting: Field[Any]) -> Iterator[str]:
    """Yield the variables that can give a field of Config: its own, and that of a file."""
    yield setting.metadata["variable"]
    if setting.metadata["secret"]:
        yield setting.metadata["variable"] + FILE


def secret_options(options: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each option that shows a secret on the command line, and the variable for its file.

    ``options`` are those of the command line, by the variables that they override.
    """
    for setting in fields(Config):
        variable, secret = setting.metadata["variable"], setting.metadata["secret"]
        if secret and (raw := options.get(variable, "").strip()) and secret(raw):
            yield option_name(variable), variable + FILE


def unknown_variables(env: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    """Yield each variable that looks like a setting but is none, with the most similar setting."""
    known = [variable for setting in fields(Config) for variable in variables(setting)]
    words = {variable.removeprefix(PREFIX): variable for variable in known}
    for variable in sorted(env):
        if variable.startswith(PREFIX) and variable not in (*known, *FOREIGN_VARIABLES):
            near = get_close_matches(variable.removeprefix(PREFIX), words, 1)
            yield variable, words[near[0]] if near else None


def warn_of_unknown_variables(env: Mapping[str, str]) -> None:
    """Log variables that may be misspelt settings; they are no error, as others may use them."""
    for variable, nearest in unknown_variables(env):
        log.warning("unknown variable", extra={"variable": variable, "nearest": nearest})
