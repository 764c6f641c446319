"""Which pages may connect: the setting, and the rule that all endpoints apply."""

from __future__ import annotations

from typing import Any

import pytest

from collab.config import Config
from collab.errors import ConfigError, OriginNotAllowed
from collab.origins import ANY_ORIGIN, Origins

LISTED = "https://peerprep.example"
HERE = ("127.0.0.1", 8005)
"""The node's address of a connection, as a socket returns it."""


@pytest.mark.parametrize(
    ("given", "origins"),
    [
        (LISTED, {LISTED}),
        (" https://a.example ,\thttp://b.example ", {"https://a.example", "http://b.example"}),
        ("HTTPS://PeerPrep.Example", {LISTED}),
        ("https://a.example:443,http://a.example:80", {"https://a.example", "http://a.example"}),
        ("http://a.example:8080", {"http://a.example:8080"}),
        ("http://127.0.0.1:3000,http://my_host", {"http://127.0.0.1:3000", "http://my_host"}),
        ("http://[2001:DB8:0::1]:8005", {"http://[2001:db8::1]:8005"}),
        ("chrome-extension://abcdef", {"chrome-extension://abcdef"}),
    ],
)
def test_origins_are_normalized_to_the_form_that_browsers_send(
    given: str, origins: set[str]
) -> None:
    assert Origins.parse(given) == Origins(frozenset(origins))


@pytest.mark.parametrize("given", ["*", " * "])
def test_a_star_allows_all(given: str) -> None:
    assert Origins.parse(given) == ANY_ORIGIN and str(ANY_ORIGIN) == "*"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("https://a.example/", "has 'https://a.example/' with a path"),
        ("https://a.example/app", "with a path"),
        ("https://a.example?x", "with a query"),
        ("https://a.example#x", "with a fragment"),
        ("a.example", "without a scheme"),
        ("localhost:3000", "without a scheme"),
        ("//a.example", "without a scheme"),
        ("wss://a.example", "page's origin begins with http"),
        ("https://", "no host"),
        ("https://:8005", "no host"),
        ("https://*.example", "'*' stands alone"),
        ("https://a.example,*", "'*' stands alone"),
        ("https://me@a.example", "with a user"),
        ("https://a.example:port", "port"),
        ("https://a.example:70000", "port"),
        ("https://a.example:", "port"),
        ("http://[::1", "no host"),
        ("http://[::1::2]", "[::1::2]"),
        ("http://[a.example]", "no host"),
        ("https://a b.example", "no host"),
        ("https://ä.example", "xn--"),
        ("null", "'null'"),
        ("https://a.example,,https://b.example", "empty"),
        (",", "empty"),
    ],
)
def test_an_invalid_origin_is_refused_with_the_name_of_the_setting(
    given: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=r"^COLLAB_CORS_ORIGINS: ") as refused:
        Config.from_env({"COLLAB_CORS_ORIGINS": given})
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("env", "origins"),
    [
        ({}, "*"),
        ({"COLLAB_API_KEY": "k"}, "none"),
        ({"COLLAB_API_KEYS": "a:read:0123456789abcdef"}, "none"),
        ({"COLLAB_API_KEY": "k", "COLLAB_CORS_ORIGINS": "*"}, "*"),
        ({"COLLAB_API_KEY": "k", "COLLAB_CORS_ORIGINS": LISTED}, LISTED),
    ],
)
def test_with_a_key_only_the_own_page_may_connect_unless_the_setting_says_otherwise(
    env: dict[str, str], origins: str
) -> None:
    assert str(Config.from_env(env).origins) == origins


@pytest.mark.parametrize(
    ("allowed", "origin", "socket", "right"),
    [
        ("*", "https://anywhere.example", HERE, True),
        ("*", "null", HERE, True),
        (LISTED, None, HERE, True),
        (LISTED, LISTED, HERE, True),
        (LISTED, "https://evil.example", HERE, False),
        (LISTED, "http://peerprep.example", HERE, False),
        (LISTED, "null", HERE, False),
        (LISTED, "", HERE, False),
        # The service's own page, at the address of the connection.
        (LISTED, "http://127.0.0.1:8005", HERE, True),
        (LISTED, "http://localhost:8005", HERE, True),
        (LISTED, "http://[::1]:8005", HERE, True),
        (LISTED, "http://localhost:8006", HERE, False),
        (LISTED, "https://localhost:8005", HERE, False),
        (LISTED, "http://rebound.example:8005", HERE, False),
        (LISTED, "http://[::1]:8005", ("::1", 8005, 0, 0), True),
        (LISTED, "http://localhost:8005", ("::1", 8005, 0, 0), True),
        (LISTED, "http://localhost", ("127.0.0.1", 80), True),
        (LISTED, "http://192.0.2.7:8005", ("192.0.2.7", 8005), True),
        (LISTED, "http://192.0.2.7:8005", ("::ffff:192.0.2.7", 8005, 0, 0), True),
        (LISTED, "http://localhost:8005", ("::ffff:127.0.0.1", 8005, 0, 0), True),
        (LISTED, "http://localhost:8005", ("192.0.2.7", 8005), False),
        (LISTED, "http://[fe80::1]:8005", ("fe80::1%eth0", 8005, 0, 2), True),
        (LISTED, "http://localhost:8005", "/run/collab.sock", False),
        (LISTED, "http://localhost:8005", None, False),
    ],
)
def test_allow_and_check_agree_on_which_pages_may_connect(
    allowed: str, origin: str | None, socket: Any, right: bool
) -> None:
    origins = Origins.parse(allowed)
    assert origins.allow(origin, socket) is right
    if right:
        origins.check(origin, socket)
    else:
        with pytest.raises(OriginNotAllowed, match="COLLAB_CORS_ORIGINS"):
            origins.check(origin, socket)
