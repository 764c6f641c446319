"""The settings that say which tokens a node accepts: their keys, claims and patterns of rooms.

They are checked at the start, when the configuration is read; `collab.access.tokens` uses them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from typing import Final
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

PublicKey = RSAPublicKey | EllipticCurvePublicKey
SECRET_ALGORITHM, RSA_ALGORITHM, EC_ALGORITHM = "HS256", "RS256", "ES256"
RSA_BITS: Final = range(2048, 8193)
"""Sizes of RSA keys: NIST accepts no smaller ones, and larger ones take long to verify with."""
SAFE_SECRET_BYTES: Final = 32
"""A shorter secret can be found by trying; RFC 7518 demands this length for HS256."""
PATTERN = re.compile(r"[A-Za-z0-9_.:*-]+")
"""A room's name, in which ``*`` stands for any characters, or none."""


def algorithm_of(key: object) -> str:
    """Return the one algorithm with which a public key verifies. Raises ValueError if none."""
    if isinstance(key, RSAPublicKey):
        if key.key_size not in RSA_BITS:
            raise ValueError(
                f"is an RSA key of {key.key_size} bits, not of {RSA_BITS.start} or more"
            )
        return RSA_ALGORITHM
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return EC_ALGORITHM
    raise ValueError("is neither an RSA key nor one of the curve P-256")


def load_public_key(pem: str) -> PublicKey:
    """Return the public key in ``pem``, whose lines may end with the two characters ``\\n``.

    Raises ValueError.
    """
    try:
        key = load_pem_public_key(pem.replace("\\n", "\n").encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is not a public key in PEM form (BEGIN PUBLIC KEY)") from None
    algorithm_of(key)
    assert isinstance(key, RSAPublicKey | EllipticCurvePublicKey)
    return key


def check_public_key(raw: str) -> str:
    """Return ``raw`` if it is a public key in PEM form. Raises ValueError."""
    load_public_key(raw)
    return raw


def check_secret(raw: str) -> str:
    """Return ``raw`` if it can be the secret of HS256. Raises ValueError.

    A public key as a secret would let all who know it make tokens.
    """
    if raw.startswith(("-----BEGIN ", "ssh-")):
        raise ValueError("is a key of RSA or EC, not a secret: give it as COLLAB_AUTH_PUBLIC_KEY")
    if raw.startswith("{"):
        raise ValueError("is a JSON Web Key, not a secret: give its k, decoded")
    return raw


def check_jwks_url(raw: str) -> str:
    """Return ``raw`` if it is the URL of a JWKS. Raises ValueError."""
    parts = urlsplit(raw)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is not an http:// or https:// URL")
    parts.port  # noqa: B018 - urlsplit checks the port only when asked for it
    return raw


def check_pattern(raw: object) -> str:
    """Return ``raw`` if it is a pattern of rooms. Raises ValueError."""
    if not isinstance(raw, str) or not PATTERN.fullmatch(raw):
        raise ValueError("is not a room's name, in which * may stand for any characters")
    return raw


def parse_patterns(raw: str) -> str:
    """Return patterns of rooms separated by commas, without spaces. Raises ValueError."""
    return ",".join(check_pattern(pattern.strip()) for pattern in raw.split(","))


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """The names that a token's issuer gives to the claims that a node reads."""

    sub: str = "sub"
    name: str = "name"
    role: str = "role"
    room: str = "room"
    rooms: str = "rooms"
    exp: str = "exp"
    nbf: str = "nbf"
    aud: str = "aud"
    iss: str = "iss"

    def __str__(self) -> str:
        return ",".join(f"{each.name}={getattr(self, each.name)}" for each in fields(self))

    @classmethod
    def parse(cls, raw: str) -> ClaimNames:
        """Read ``sub=id,name=username``; claims that are not listed keep their names.

        Raises ValueError.
        """
        given: dict[str, str] = {}
        known = [each.name for each in fields(cls)]
        for entry in raw.split(","):
            claim, _, name = (part.strip() for part in entry.partition("="))
            if claim not in known or not name:
                raise ValueError(f"is not a list of CLAIM=NAME with the claims {', '.join(known)}")
            if claim in given:
                raise ValueError(f"names {claim} twice")
            given[claim] = name
        return replace(cls(), **given)
