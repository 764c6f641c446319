"""The keys with which tokens are verified: one that is configured, or those at a URL (a JWKS)."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final, Protocol

import aiohttp
import jwt
import orjson

from collab.config import Config
from collab.errors import AuthUnavailable, Unauthorized
from collab.token_settings import (
    EC_ALGORITHM,
    RSA_ALGORITHM,
    SAFE_SECRET_BYTES,
    SECRET_ALGORITHM,
    PublicKey,
    algorithm_of,
    load_public_key,
)

log = logging.getLogger(__name__)

READ_TIMEOUT: Final = 5.0
"""Seconds to read a JWKS."""
READ_PAUSE: Final = 2.0
"""Seconds between two reads that tokens with unknown keys cause: anybody can send such tokens."""
MAX_AGE: Final = 3600.0
"""Seconds after which keys are no longer used if the JWKS can't be read again: one of them may have
been withdrawn."""
MAX_JWKS_BYTES: Final = 256 * 1024
"""Bytes of a JWKS; a key has some hundred."""


class Keys(Protocol):
    """A source of keys. ``algorithms`` are those for which it may have one."""

    algorithms: frozenset[str]

    async def open(self) -> None:
        """Begin to read keys that are not configured."""

    async def close(self) -> None:
        """Stop reading."""

    async def find(self, algorithm: str, kid: str | None) -> str | PublicKey:
        """Return the key of an algorithm with this id. Raises Unauthorized or AuthUnavailable."""


def keys_of(config: Config) -> Keys:
    """Return the keys that a configuration names, one of which must be given."""
    if config.auth_secret:
        if len(config.auth_secret.encode()) < SAFE_SECRET_BYTES:
            log.warning(
                "the secret of tokens is short: anybody can find it by trying",
                extra={"variable": "COLLAB_AUTH_SECRET", "safe_bytes": SAFE_SECRET_BYTES},
            )
        return ConfiguredKey(SECRET_ALGORITHM, config.auth_secret)
    if config.auth_public_key:
        key = load_public_key(config.auth_public_key)
        return ConfiguredKey(algorithm_of(key), key)
    return PublishedKeys(config.auth_jwks_url, config.auth_jwks_interval)


class ConfiguredKey:
    """One key, which verifies with one algorithm, whatever a token says."""

    def __init__(self, algorithm: str, key: str | PublicKey) -> None:
        self.algorithms = frozenset([algorithm])
        self._key = key

    async def open(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""

    async def find(self, algorithm: str, kid: str | None) -> str | PublicKey:
        """Return the key."""
        return self._key


class PublishedKeys:
    """The public keys at ``url``, which is read every ``interval`` seconds.

    It is also read when a token has an unknown key, at most once in `READ_PAUSE` seconds, so that a
    new key works at once. While it can't be read, the keys that are known are used for `MAX_AGE`.
    """

    algorithms = frozenset([RSA_ALGORITHM, EC_ALGORITHM])

    def __init__(self, url: str, interval: float) -> None:
        self._url = url
        self._interval = interval
        self._keys: dict[tuple[str, str | None], PublicKey] = {}
        self._read_at = self._tried_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._upkeep: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Read the keys, and go on reading them. A node starts without them, if it must."""
        await self._read_once()
        self._upkeep = asyncio.create_task(self._read_regularly())

    async def close(self) -> None:
        """Stop reading."""
        tasks = [task for task in (self._upkeep, self._reading) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def find(self, algorithm: str, kid: str | None) -> PublicKey:
        """Return the key of an algorithm with this id. Raises Unauthorized or AuthUnavailable."""
        key = self._known(algorithm, kid)
        if (key is None or self._outdated) and self._may_read:
            await self._read_once()
            key = self._known(algorithm, kid)
        if self._outdated:
            raise AuthUnavailable("the keys of tokens can't be read now")
        if key is None:
            raise Unauthorized("the token's key is not known", "unknown_key")
        return key

    def _known(self, algorithm: str, kid: str | None) -> PublicKey | None:
        """Return a key; without an id, the only one that there is for the algorithm."""
        if kid is not None:
            return self._keys.get((algorithm, kid)) or self._keys.get((algorithm, None))
        found = [key for (of, _), key in self._keys.items() if of == algorithm]
        return found[0] if len(found) == 1 else None

    @property
    def _outdated(self) -> bool:
        return asyncio.get_running_loop().time() - self._read_at > MAX_AGE

    @property
    def _may_read(self) -> bool:
        now = asyncio.get_running_loop().time()
        return self._reading is not None or now - self._tried_at >= READ_PAUSE

    async def _read_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            await self._read_once()

    async def _read_once(self) -> None:
        """Read the keys; callers that come meanwhile wait for the same answer."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
        await asyncio.shield(self._reading)

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        self._tried_at = loop.time()
        try:
            self._keys = parse_jwks(await _fetch(self._url))
            self._read_at = loop.time()
        except (aiohttp.ClientError, OSError, ValueError) as problem:
            # Not the message, which may have the URL's password.
            log.warning(
                "the keys of tokens can't be read", extra={"reason": type(problem).__name__}
            )
        finally:
            self._reading = None


async def _fetch(url: str) -> bytes:
    """Return what is at ``url``. Raises ClientError, OSError or ValueError."""
    timeout = aiohttp.ClientTimeout(total=READ_TIMEOUT)
    async with (
        aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
        session.get(url, allow_redirects=False) as answer,
    ):
        if answer.status != 200:
            raise ValueError("the status is not 200")
        content = b""
        async for piece in answer.content.iter_any():
            content += piece
            if len(content) > MAX_JWKS_BYTES:
                raise ValueError("the JWKS is too large")
        return content


def parse_jwks(content: bytes) -> dict[tuple[str, str | None], PublicKey]:
    """Return the public keys of a JWKS that can verify tokens, by their algorithms and ids.

    Keys for other purposes are left out. Raises ValueError if no key is left.
    """
    jwks: Any = orjson.loads(content)
    listed = jwks.get("keys") if isinstance(jwks, dict) else None
    keys: dict[tuple[str, str | None], PublicKey] = {}
    for each in listed if isinstance(listed, list) else ():
        if not isinstance(each, dict) or each.get("kty") not in ("RSA", "EC"):
            continue
        kid, use, named = each.get("kid"), each.get("use", "sig"), each.get("alg")
        if use != "sig" or not isinstance(kid, str | None):
            continue
        try:
            key = jwt.PyJWK(each).key
            algorithm = algorithm_of(key)
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
            continue
        if named in (None, algorithm):
            keys[algorithm, kid] = key
    if not keys:
        raise ValueError("the JWKS has no key for RS256 or ES256")
    return keys
