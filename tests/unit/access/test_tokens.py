"""Which tokens are accepted, what they grant, and with which reason the others are refused."""

from __future__ import annotations

import string
import time
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab.access.grant import Grant
from collab.access.keys import keys_of
from collab.access.tokens import TokenVerifier
from collab.config import Config
from collab.errors import Unauthorized
from collab.rooms.identity import Role
from tests.support.tokens import (
    EXPIRES,
    SECRET,
    claims,
    ec_key,
    pem,
    raw,
    rsa_key,
    signed_by,
    token,
)


def a_verifier(**settings: str) -> TokenVerifier:
    """Return a verifier as the variables say, without their ``COLLAB_AUTH_``."""
    given = settings or {"SECRET": SECRET}
    if not given.keys() & {"SECRET", "PUBLIC_KEY"}:
        given |= {"SECRET": SECRET}
    config = Config.from_env({f"COLLAB_AUTH_{name}": value for name, value in given.items()})
    return TokenVerifier(config, keys_of(config))


async def reason(verifier: TokenVerifier, shown: Any) -> str:
    """Return why a token is refused, after a look at what the client is told."""
    with pytest.raises(Unauthorized) as refused:
        await verifier.identify(shown)
    payload = refused.value.payload()
    assert payload.keys() == {"code", "message", "reason"} and payload["code"] == "unauthorized"
    assert not isinstance(shown, str) or len(shown) < 20 or shown not in str(payload)
    assert refused.value.__cause__ is None
    return payload["reason"]


# What a token grants


async def test_a_token_says_who_its_bearer_is_and_where_it_may_go() -> None:
    shown = token("ann", name=" Ann\nLee ", rooms=["pair-*", "hall"], role="viewer")
    grant = await a_verifier().identify(shown)
    assert (grant.subject, grant.name) == ("ann", "AnnLee")
    assert grant.expires == EXPIRES
    for room in ("pair-1", "pair-", "hall"):
        assert grant.role_in(room) is Role.VIEWER
    for room in ("pair", "hall2", "a-hall", "Pair-1"):
        assert grant.role_in(room) is None


@pytest.mark.parametrize(
    ("more", "room", "role"),
    [
        ({"rooms": None, "room": "r"}, "r", Role.EDITOR),
        ({"rooms": "r"}, "r", Role.EDITOR),
        ({"rooms": ["a"], "room": "r"}, "r", Role.EDITOR),
        ({"rooms": [], "room": None}, "r", None),
        ({"rooms": None}, "r", None),
        ({"rooms": ["*"], "role": "admin"}, "r", Role.ADMIN),
        ({"rooms": ["a*z*"], "role": None}, "abcz", Role.EDITOR),
    ],
)
async def test_rooms_and_role_are_those_of_the_claims(
    more: dict[str, Any], room: str, role: Role | None
) -> None:
    assert (await a_verifier().identify(token(**more))).role_in(room) is role


async def test_a_token_without_rooms_or_role_has_the_configured_ones() -> None:
    verifier = a_verifier(DEFAULT_ROOMS="lobby, pair-*", DEFAULT_ROLE="viewer")
    grant = await verifier.identify(token(rooms=None, role=None))
    assert grant.role_in("pair-7") is grant.role_in("lobby") is Role.VIEWER
    assert grant.role_in("other") is None
    assert (await verifier.identify(token(rooms=[], role=None))).role_in("lobby") is None


async def test_the_claims_may_have_other_names() -> None:
    verifier = a_verifier(CLAIMS="sub=id, name=username,exp=until,room=pair,aud=for,iss=from",
                          AUDIENCE="rooms", ISSUER="users")  # fmt: skip
    named = {"id": 7, "username": "Ann", "until": time.time() + 9, "pair": "r", "from": "users"}
    shown = jwt.encode({**named, "for": ["rooms"]}, SECRET)
    grant = await verifier.identify(shown)
    assert (grant.subject, grant.name, grant.role_in("r")) == ("7", "Ann", Role.EDITOR)
    assert await reason(verifier, jwt.encode(named, SECRET)) == "wrong_audience"
    assert await reason(verifier, token()) == "bad_claims"


@pytest.mark.parametrize("name", [None, "", 7, "\u202e"])
async def test_a_token_without_a_name_gives_one_that_is_not_the_clients_choice(name: Any) -> None:
    assert (await a_verifier().identify(token("user-1234", name=name))).name == "guest-1234"


@pytest.mark.parametrize("key", [rsa_key, ec_key])
async def test_a_public_key_verifies_tokens_of_its_own_kind(key: Any) -> None:
    verifier = a_verifier(PUBLIC_KEY=pem(key()).replace("\n", "\\n"))
    assert (await verifier.identify(signed_by(key()))).subject == "ann"
    assert await reason(verifier, signed_by(key(1))) == "bad_signature"
    other = ec_key if key is rsa_key else rsa_key
    assert await reason(verifier, signed_by(other())) == "algorithm_not_allowed"


async def test_one_token_has_one_digest_and_another_token_another() -> None:
    verifier, shown = a_verifier(), token()
    first, again = await verifier.identify(shown), await verifier.identify(shown)
    other = await verifier.identify(token(jti="another"))
    assert first.digest == again.digest != other.digest
    assert shown not in repr(first) and first.token == ""


async def test_a_signature_made_anew_for_the_same_claims_is_the_same_token() -> None:
    """ECDSA's signatures are random: a removed client must not come back with another one."""
    verifier, given = a_verifier(PUBLIC_KEY=pem(ec_key())), claims()
    one, two = (jwt.encode(given, ec_key(), "ES256") for _ in range(2))
    assert one != two
    assert (await verifier.identify(one)).digest == (await verifier.identify(two)).digest


# What is refused


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        (None, "token_missing"), ("", "token_missing"),
        (7, "token_malformed"), (["a"], "token_malformed"), ({}, "token_malformed"),
        ("a.b", "token_malformed"), ("a.b.c", "token_malformed"), ("é.b.c", "token_malformed"),
        ("..", "token_malformed"), ("a.b.c.d.e", "token_malformed"), ("a\n.b.c", "token_malformed"),
        ("x" * 6145, "token_too_large"), ("." * 2_000_000, "token_too_large"),
        ("\ud800" * 7, "token_malformed"),
    ],
)  # fmt: skip
async def test_what_is_no_token_is_refused(shown: Any, why: str) -> None:
    assert await reason(a_verifier(), shown) == why


@pytest.mark.parametrize("algorithm", ["none", "None", "HS512", "HS384", "RS256", "ES256", "", 7])
async def test_only_the_keys_own_algorithm_is_accepted(algorithm: Any) -> None:
    for secret in (SECRET, None):
        shown = raw({"alg": algorithm, "typ": "JWT"}, claims(), secret)
        shown = shown if secret else shown + "AA"
        assert await reason(a_verifier(), shown) == "algorithm_not_allowed"
    unsigned = raw({"alg": "none"}, claims(), None)
    assert await reason(a_verifier(), unsigned) == "token_malformed"


@pytest.mark.parametrize("key", [rsa_key, ec_key])
async def test_a_public_key_is_no_secret(key: Any) -> None:
    """Algorithm confusion: all who know a public key could make tokens of HS256 with it."""
    verifier, public = a_verifier(PUBLIC_KEY=pem(key())), pem(key())
    for secret in (public, public.strip(), public.replace("\n", "\\n")):
        shown = raw({"alg": "HS256"}, claims(), secret)
        assert await reason(verifier, shown) == "algorithm_not_allowed"
        forged = raw({"alg": "RS256" if key is rsa_key else "ES256"}, claims(), secret)
        assert await reason(verifier, forged) == "bad_signature"


async def test_keys_in_the_token_are_not_looked_at() -> None:
    for name, value in (("jwk", {"kty": "oct", "k": "AA"}), ("jku", "http://127.0.0.1:9/")):
        shown = raw({"alg": "HS256", name: value}, claims(), "another")
        assert await reason(a_verifier(), shown) == "bad_signature"


@pytest.mark.parametrize("header", [{"crit": ["exp"]}, {"crit": []}, {"kid": 7}, {"b64": False}])
async def test_a_header_that_is_not_understood_is_refused(header: dict[str, Any]) -> None:
    assert await reason(a_verifier(), raw({"alg": "HS256", **header}, claims())) in (
        "token_malformed", "algorithm_not_allowed",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"exp": time.time() - 1}, "token_expired"), ({"exp": 0}, "token_expired"),
        ({"nbf": time.time() + 3600}, "token_not_yet_valid"),
        ({"aud": "elsewhere"}, "wrong_audience"), ({"aud": []}, "wrong_audience"),
        ({"exp": None}, "bad_claims"), ({"exp": "soon"}, "bad_claims"),
        ({"exp": True}, "bad_claims"), ({"exp": 10**400}, "bad_claims"),
        ({"exp": 1e300}, "bad_claims"), ({"exp": -1}, "bad_claims"),
        ({"exp": float("nan")}, "bad_claims"), ({"exp": float("inf")}, "bad_claims"),
        ({"exp": time.time() * 1000}, "bad_claims"), ({"nbf": "now"}, "bad_claims"),
        ({"sub": None}, "bad_claims"), ({"sub": ""}, "bad_claims"), ({"sub": ["a"]}, "bad_claims"),
        ({"sub": True}, "bad_claims"), ({"sub": "a\nb"}, "bad_claims"),
        ({"sub": "\ud800"}, "bad_claims"), ({"sub": "x" * 257}, "bad_claims"),
        ({"role": "root"}, "bad_claims"), ({"role": ["editor"]}, "bad_claims"),
        ({"role": 0}, "bad_claims"), ({"rooms": [7]}, "bad_claims"),
        ({"rooms": {"a": 1}}, "bad_claims"), ({"rooms": ["a b"]}, "bad_claims"),
        ({"rooms": ["[a-z]"]}, "bad_claims"), ({"rooms": ["?"]}, "bad_claims"),
        ({"room": ""}, "bad_claims"),
    ],
)  # fmt: skip
async def test_claims_that_do_not_hold_are_refused(more: dict[str, Any], why: str) -> None:
    given = {**claims(), **more}
    shown = raw(
        {"alg": "HS256"}, {name: value for name, value in given.items() if value is not None}
    )
    assert await reason(a_verifier(), shown) == why


@pytest.mark.parametrize("payload", [[], "ann", 7, None])
async def test_claims_that_are_no_object_are_refused(payload: Any) -> None:
    assert await reason(a_verifier(), raw({"alg": "HS256"}, payload)) == "token_malformed"


async def test_an_audience_and_an_issuer_must_be_the_configured_ones() -> None:
    verifier = a_verifier(AUDIENCE="rooms", ISSUER="users")
    for audience in ("rooms", ["other", "rooms"]):
        assert (await verifier.identify(token(aud=audience, iss="users"))).subject == "ann"
    others: list[Any] = [None, "room", ["other"], {"rooms": 1}, [["rooms"]]]
    for other in others:
        assert await reason(verifier, token(aud=other, iss="users")) == "wrong_audience"
    for issuer in (None, "user", ["users"]):
        shown = raw({"alg": "HS256"}, {**claims(aud="rooms"), "iss": issuer})
        assert await reason(verifier, shown) == "wrong_issuer"


async def test_a_clock_that_is_a_little_ahead_does_not_matter() -> None:
    assert (await a_verifier().identify(token(nbf=time.time() + 1))).subject == "ann"


async def test_deeply_nested_json_is_refused_as_what_is_no_token() -> None:
    verifier = a_verifier()
    for nested in ("[" * 3000, '{"a":' * 600 + "1" + "}" * 600):
        shown = jwt.PyJWS().encode(nested.encode(), SECRET, "HS256")
        assert await reason(verifier, shown) in ("token_malformed", "bad_claims")


BASE64 = string.ascii_letters + string.digits + "-_="


@given(st.integers(0, 10**6), st.sampled_from(BASE64 + ".~ "))
async def test_no_token_is_accepted_once_a_character_is_another(place: int, letter: str) -> None:
    shown = token(exp=2 * 10**9)
    place %= len(shown)
    if shown[place] != letter:
        await reason(a_verifier(), shown[:place] + letter + shown[place + 1 :])


@given(st.text(max_size=300) | st.text(BASE64 + ".", max_size=300) | st.binary(max_size=99))
async def test_whatever_a_client_shows_is_refused_with_a_reason(shown: Any) -> None:
    assert await reason(a_verifier(), shown)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
CLAIMS = st.sampled_from(["sub", "name", "exp", "nbf", "aud", "iss", "rooms", "room", "role"])


@given(st.dictionaries(CLAIMS, JSON, min_size=1, max_size=3))
async def test_whatever_the_claims_are_a_signed_token_is_granted_or_refused(
    changed: dict[str, Any],
) -> None:
    try:
        granted = await a_verifier().identify(raw({"alg": "HS256"}, {**claims(), **changed}))
    except Unauthorized as problem:
        assert problem.reason in {
            "bad_claims",
            "token_expired",
            "token_not_yet_valid",
            "token_too_large",
            "wrong_audience",
        }
    else:
        assert isinstance(granted, Grant) and granted.subject and granted.name
