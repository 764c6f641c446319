"""Nodes that ask for tokens, and a service that removes people from rooms."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.cluster.caller import Caller, matches
from tests.support.processes import Node
from tests.support.tokens import SECRET, token

KEY = "moderator:end+read:0123456789abcdef"
SETTINGS = {"COLLAB_AUTH_SECRET": SECRET, "COLLAB_API_KEYS": KEY}


class Moderator(Caller):
    """A service with a key of the API, or a person with a token."""

    async def act(self, room: str, id: str, action: str) -> Any:
        """Do something with a member of a room."""
        status, told = await self.ask(
            "POST", f"/rooms/{room}/members/{id}", json={"action": action}
        )
        assert status == 200, told
        matches("Ruled", told)
        return told

    async def revoke(self, subject: str) -> Any:
        """Revoke all tokens of a subject."""
        status, told = await self.ask("POST", f"/subjects/{subject}/revoke", json={})
        assert status == 200, told
        matches("Revoked", told)
        return told


@asynccontextmanager
async def moderating(node: Node, shown: str = KEY.rpartition(":")[2]) -> AsyncIterator[Moderator]:
    """Yield a caller that shows a key, or a token."""
    headers = {"Authorization": f"Bearer {shown}"} if shown else {}
    async with aiohttp.ClientSession(headers=headers) as session:
        yield Moderator(session, node.url)


def another(subject: str, number: int = 2, **more: Any) -> str:
    """Return a token that differs from `token` of the subject; neither says when it was issued."""
    return token(subject, jti=str(number), **more)
