"""Tokens as an issuer makes them, and some that no issuer makes."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SECRET = "a secret of the tests, which is long enough for HS256"
HOUR = 3600
EXPIRES = int(time.time()) + HOUR
"""When tokens expire: at one time, so that the token of the same claims is the same token."""


@cache
def rsa_key(number: int = 0) -> rsa.RSAPrivateKey:
    """Return a private RSA key, another for each number."""
    return rsa.generate_private_key(65537, 2048)


@cache
def ec_key(number: int = 0) -> ec.EllipticCurvePrivateKey:
    """Return a private key of the curve P-256, another for each number."""
    return ec.generate_private_key(ec.SECP256R1())


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    """Return the public key of a private one in PEM form."""
    public = key.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def jwk(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, **more: Any) -> dict[str, Any]:
    """Return the public key of a private one as a JSON Web Key."""
    if isinstance(key, rsa.RSAPrivateKey):
        return {**jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), **more}
    return {**jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True), **more}


def claims(subject: str = "ann", **more: Any) -> dict[str, Any]:
    """Return the claims of a token for all rooms; None removes a claim."""
    given: dict[str, Any] = {
        "sub": subject,
        "name": subject.title(),
        "rooms": ["*"],
        "role": "editor",
    }
    given |= {"exp": EXPIRES, **more}
    return {name: value for name, value in given.items() if value is not None}


def token(subject: str = "ann", *, secret: str = SECRET, **more: Any) -> str:
    """Return a token of HS256."""
    return jwt.encode(claims(subject, **more), secret, "HS256")


def signed_by(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, kid: str | None = None, **more: Any
) -> str:
    """Return a token of RS256 or ES256."""
    algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    headers = None if kid is None else {"kid": kid}
    return jwt.encode(claims(**more), key, algorithm, headers)


def raw(header: Mapping[str, Any], payload: Any, secret: str | None = SECRET) -> str:
    """Return a token of any header and payload, signed with HS256 whatever the header says."""
    parts = [_encoded(json.dumps(part).encode()) for part in (header, payload)]
    message = ".".join(parts).encode()
    signature = b"" if secret is None else _hs256(message, secret)
    return ".".join((*parts, _encoded(signature)))


def _hs256(message: bytes, secret: str) -> bytes:
    return jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
        message, secret.encode()
    )


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()
