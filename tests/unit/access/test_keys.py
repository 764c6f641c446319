"""Keys: those of a JWKS that can verify tokens, and settings that are none."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from collab.access.keys import keys_of, parse_jwks
from collab.config import Config
from collab.errors import ConfigError
from tests.support.tokens import SECRET, ec_key, jwk, pem, rsa_key

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def parsed(*keys: Any) -> dict[tuple[str, str | None], Any]:
    return parse_jwks(orjson.dumps({"keys": keys}))


def test_a_jwks_gives_each_key_for_the_algorithm_of_its_kind() -> None:
    listed = [
        jwk(rsa_key(), kid="r"), jwk(ec_key(), kid="e", use="sig"), jwk(ec_key(1), alg="ES256"),
    ]  # fmt: skip
    assert parsed(*listed).keys() == {("RS256", "r"), ("ES256", "e"), ("ES256", None)}


@pytest.mark.parametrize(
    "other",
    [
        {"kty": "oct", "k": "AAAA", "kid": "o", "alg": "HS256"},
        jwk(rsa_key(1), kid="x", use="enc"), jwk(rsa_key(1), kid="x", alg="RS512"),
        jwk(rsa_key(1), kid="x", alg="HS256"), jwk(rsa_key(1), kid=["x"]),
        jwk(rsa.generate_private_key(65537, 1024), kid="short"),
        jwk(ec.generate_private_key(ec.SECP384R1()), kid="p384"),
        {"kty": "EC", "crv": "P-256", "x": 7, "y": None}, {"kty": "RSA"}, {"kty": ["RSA"]}, 7, None,
    ],
)  # fmt: skip
def test_keys_that_cannot_verify_tokens_are_left_out(other: Any) -> None:
    assert parsed(other, jwk(rsa_key(), kid="r")).keys() == {("RS256", "r")}
    with pytest.raises(ValueError):
        parsed(other)


@given(st.binary(max_size=40) | JSON.map(orjson.dumps))
def test_what_is_no_jwks_is_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError):
        parse_jwks(content)


@given(st.dictionaries(st.sampled_from(["n", "e", "x", "y", "crv", "kid", "alg", "use"]), JSON))
def test_a_key_of_any_form_is_left_out_or_taken(changed: dict[str, Any]) -> None:
    for key in (rsa_key(), ec_key()):
        good = jwk(ec_key(1), kid="good")
        assert ("ES256", "good") in parsed({**jwk(key, kid="k"), **changed}, good)


# The settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET", pem(rsa_key())), ("SECRET", '{"kty": "oct"}'), ("SECRET", "ssh-rsa AAAA"),
        ("PUBLIC_KEY", "not a key"), ("PUBLIC_KEY", SECRET),
        ("PUBLIC_KEY", pem(rsa.generate_private_key(65537, 1024))),
        ("PUBLIC_KEY", pem(ec.generate_private_key(ec.SECP384R1()))),
        ("JWKS_URL", "file:///etc/keys"), ("JWKS_URL", "https:///a"), ("JWKS_URL", "http://a:b/"),
    ],
)  # fmt: skip
def test_a_key_that_cannot_be_used_is_an_error_without_the_key(name: str, value: str) -> None:
    variable = f"COLLAB_AUTH_{name}"
    with pytest.raises(ConfigError, match=variable) as problem:
        Config.from_env({variable: value})
    assert value not in str(problem.value)


@pytest.mark.parametrize(
    "claims", ["sub", "sub=", "=id", "who=id", "sub=a,sub=b", ",", "sub=id,name"]
)
def test_claims_that_cannot_be_read_are_an_error(claims: str) -> None:
    with pytest.raises(ConfigError, match="COLLAB_AUTH_CLAIMS"):
        Config.from_env({"COLLAB_AUTH_SECRET": SECRET, "COLLAB_AUTH_CLAIMS": claims})


@pytest.mark.parametrize("rooms", ["a b", "a,", "[a]", "?"])
def test_rooms_that_are_no_patterns_are_an_error(rooms: str) -> None:
    with pytest.raises(ConfigError, match="COLLAB_AUTH_DEFAULT_ROOMS"):
        Config.from_env({"COLLAB_AUTH_SECRET": SECRET, "COLLAB_AUTH_DEFAULT_ROOMS": rooms})


def test_a_node_that_is_told_about_tokens_has_exactly_one_source_of_keys() -> None:
    """With an audience and a misspelt key it would otherwise be open to all."""
    with pytest.raises(ConfigError, match=r"COLLAB_AUTH_AUDIENCE.*COLLAB_AUTH_SECRET"):
        Config.from_env({"COLLAB_AUTH_AUDIENCE": "rooms"})
    both = {"COLLAB_AUTH_SECRET": SECRET, "COLLAB_AUTH_JWKS_URL": "https://users.example/keys"}
    with pytest.raises(ConfigError, match="only one"):
        Config.from_env(both)
    assert not Config.from_env({}).asks_for_tokens
    for name, value in both.items():
        assert Config.from_env({name: value}).asks_for_tokens


def test_a_short_secret_is_a_warning_without_the_secret(caplog: pytest.LogCaptureFixture) -> None:
    keys_of(Config(auth_secret=SECRET))
    assert not caplog.records
    keys_of(Config(auth_secret="s3cret"))
    assert "short" in caplog.text and "s3cret" not in str(vars(caplog.records[0]))
