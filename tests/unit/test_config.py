"""The configuration: every value is checked, and the error names the variable."""

from __future__ import annotations

from dataclasses import fields
from itertools import product
from pathlib import Path

import pytest

from collab.config import Config
from collab.errors import ConfigError
from collab.setting_warnings import secret_options, unknown_variables


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


# Secrets


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text("  s3cret\n")
    return path


def test_a_secret_can_be_given_as_a_file(key_file: Path) -> None:
    assert Config.from_env({"COLLAB_API_KEY_FILE": str(key_file)}).api_key == "s3cret"
    key_file.write_text("redis://:p@host:6380/2\n")
    assert Config.from_env({"REDIS_URL_FILE": str(key_file)}).redis_url == "redis://:p@host:6380/2"


def test_an_option_of_either_form_overrides_a_variable_of_either_form(key_file: Path) -> None:
    variables = [{"COLLAB_API_KEY": "other"}, {"COLLAB_API_KEY_FILE": "/missing"}]
    options = [{"COLLAB_API_KEY": "s3cret"}, {"COLLAB_API_KEY_FILE": str(key_file)}]
    for env, given in product(variables, options):
        assert Config.from_env(env, given).api_key == "s3cret"


def test_a_secret_that_is_given_twice_is_refused(key_file: Path) -> None:
    both = {"COLLAB_API_KEY": "s3cret", "COLLAB_API_KEY_FILE": str(key_file)}
    with pytest.raises(
        ConfigError, match=r"^COLLAB_API_KEY and COLLAB_API_KEY_FILE are both given"
    ):
        Config.from_env(both)
    with pytest.raises(ConfigError, match=r"^--api-key and --api-key-file are both given"):
        Config.from_env({}, both)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file"), (b"", "is empty"), (b" \n", "is empty"), (b"\xff", "not UTF-8"),
        (b"k" * 70_000, "more than 65536 bytes"),
    ],
)  # fmt: skip
def test_a_file_without_a_secret_is_an_error_and_never_an_open_service(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"^COLLAB_API_KEY_FILE: the file .*{why}"):
        Config.from_env({"COLLAB_API_KEY_FILE": str(path)})
    with pytest.raises(ConfigError, match=r"^--api-key-file: the file"):
        Config.from_env({}, {"COLLAB_API_KEY_FILE": str(path)})


def test_an_error_about_a_secret_file_does_not_repeat_its_content(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("http://:s3cret@host")
    with pytest.raises(ConfigError, match=r"^REDIS_URL_FILE: the URL given must start") as caught:
        Config.from_env({"REDIS_URL_FILE": str(tmp_path / "url")})
    assert "s3cret" not in str(caught.value)


def test_the_text_of_a_configuration_shows_no_secret() -> None:
    config = Config.from_env({"COLLAB_API_KEY": "s3cret", "REDIS_URL": "redis://u:s3cret@host"})
    assert "s3cret" not in repr(config) and "room_ttl" in repr(config)


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({"COLLAB_API_KEY": "s3cret"}, {"--api-key": "COLLAB_API_KEY_FILE"}),
        ({"REDIS_URL": "redis://:s3cret@host"}, {"--redis-url": "REDIS_URL_FILE"}),
        ({"REDIS_URL": "redis://host?password=s3cret"}, {"--redis-url": "REDIS_URL_FILE"}),
        ({"REDIS_URL": "redis://host"}, {}),
        ({"REDIS_URL": "redis://user@host/2?protocol=2"}, {}),
        ({"COLLAB_API_KEY_FILE": "/run/key", "COLLAB_PORT": "1"}, {}),
    ],
)
def test_a_secret_on_the_command_line_is_noticed(
    options: dict[str, str], shown: dict[str, str]
) -> None:
    assert dict(secret_options(options)) == shown


def test_the_variable_of_a_secret_file_is_known_and_that_of_another_file_is_not() -> None:
    found = unknown_variables({"COLLAB_API_KEY_FILE": "1", "COLLAB_PORT_FILE": "1"})
    assert [variable for variable, _ in found] == ["COLLAB_PORT_FILE"]
