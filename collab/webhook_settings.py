"""The settings of webhooks that need a check: the receiver's URL, and the secrets that sign."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

SECRET_PREFIX: Final = "whsec_"
"""How the Standard Webhooks specification lets a secret begin; the rest is base64."""
SECRET_BYTES: Final = range(24, 65)
"""Sizes of a secret, as that specification demands them."""
MAX_SECRETS: Final = 2
"""Secrets that sign at once: while a receiver changes from one to the next, both do."""


def check_http_url(raw: str) -> str:
    """Return ``raw`` if it is the URL of a server that speaks HTTP. Raises ValueError."""
    parts = urlsplit(raw)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is not an http:// or https:// URL")
    parts.port  # noqa: B018 - urlsplit checks the port only when asked for it
    if parts.fragment:
        raise ValueError("has a fragment (#), which is not sent")
    return raw


def check_base_url(raw: str) -> str:
    """Return ``raw``, without a slash at its end, if paths can be appended. Raises ValueError."""
    if urlsplit(check_http_url(raw)).query:
        raise ValueError("has a query (?), so that no path can follow")
    return raw.rstrip("/")


@dataclass(frozen=True, slots=True, repr=False)
class WebhookSecrets:
    """The keys with which events are signed, as bytes; each makes a signature of its own."""

    keys: tuple[bytes, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.keys)

    def __str__(self) -> str:
        return "none"  # the default, for the command line's help; no other value is ever shown

    @classmethod
    def parse(cls, raw: str) -> WebhookSecrets:
        """Read one secret or two, separated by a comma, in base64. Raises ValueError."""
        given = [each.strip() for each in raw.split(",")]
        if len(given) > MAX_SECRETS:
            raise ValueError(f"has more than {MAX_SECRETS} secrets")
        return cls(tuple(_decoded(each) for each in given))


def _decoded(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"is not {SECRET_PREFIX} and base64") from None
    if len(key) not in SECRET_BYTES:
        low, high = SECRET_BYTES.start, SECRET_BYTES.stop - 1
        raise ValueError(f"has not {low} to {high} bytes behind the base64")
    return key
