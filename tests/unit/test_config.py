"""The configuration: every value is checked, and the error names the variable."""

from __future__ import annotations

from dataclasses import fields

import pytest

from collab.config import Config, unknown_variables
from collab.errors import ConfigError


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    config = Config.from_env({})
    assert (config.port, config.room_ttl, config.max_code_bytes) == (8005, 1800.0, 256 * 1024)
    assert config.redis_url == "" and config.node_id


def test_an_empty_variable_counts_as_absent() -> None:
    assert Config.from_env({"COLLAB_PORT": " ", "REDIS_URL": ""}).port == 8005


def test_two_nodes_without_a_name_get_different_names() -> None:
    assert Config.from_env({}).node_id != Config.from_env({}).node_id


def test_every_setting_has_its_own_variable_and_a_description() -> None:
    variables = [setting.metadata["variable"] for setting in fields(Config)]
    assert len(set(variables)) == len(variables)
    assert all(setting.metadata["about"] for setting in fields(Config))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("COLLAB_PORT", "http"), ("COLLAB_PORT", "70000"), ("COLLAB_PORT", "-1"),
        ("COLLAB_ROOM_TTL", "soon"), ("COLLAB_ROOM_TTL", "nan"), ("COLLAB_LOG_LEVEL", "loud"),
        ("COLLAB_DEFLATE", "maybe"), ("COLLAB_NODE_ID", "a b"), ("COLLAB_NODE_ID", "x" * 65),
        ("REDIS_URL", "localhost:6379"), ("REDIS_URL", "http://localhost"), ("REDIS_URL", "redis://"),
        ("REDIS_URL", "redis://host:port/0"), ("COLLAB_MAX_CODE_BYTES", "0"),
    ],
)  # fmt: skip
def test_a_bad_value_is_refused_with_the_variables_name(variable: str, value: str) -> None:
    with pytest.raises(ConfigError, match=variable):
        Config.from_env({variable: value})


def test_a_bad_option_is_named_as_the_option_and_wins_over_its_variable() -> None:
    with pytest.raises(ConfigError, match=r"^--room-ttl: 'soon'"):
        Config.from_env({"COLLAB_ROOM_TTL": "7"}, {"COLLAB_ROOM_TTL": "soon"})
    assert Config.from_env({"COLLAB_ROOM_TTL": "7"}, {"COLLAB_ROOM_TTL": "8"}).room_ttl == 8


def test_an_unknown_variable_comes_with_the_nearest_known_one() -> None:
    known = ("COLLAB_PORT", "COLLAB_URL", "REDIS_URL", "PATH")
    unknown = {"COLLAB_PROT": "COLLAB_PORT", "COLLAB_REDIS_URL": "REDIS_URL", "COLLAB_XYZZY": None}
    assert dict(unknown_variables(dict.fromkeys((*known, *unknown), "1"))) == unknown


def test_a_bad_url_is_not_repeated_since_it_may_hold_a_password() -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_env({"REDIS_URL": "http://:secret@host"})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["redis://localhost", "rediss://u:p@h:6380/2", "unix:///run/redis.sock"]
)
def test_every_kind_of_redis_url_is_accepted(url: str) -> None:
    assert Config.from_env({"REDIS_URL": url}).redis_url == url


@pytest.mark.parametrize(
    ("host", "on_loopback"),
    [
        ("127.0.0.1", True), ("127.8.0.1", True), ("::1", True), ("localhost", True),
        ("0.0.0.0", False), ("::", False), ("10.0.0.5", False), ("node.example", False),
    ],
)  # fmt: skip
def test_only_a_loopback_host_is_on_loopback(host: str, on_loopback: bool) -> None:
    assert Config(host=host).on_loopback is on_loopback
