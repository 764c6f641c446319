"""The configuration: every setting and limit, with its variable, default and meaning."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from collab.addresses import NO_PROXIES, Proxies
from collab.api_keys import ALL_SCOPES, ApiKey, ApiKeys
from collab.errors import ConfigError
from collab.hosts import ANY_HOST, Hosts
from collab.origins import ANY_ORIGIN, ONLY_OWN_PAGE, Origins
from collab.secret_settings import any_value, has_password, no_value
from collab.setting_parsers import (
    check_node_id,
    check_redis_url,
    integer,
    one_of,
    parse_ratio,
    parse_switch,
    seconds,
)
from collab.settings import PREFIX, read_settings, setting
from collab.token_settings import (
    ClaimNames,
    check_jwks_url,
    check_public_key,
    check_secret,
    parse_patterns,
)
from collab.webhook_settings import WebhookSecrets, check_base_url, check_http_url

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
KEYS_OF_TOKENS = ("auth_secret", "auth_public_key", "auth_jwks_url")
"""The settings of which one makes a node ask for tokens."""
DEFAULT_ORIGINS = Origins(None)
"""The value of a setting that is not given: all origins, but with a key only the own page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of a node. ``from_env`` reads them once, at the start; they never change.

    Sizes of text are UTF-8 bytes, times are seconds, unless the name says otherwise.
    """

    # Each setting: its default, its variable, its parser, and what it means.
    # fmt: off
    host: str = setting("127.0.0.1", "COLLAB_HOST", str, "address to listen on")
    port: int = setting(8005, "COLLAB_PORT", integer(0, 65535),
        "port to listen on; 0 lets the system choose")
    backlog: int = setting(4096, "COLLAB_BACKLOG", integer(1, 65535),
        "connections that may wait to be accepted, if the system allows as many")
    redis_url: str = setting("", "REDIS_URL", check_redis_url,
        "redis://, rediss:// or unix:// URL of a server, or redis+cluster:// or redis+sentinel:// "
        "with several (rediss+… for TLS); none: a private Redis", secret=has_password)
    node_id: str = setting("", "COLLAB_NODE_ID", check_node_id,
        "name of this node; none: a random one")
    hosts: Hosts = setting(ANY_HOST, "COLLAB_HOSTS", Hosts.parse,
        "names of this service, host[:port], separated by commas; requests for others are refused")
    cors_origins: Origins = setting(DEFAULT_ORIGINS, "COLLAB_CORS_ORIGINS", Origins.parse,
        "origins of pages that may connect, scheme://host[:port], separated by commas, or *")
    frame_ancestors: Origins = setting(ONLY_OWN_PAGE, "COLLAB_FRAME_ANCESTORS", Origins.parse,
        "origins of other sites whose pages may embed the editor page, or *")
    api_key: str = setting("", "COLLAB_API_KEY", str,
        "key with all scopes that callers of /api send as a bearer token", secret=any_value)
    api_keys: ApiKeys = setting(ApiKeys(), "COLLAB_API_KEYS", ApiKeys.parse,
        "keys for callers of /api, NAME:SCOPES:KEY with scopes read+write+end, separated by commas",
        secret=any_value)
    auth_secret: str = setting("", "COLLAB_AUTH_SECRET", check_secret,
        "secret that people's tokens are signed with (HS256)", secret=any_value)
    auth_public_key: str = setting("", "COLLAB_AUTH_PUBLIC_KEY", check_public_key,
        "public key of people's tokens, in PEM form (RS256 or ES256)", secret=no_value)
    auth_jwks_url: str = setting("", "COLLAB_AUTH_JWKS_URL", check_jwks_url,
        "URL of the public keys of people's tokens, a JWKS (RS256 and ES256)", secret=has_password)
    auth_jwks_interval: float = setting(300.0, "COLLAB_AUTH_JWKS_INTERVAL", seconds(1, 86400),
        "time between reads of the JWKS; an unknown key is also looked for at once")
    auth_audience: str = setting("", "COLLAB_AUTH_AUDIENCE", str,
        "audience that a token must be for (aud)")
    auth_issuer: str = setting("", "COLLAB_AUTH_ISSUER", str,
        "issuer that a token must be from (iss)")
    auth_claims: ClaimNames = setting(ClaimNames(), "COLLAB_AUTH_CLAIMS", ClaimNames.parse,
        "names of the claims in a token, CLAIM=NAME, separated by commas")
    auth_default_rooms: str = setting("", "COLLAB_AUTH_DEFAULT_ROOMS", parse_patterns,
        "rooms of a token that names none, as patterns separated by commas; none: no room")
    auth_default_role: str = setting("editor", "COLLAB_AUTH_DEFAULT_ROLE",
        one_of("viewer", "editor", "admin"), "role of a token that names none")
    max_token_bytes: int = setting(6 * KIB, "COLLAB_MAX_TOKEN_BYTES", integer(256, 64 * KIB),
        "largest token")
    log_level: str = setting("info", "COLLAB_LOG_LEVEL",
        one_of("debug", "info", "warning", "error"), "lowest level that is logged")
    log_format: str = setting("auto", "COLLAB_LOG_FORMAT", one_of("auto", "text", "json"),
        "auto: text on a terminal, else json")

    room_ttl: float = setting(1800.0, "COLLAB_ROOM_TTL", seconds(1, 30 * 86400),
        "how long a room outlives its last change")
    room_grace: float = setting(120.0, "COLLAB_ROOM_GRACE", seconds(0, 3600),
        "how long a node keeps an empty room, and the views of members that may return "
        "(views for at most 120 s, a room without a text for at most 10 s)")
    max_code_bytes: int = setting(256 * KIB, "COLLAB_MAX_CODE_BYTES", integer(1, 16 * MIB),
        "largest text of a room")
    max_room_name: int = setting(128, "COLLAB_MAX_ROOM_NAME", integer(1, 512),
        "longest room name, in characters")
    max_rooms_per_connection: int = setting(16, "COLLAB_MAX_ROOMS_PER_CONNECTION",
        integer(1, 10_000), "rooms that one connection may be in")
    max_new_rooms: int = setting(1000, "COLLAB_MAX_NEW_ROOMS", integer(1, 1_000_000),
        "rooms without a text that one person, or one address, may enter a minute")
    max_written_bytes: int = setting(8 * MIB, "COLLAB_MAX_WRITTEN_BYTES", integer(KIB, 64 * GIB),
        "bytes of edits that one person, or one address, may add to Redis a minute; more wait")
    max_members_per_room: int = setting(100, "COLLAB_MAX_MEMBERS_PER_ROOM", integer(1, 100_000),
        "members of a room on one node")
    max_connections: int = setting(10_000, "COLLAB_MAX_CONNECTIONS", integer(1, 1_000_000),
        "connections that one node accepts")
    max_changes_per_second: int = setting(60, "COLLAB_MAX_CHANGES_PER_SECOND", integer(1, 100_000),
        "events per second of one connection; more are delayed (bursts of twice as many pass)")
    max_slowed: float = setting(30.0, "COLLAB_MAX_SLOWED", seconds(0.1, 3600),
        "time after which a client that is delayed without a break gets rate_limited")
    max_frame_bytes: int = setting(2 * MIB, "COLLAB_MAX_FRAME_BYTES", integer(1024, 64 * MIB),
        "largest message or polling request (JSON may write one character as twelve bytes)")
    max_polling_packets: int = setting(1024, "COLLAB_MAX_POLLING_PACKETS", integer(16, 100_000),
        "packets in one polling request")
    max_unsent_packets: int = setting(1024, "COLLAB_MAX_UNSENT_PACKETS", integer(16, 100_000),
        "packets that may wait for one client; above that it is disconnected")
    max_unsent_bytes: int = setting(4 * MIB, "COLLAB_MAX_UNSENT_BYTES", integer(KIB, GIB),
        "bytes that may wait for one Yjs client; above that it is disconnected, and syncs again")
    max_document_bytes: int = setting(4 * MIB, "COLLAB_MAX_DOCUMENT_BYTES", integer(KIB, GIB),
        "maximum size to which Yjs clients may grow a document, including everything but its text")
    max_document_structs: int = setting(50_000, "COLLAB_MAX_DOCUMENT_STRUCTS",
        integer(1, 10_000_000),
        "maximum number of structs to which Yjs clients may grow a document")
    max_update_structs: int = setting(12_000, "COLLAB_MAX_UPDATE_STRUCTS", integer(1, 10_000_000),
        "structs that one Yjs update may insert")
    max_update_ranges: int = setting(12_000, "COLLAB_MAX_UPDATE_RANGES", integer(1, 10_000_000),
        "ranges that one Yjs update may delete")
    max_nesting: int = setting(64, "COLLAB_MAX_NESTING", integer(1, 1000),
        "depth to which shared types of Yjs may be nested")
    max_state_vector: int = setting(10_000, "COLLAB_MAX_STATE_VECTOR", integer(1, 10_000_000),
        "entries in the state vector of a Yjs client, and clients that may write a document")
    max_bytes_per_second: int = setting(8 * MIB, "COLLAB_MAX_BYTES_PER_SECOND", integer(KIB, GIB),
        "bytes per second of one connection; more wait (bursts of twice as many pass)")
    max_busy: float = setting(0.25, "COLLAB_MAX_BUSY", seconds(0.001, 1),
        "time of each second for which one connection may keep the node busy (bursts of twice it)")
    max_over_budget: float = setting(10.0, "COLLAB_MAX_OVER_BUDGET", seconds(0.1, 3600),
        "time after which a client over one of these two without a break gets rate_limited")
    max_held_bytes: int = setting(32 * MIB, "COLLAB_MAX_HELD_BYTES", integer(KIB, 64 * GIB),
        "bytes that wait for all clients, or of them; above it who has most is disconnected")
    max_unconnected: int = setting(2000, "COLLAB_MAX_UNCONNECTED", integer(1, 1_000_000),
        "Socket.IO sessions of one address that have not sent CONNECT; the oldest of more end")
    connect_timeout: float = setting(10.0, "COLLAB_CONNECT_TIMEOUT", seconds(0.1, 3600),
        "time for the first request of a connection, and the CONNECT of a Socket.IO session")
    body_timeout: float = setting(30.0, "COLLAB_BODY_TIMEOUT", seconds(0.1, 3600),
        "time that a request's body may take")
    write_timeout: float = setting(20.0, "COLLAB_WRITE_TIMEOUT", seconds(0.1, 3600),
        "time in which a client must read something of what waits for it")
    max_header_bytes: int = setting(32 * KIB, "COLLAB_MAX_HEADER_BYTES", integer(KIB, MIB),
        "headers of one request together; each has at most 8190")
    trusted_proxies: Proxies = setting(NO_PROXIES, "COLLAB_TRUSTED_PROXIES", Proxies.parse,
        "addresses and networks of proxies whose X-Forwarded-For is believed, with commas")
    ping_interval: float = setting(25.0, "COLLAB_PING_INTERVAL", seconds(0.1, 300),
        "time between heartbeats")
    ping_timeout: float = setting(20.0, "COLLAB_PING_TIMEOUT", seconds(0.1, 300),
        "time a client has to answer a heartbeat")
    deflate: bool = setting(False, "COLLAB_DEFLATE", parse_switch,
        "permessage-deflate (costs 113 kB a connection)")
    redis_timeout: float = setting(2.0, "COLLAB_REDIS_TIMEOUT", seconds(0.05, 60),
        "time to connect to Redis, and for each of its answers")
    commit_window: float = setting(0.005, "COLLAB_COMMIT_WINDOW", seconds(0, 0.1),
        "time in which a node gathers commits for one round trip to a Redis, unless it is idle")
    redis_wait: float = setting(30.0, "COLLAB_REDIS_WAIT", seconds(0, 3600),
        "time to wait at start until Redis is up")
    check_interval: float = setting(2.0, "COLLAB_CHECK_INTERVAL", seconds(0.1, 60),
        "time between checks of a room's journal")
    presence_interval: float = setting(8.0, "COLLAB_PRESENCE_INTERVAL", seconds(0.1, 10),
        "time between reports of a node's members; a node that misses three counts as dead")
    max_journal_entries: int = setting(2000, "COLLAB_MAX_JOURNAL_ENTRIES", integer(2, 1_000_000),
        "entries in the history of a room")
    max_journal_bytes: int = setting(2 * MIB, "COLLAB_MAX_JOURNAL_BYTES", integer(KIB, GIB),
        "bytes in the history of a room")
    revocation_ttl: float = setting(7 * 86400.0, "COLLAB_REVOCATION_TTL", seconds(60, 366 * 86400),
        "how long removals and revocations are kept: longer than any token is valid")
    max_unchecked: float = setting(30.0, "COLLAB_MAX_UNCHECKED", seconds(1, 3600),
        "time without Redis after which clients with tokens are let go: they may be revoked")
    drain_time: float = setting(5.0, "COLLAB_DRAIN_TIME", seconds(0, 600),
        "time over which a node that stops moves its clients to others")
    traces: float = setting(0.0, "COLLAB_TRACES", parse_ratio,
        "part of the changes that are traced with OpenTelemetry, 0 to 1")
    webhook_url: str = setting("", "COLLAB_WEBHOOK_URL", check_http_url,
        "URL that learns of the life of rooms, http:// or https://; none: no webhooks",
        secret=has_password)
    webhook_secret: WebhookSecrets = setting(WebhookSecrets(), "COLLAB_WEBHOOK_SECRET",
        WebhookSecrets.parse,
        "secret that signs webhooks, whsec_ and base64 of 24 to 64 bytes; two with a comma",
        secret=any_value)
    webhook_timeout: float = setting(10.0, "COLLAB_WEBHOOK_TIMEOUT", seconds(0.1, 60),
        "time for one attempt to deliver a webhook")
    webhook_attempts: int = setting(10, "COLLAB_WEBHOOK_ATTEMPTS", integer(1, 100),
        "attempts to deliver a webhook before it goes to the dead-letter list")
    webhook_backoff: float = setting(5.0, "COLLAB_WEBHOOK_BACKOFF", seconds(0.01, 3600),
        "time to the second attempt; each further wait is three times as long, at most an hour")
    webhook_concurrency: int = setting(8, "COLLAB_WEBHOOK_CONCURRENCY", integer(1, 1000),
        "webhooks that a node delivers at once")
    webhook_max_events: int = setting(10_000, "COLLAB_WEBHOOK_MAX_EVENTS", integer(1, 10_000_000),
        "webhooks that may wait in Redis; rooms wait with their next ones")
    webhook_max_bytes: int = setting(64 * MIB, "COLLAB_WEBHOOK_MAX_BYTES", integer(KIB, 64 * GIB),
        "bytes of the webhooks that may wait in Redis, and of those in the dead-letter list")
    webhook_max_dead: int = setting(1000, "COLLAB_WEBHOOK_MAX_DEAD", integer(0, 1_000_000),
        "webhooks in the dead-letter list; the oldest of more are dropped")
    webhook_idle: float = setting(60.0, "COLLAB_WEBHOOK_IDLE", seconds(0.5, 86400),
        "time without members after which a room is idle")
    webhook_lead: float = setting(300.0, "COLLAB_WEBHOOK_LEAD", seconds(0.5, 86400),
        "time before a room's expiry at which room.expiring is sent; at most half of its lifetime")
    public_url: str = setting("", "COLLAB_PUBLIC_URL", check_base_url,
        "URL at which people reach the service, for links in webhooks; none: no links")
    # fmt: on

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
    def max_reading(self) -> int:
        """Bytes that a room may have in Redis by its limits: its history, and the document."""
        return self.max_journal_bytes + self.max_document_bytes

    @classmethod
    def from_env(cls, env: Mapping[str, str], options: Mapping[str, str] | None = None) -> Config:
        """Read the settings from ``env``; an empty or missing variable has its default.

        ``options`` are those of the command line, by the variables that they override. Raises
        ConfigError, which names the option or the variable, for an invalid value.
        """
        values = read_settings(fields(cls), env, options or {})
        values.setdefault("node_id", _random_node_id())
        _check_keys(values)
        _check_webhooks(values)
        return cls(**values)


def _random_node_id() -> str:
    name = "".join(c if c.isalnum() or c in "-_." else "-" for c in socket.gethostname()[:40])
    return f"{name or 'node'}-{secrets.token_hex(3)}"


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


def _check_webhooks(values: Mapping[str, Any]) -> None:
    """Raise ConfigError if a receiver of webhooks could not verify them, or there is none."""
    url, secret = f"{PREFIX}WEBHOOK_URL", f"{PREFIX}WEBHOOK_SECRET"
    if ("webhook_url" in values) != ("webhook_secret" in values):
        raise ConfigError(f"{url} and {secret} must be given together")
