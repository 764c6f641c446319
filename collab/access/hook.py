"""A hook: a function of the program that embeds the service decides who may enter.

It is given the token that a client shows, which may have any form, and a room; docs/access.md has
an example.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from collab.access.grant import Grant, check_token, fallback_name, is_subject
from collab.errors import AuthUnavailable, RoomNotAllowed, Unauthorized
from collab.names import clean_name
from collab.rooms.identity import Role

log = logging.getLogger(__name__)

HOOK_TIMEOUT: Final = 10.0
"""Seconds in which a hook must answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """The person who has a token, as a hook tells it. ``expires`` is in Unix seconds."""

    subject: str
    name: str = ""
    role: Role = Role.EDITOR
    expires: float | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A hook's answer to a token that it does not accept; the client gets the ``message``."""

    message: str = "the token is not accepted"


Authorize = Callable[[str, str | None], Awaitable[Bearer | Refusal]]
"""Given a token and a room's name, returns who has the token, with its role in the room. The room
is None when a Socket.IO client connects, or a token is renewed, and no room is named yet."""


class HookVerifier:
    """Asks ``authorize`` for each connection, and for each room that a client enters."""

    def __init__(self, authorize: Authorize, max_token_bytes: int) -> None:
        self._authorize = authorize
        self._max_token_bytes = max_token_bytes

    async def open(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""

    async def identify(self, token: Any) -> Grant:
        """Return what ``token`` grants. Raises Unauthorized or AuthUnavailable."""
        token = check_token(token, self._max_token_bytes)
        answer = await self._ask(token, None)
        if isinstance(answer, Refusal):
            raise Unauthorized(answer.message, "refused")
        name = clean_name(answer.name, clean_name(fallback_name(answer.subject), "guest"))
        digest = hashlib.sha256(token.encode()).hexdigest()
        grant = Grant(answer.subject, name, (), answer.expires, digest, token)
        grant.check()
        return grant

    async def role_in(self, grant: Grant, room: str) -> Role | None:
        """Return the role of a grant in a room. Raises RoomNotAllowed or AuthUnavailable."""
        answer = await self._ask(grant.token, room)
        if isinstance(answer, Refusal):
            raise RoomNotAllowed(answer.message, room)
        return answer.role if answer.subject == grant.subject else None

    async def _ask(self, token: str, room: str | None) -> Bearer | Refusal:
        try:
            async with asyncio.timeout(HOOK_TIMEOUT):
                answer = await self._authorize(token, room)
        except Exception as fault:
            # Where it failed, without the message, which may repeat the token.
            where = "".join(traceback.format_tb(fault.__traceback__))
            extra = {"reason": type(fault).__name__, "where": where}
            log.error("the hook of tokens failed", extra=extra)
            raise AuthUnavailable("the token can't be checked now") from None
        if not isinstance(answer, Refusal) and not _is_valid(answer):
            log.error("the hook of tokens returned neither a valid Bearer nor a Refusal")
            raise AuthUnavailable("the token can't be checked now")
        return answer


def _is_valid(answer: object) -> bool:
    if not isinstance(answer, Bearer) or not isinstance(answer.role, Role):
        return False
    return is_subject(answer.subject) and (answer.expires is None or math.isfinite(answer.expires))
