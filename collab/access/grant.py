"""What a token grants: who its bearer is, and its role in each room."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Protocol

from collab.errors import Unauthorized
from collab.rooms.identity import Role

ANY_ROOM = "*"
"""The pattern of all rooms. In a pattern ``*`` stands for any characters, or none."""
MAX_SUBJECT = 256
"""Characters of a subject."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Who a client is, and its role in the rooms that match each of its ``rules``.

    ``expires`` is in Unix seconds; None if the grant does not expire. ``digest`` is the hash that
    names the token; "" if the service is open, and clients do not prove who they are. The
    ``token`` itself is kept only for a hook, which is asked again for each room. ``issued`` is when
    the token was issued, in Unix seconds; None if that is not known. ``shown`` is when a node
    verified it. ``address`` is that of a client which proves nothing; '' if it is not known.
    """

    subject: str
    name: str
    rules: tuple[tuple[str, Role], ...]
    expires: float | None = None
    digest: str = ""
    token: str = field(default="", repr=False)
    issued: float | None = None
    shown: float = field(default=math.inf, compare=False)
    address: str = ""

    @property
    def owner(self) -> str:
        """Whose the pids are that the client is given: its subject's, or anybody's ("")."""
        return self.subject if self.digest else ""

    @property
    def is_admin_everywhere(self) -> bool:
        """Whether the grant has the role of an admin in all rooms."""
        return next(iter(self.rules), None) == (ANY_ROOM, Role.ADMIN)

    def role_in(self, room: str) -> Role | None:
        """Return the role in ``room`` that the first rule gives which matches; None if none does.

        `check` says whether the grant has expired.
        """
        for pattern, role in self.rules:
            if fnmatchcase(room, pattern):
                return role
        return None

    def has_expired(self) -> bool:
        """Whether the grant is no longer valid."""
        return self.expires is not None and time.time() >= self.expires

    def check(self) -> None:
        """Raise Unauthorized if the grant has expired."""
        if self.has_expired():
            raise Unauthorized("the token has expired", "token_expired")

    def seconds_left(self) -> float | None:
        """Return how many seconds the grant is still valid; None if it does not expire."""
        return None if self.expires is None else self.expires - time.time()


class Verifier(Protocol):
    """Decides what a token grants."""

    async def open(self) -> None:
        """Prepare to verify tokens."""

    async def close(self) -> None:
        """Stop what `open` has started."""

    async def identify(self, token: Any) -> Grant:
        """Return what ``token``, any value that a client has sent, grants; None is no token.

        Raises Unauthorized, or AuthUnavailable if that can't be found out now.
        """

    async def role_in(self, grant: Grant, room: str) -> Role | None:
        """Return the role of a grant in a room; None if the client may not enter it.

        Raises RoomNotAllowed, Unauthorized or AuthUnavailable.
        """


def is_subject(value: object) -> bool:
    """Whether ``value`` can be a subject: printable text, not empty and not too long."""
    return isinstance(value, str) and 0 < len(value) <= MAX_SUBJECT and value.isprintable()


def fallback_name(subject: str) -> str:
    """Return the name for a client whose token has none."""
    return f"guest-{subject[-4:]}"


def bearer_token(authorization: str) -> str | None:
    """Return the token in an ``Authorization: Bearer`` header; None if there is none."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def check_token(token: Any, max_bytes: int) -> str:
    """Return ``token`` if it is one line of ASCII of at most ``max_bytes``. Raises Unauthorized."""
    if token is None or token == "":
        raise Unauthorized("this needs a token", "token_missing")
    if not isinstance(token, str):
        raise Unauthorized("the token is not a text", "token_malformed")
    if len(token) > max_bytes:
        raise Unauthorized(f"the token has more than {max_bytes} bytes", "token_too_large")
    if not token.isascii() or not token.isprintable():
        raise Unauthorized("the token has characters that no token has", "token_malformed")
    return token
