"""Verifies JSON Web Tokens, and reads from their claims what they grant.

A token's size and form are checked before anything of it is parsed, and its signature before any
claim is read. Only the algorithm that belongs to a key is used with it, whatever the token says.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import warnings
from typing import Any, Final, TypeGuard

import jwt

from collab.access.grant import Grant, check_token, fallback_name, is_subject
from collab.access.keys import Keys
from collab.config import Config
from collab.errors import Unauthorized
from collab.names import clean_name
from collab.rooms.identity import Role
from collab.token_settings import PublicKey, check_pattern

MAX_CLOCK_DIFFERENCE: Final = 3.0
"""Seconds by which the clock of a token's issuer may be ahead of this node's."""
LATEST: Final = 1e11
"""Unix seconds (the year 5138) which no expiry reaches; milliseconds are a mistake."""
FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
"""Header, claims and signature. Without padding each token can be written in one way only."""


class TokenVerifier:
    """Verifies tokens with ``keys``, as the configuration says."""

    def __init__(self, config: Config, keys: Keys) -> None:
        self._config = config
        self._keys = keys
        self._signatures = jwt.PyJWS(algorithms=sorted(keys.algorithms))

    async def open(self) -> None:
        """Begin to read keys that are not configured."""
        await self._keys.open()

    async def close(self) -> None:
        """Stop reading keys."""
        await self._keys.close()

    async def identify(self, token: Any) -> Grant:
        """Return what ``token`` grants. Raises Unauthorized or AuthUnavailable."""
        token = check_token(token, self._config.max_token_bytes)
        algorithm, kid = self._header(token)
        key = await self._keys.find(algorithm, kid)
        claims = self._verified(token, algorithm, key)
        signed, _, _ = token.rpartition(".")
        return self._grant(claims, hashlib.sha256(signed.encode()).hexdigest())

    async def role_in(self, grant: Grant, room: str) -> Role | None:
        """Return the role of a grant in a room; None if the client may not enter it."""
        return grant.role_in(room)

    def _header(self, token: str) -> tuple[str, str | None]:
        """Return the algorithm and the key's id that an unverified token names."""
        if not FORM.fullmatch(token):
            raise _malformed()
        try:
            header = self._signatures.get_unverified_header(token)
        except jwt.PyJWTError:
            raise _malformed() from None
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in self._keys.algorithms:
            accepted = " and ".join(sorted(self._keys.algorithms))
            raise Unauthorized(f"only {accepted} are accepted", "algorithm_not_allowed")
        return algorithm, header.get("kid")

    def _verified(self, token: str, algorithm: str, key: str | PublicKey) -> dict[str, Any]:
        try:
            with warnings.catch_warnings():  # of a short secret, which is logged at the start
                warnings.simplefilter("ignore")
                payload = self._signatures.decode(token, key, algorithms=[algorithm])
        except jwt.InvalidSignatureError:
            raise Unauthorized("the token's signature is not valid", "bad_signature") from None
        except jwt.PyJWTError:
            raise _malformed() from None
        try:
            claims = json.loads(payload)
        except (ValueError, RecursionError):
            raise _malformed() from None
        if not isinstance(claims, dict):
            raise _malformed()
        return claims

    # Claims

    def _grant(self, claims: dict[str, Any], digest: str) -> Grant:
        names = self._config.auth_claims
        expires = self._check_times(claims)
        self._check_origin(claims)
        subject = claims.get(names.sub)
        if isinstance(subject, int) and not isinstance(subject, bool):
            subject = str(subject)
        if not isinstance(subject, str) or not is_subject(subject):
            raise _bad_claim(names.sub, "must be a text of 1 to 256 characters")
        name = clean_name(claims.get(names.name), clean_name(fallback_name(subject), "guest"))
        role = self._role(claims)
        rules = tuple((pattern, role) for pattern in self._patterns(claims))
        return Grant(subject, name, rules, expires, digest)

    def _check_times(self, claims: dict[str, Any]) -> float:
        """Return when a token expires."""
        names, now = self._config.auth_claims, time.time()
        expires, begins = claims.get(names.exp), claims.get(names.nbf, 0)
        if not _is_time(expires):
            raise _bad_claim(names.exp, "must be the time at which the token expires")
        if not _is_time(begins):
            raise _bad_claim(names.nbf, "must be a time")
        if now >= expires:
            raise Unauthorized("the token has expired", "token_expired")
        if now + MAX_CLOCK_DIFFERENCE < begins:
            raise Unauthorized("the token is not valid yet", "token_not_yet_valid")
        return float(expires)

    def _check_origin(self, claims: dict[str, Any]) -> None:
        names, config = self._config.auth_claims, self._config
        audiences = claims.get(names.aud)
        if audiences is not None or config.auth_audience:
            listed = audiences if isinstance(audiences, list) else [audiences]
            if not config.auth_audience or config.auth_audience not in listed:
                raise Unauthorized("the token is for another audience", "wrong_audience")
        if config.auth_issuer and claims.get(names.iss) != config.auth_issuer:
            raise Unauthorized("the token is from another issuer", "wrong_issuer")

    def _role(self, claims: dict[str, Any]) -> Role:
        role = claims.get(self._config.auth_claims.role)
        try:
            return Role(self._config.auth_default_role if role is None else role)
        except ValueError:
            known = ", ".join(each.value for each in Role)
            raise _bad_claim(self._config.auth_claims.role, f"must be one of {known}") from None

    def _patterns(self, claims: dict[str, Any]) -> list[str]:
        names = self._config.auth_claims
        listed, one = claims.get(names.rooms), claims.get(names.room)
        if listed is None and one is None:
            return [each for each in self._config.auth_default_rooms.split(",") if each]
        patterns = listed if isinstance(listed, list) else [listed]
        try:
            return [check_pattern(each) for each in (*patterns, one) if each is not None]
        except ValueError as problem:
            where = f"{names.rooms} or {names.room}"
            raise _bad_claim(where, f"has something that {problem}") from None


def _is_time(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < LATEST


def _malformed() -> Unauthorized:
    return Unauthorized("that is not a JSON Web Token", "token_malformed")


def _bad_claim(claim: str, rule: str) -> Unauthorized:
    return Unauthorized(f"the token's claim {claim} {rule}", "bad_claims")
