"""The forms of REDIS_URL: what they lead to, and what is said about those that lead nowhere."""

from __future__ import annotations

import pytest

from collab.config import Config
from collab.errors import ConfigError
from collab.redis_url import Kind, RedisUrl
from collab.secret_settings import has_password


def test_a_cluster_is_named_by_some_of_its_servers() -> None:
    url = RedisUrl.parse("rediss+cluster://u:p%40@a:7000,b,[::1]:7001?ssl_ca_certs=%2Fca.pem")
    assert (url.kind, url.tls) == (Kind.CLUSTER, True)
    assert url.addresses == (("a", 7000), ("b", 6379), ("::1", 7001))
    assert url.server_url == "rediss://u:p%40@server/0?ssl_ca_certs=%2Fca.pem"


def test_sentinels_are_named_with_the_service_the_database_and_their_own_login() -> None:
    url = RedisUrl.parse(
        "redis+sentinel://u:p@a,b:1/rooms/2?sentinel_username=s&sentinel_password=x%26y&db_=1"
    )
    assert (url.kind, url.tls, url.service) == (Kind.SENTINEL, False, "rooms")
    assert url.addresses == (("a", 26379), ("b", 1))
    assert url.sentinel_login == ("s", "x&y")
    assert url.server_url == "redis://u:p@server/2?db_=1"
    assert RedisUrl.parse("redis+sentinel://a/rooms").server_url == "redis://server/0"


@pytest.mark.parametrize("raw", ["redis://u:p@h/3", "rediss://h", "unix:///run/redis.sock"])
def test_the_url_of_one_server_is_left_to_redis_py(raw: str) -> None:
    url = RedisUrl.parse(raw)
    assert (url.kind, url.server_url) == (Kind.SERVER, raw)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("redis+cluster://", "names no server"),
        ("redis+cluster://:7000", "names no server"),
        ("redis+cluster://a:x,b", "is not a URL"),
        ("redis+cluster://a,b/1", "only the database 0"),
        ("redis+sentinel://a,b", "names no service"),
        ("redis+sentinel://a/rooms/one", "no number of a database"),
        ("redis+sentinel://a/rooms/1/2", "no number of a database"),
        ("redis+other://a", "must start with"),
    ],
)
def test_a_url_that_leads_nowhere_is_an_error_that_names_the_variable(raw: str, why: str) -> None:
    with pytest.raises(ConfigError, match=f"REDIS_URL.*{why}"):
        Config.from_env({"REDIS_URL": raw})


def test_a_password_for_sentinels_is_as_secret_as_one_for_servers() -> None:
    assert has_password("redis+sentinel://a,b/rooms?sentinel_password=x")
    assert has_password("redis+cluster://u:p@a:1,b:2")
    assert not has_password("redis+sentinel://a,b/rooms?sentinel_username=x")
    assert "secret" not in repr(RedisUrl.parse("redis+cluster://u:secret@a"))
