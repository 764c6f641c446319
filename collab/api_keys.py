"""The keys of the HTTP API: each has a name, a secret, and scopes.

Keys are for other services. They have nothing to do with the tokens of people.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256

from collab.errors import KeyNotAccepted, ScopeMissing

MAX_KEYS = 64
"""Keys of a node. Each request is compared with all of them, which takes 0.3 µs a key."""
MIN_LENGTH = 16
"""Characters of a key: 16 random hexadecimal digits are 64 bits, too many to guess over HTTP."""
FORM = "an entry is NAME:SCOPES:KEY, with SCOPES like read+write"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_SECRET = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""The characters of a bearer token (RFC 6750): only these can be sent in the header."""


class Scope(Enum):
    """What a caller of the API may do."""

    READ = "read"
    """Read rooms and list them."""
    WRITE = "write"
    """Set the text of a room."""
    END = "end"
    """End a room."""


ALL_SCOPES = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key. ``name`` is what logs say of it; ``digest`` is the SHA-256 of its secret."""

    name: str
    scopes: frozenset[Scope]
    digest: bytes = field(repr=False)

    @classmethod
    def of(cls, name: str, scopes: frozenset[Scope], secret: str) -> ApiKey:
        """Return the key with this secret, of which only the digest is kept."""
        return cls(name, scopes, _digest(secret))

    def require(self, scope: Scope) -> None:
        """Raise ScopeMissing if the key does not have the scope."""
        if scope not in self.scopes:
            raise ScopeMissing(scope.value)


@dataclass(frozen=True, slots=True)
class ApiKeys:
    """The keys of a node, several at once so that callers can change from one to another."""

    keys: tuple[ApiKey, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.keys)

    def __str__(self) -> str:
        return ",".join(key.name for key in self.keys) or "none"

    @classmethod
    def parse(cls, raw: str) -> ApiKeys:
        """Read keys, separated by commas or line ends; a line may be a comment (``# …``).

        Raises ValueError; its message follows the name of the setting, and has no part of a key,
        even of one that stands in the wrong place.
        """
        keys: list[ApiKey] = []
        for number, entry in enumerate(_entries(raw), 1):
            try:
                key = _parse_key(entry)
                if any(key.name == other.name for other in keys):
                    raise ValueError(f"has the name {key.name} twice")
                if any(key.digest == other.digest for other in keys):
                    raise ValueError("has a key that stands in an earlier entry")
            except ValueError as problem:
                raise ValueError(f"is not a list of keys: entry {number} {problem}") from None
            keys.append(key)
        if not keys:
            raise ValueError(f"has no entry: {FORM}")
        if len(keys) > MAX_KEYS:
            raise ValueError(f"has more than {MAX_KEYS} entries")
        return cls(tuple(keys))

    def find(self, authorization: str) -> ApiKey:
        """Return the key in an ``Authorization`` header. Raises KeyNotAccepted.

        The time does not tell how far a wrong key is right, nor which of the keys is right.
        """
        scheme, _, shown = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise KeyNotAccepted("this needs a key of the API: Authorization: Bearer KEY")
        given, found = _digest(shown.strip()), None
        for key in self.keys:
            if hmac.compare_digest(given, key.digest):
                found = key
        if found is None:
            raise KeyNotAccepted("the key in Authorization: Bearer KEY is none of the API's keys")
        return found


def _entries(raw: str) -> Iterator[str]:
    for line in raw.splitlines():
        if not line.lstrip().startswith("#"):
            yield from (entry.strip() for entry in line.split(",") if entry.strip())


def _parse_key(entry: str) -> ApiKey:
    name, _, rest = entry.partition(":")
    words, separator, secret = rest.partition(":")
    if not separator:
        raise ValueError(f"lacks a colon: {FORM}")
    if not _NAME.fullmatch(name):
        raise ValueError("has no name of 1 to 32 letters, digits and -_.")
    scopes = {scope.value: scope for scope in Scope}
    given = [word.strip() for word in words.split("+")]
    if not all(word in scopes for word in given):
        raise ValueError(f"({name}) has a scope that is none of {', '.join(scopes)}")
    if not _SECRET.fullmatch(secret):
        raise ValueError(f"({name}) has a key with other characters than letters, digits, -._~+/=")
    if len(secret) < MIN_LENGTH:
        raise ValueError(f"({name}) has a key of less than {MIN_LENGTH} characters")
    return ApiKey.of(name, frozenset(scopes[word] for word in given), secret)


def _digest(secret: str) -> bytes:
    return sha256(secret.encode(errors="surrogateescape")).digest()
