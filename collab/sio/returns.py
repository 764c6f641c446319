"""Clients that have gone and may come back: to this node, or to another.

Since 4.6 socket.io-client tells, when it connects again, the pid that the answer to its last
CONNECT carried. So who comes back is known, and is the member that it was, in its rooms.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from collab.errors import StoreUnavailable
from collab.rooms.absent import RETURN_TIMEOUT
from collab.rooms.handover import Departed, Handovers, digest
from collab.rooms.registry import Rooms
from collab.store.questions import Questions
from collab.store.store import Store
from collab.store.subscriber import Subscriber

log = logging.getLogger(__name__)

MAX_PID: Final = 64
"""Characters of what a client may show as its pid; `new_pid` has 27."""


def new_pid() -> str:
    """Return a pid: whoever shows it is taken for the client that got it."""
    return secrets.token_urlsafe(20)


def may_be_pid(shown: Any) -> TypeGuard[str]:
    """Whether what a client shows may be a pid that some node has given."""
    return isinstance(shown, str) and 0 < len(shown) <= MAX_PID and shown.isascii()


@dataclass(frozen=True, slots=True)
class Absent:
    """A client that has gone: its sid, the rooms it was in, and when (monotonic, in seconds)."""

    sid: str
    rooms: tuple[str, ...]
    since: float


class Returns:
    """Remembers a node's clients that have gone, and finds those of other nodes.

    ``let_go`` ends the connection of a client that is still here, or seems to be. It is given the
    `digest` of its pid.
    """

    def __init__(
        self,
        rooms: Rooms,
        store: Store,
        subscriber: Subscriber,
        questions: Questions,
        let_go: Callable[[str], Awaitable[None]],
    ) -> None:
        self._rooms = rooms
        self._let_go = let_go
        self._handovers = Handovers(store, subscriber, questions, self._hand_over)
        self._absent: dict[str, Absent] = {}  # by the digest of their pid
        self._leaving: set[asyncio.Task[None]] = set()
        self._clock = asyncio.get_running_loop().time

    async def open(self) -> None:
        """Answer other nodes. Raises StoreUnavailable."""
        await self._handovers.open()

    async def close(self) -> None:
        """Answer nobody any more."""
        await self._handovers.close()

    def gone(self, pid: str, sid: str, rooms: Sequence[str]) -> None:
        """Remember a client that has gone."""
        now = self._clock()
        self._absent[digest(pid)] = Absent(sid, tuple(rooms), now)
        for other, absent in list(self._absent.items()):
            if absent.since > now - RETURN_TIMEOUT:
                break
            del self._absent[other]

    async def find(self, pid: str) -> Absent | list[Departed] | None:
        """Return who a client with ``pid`` was here, or what it left at another node.

        None if nobody knows it. It is known to nobody any more then.
        """
        member = digest(pid)
        return await self._remove(member) or await self._handovers.claim(member)

    async def _remove(self, member: str) -> Absent | None:
        await self._let_go(member)
        return self._absent.pop(member, None)

    async def _hand_over(self, member: str) -> list[Departed] | None:
        """Return what a client leaves in its rooms, for the node where it has come back."""
        absent = await self._remove(member)
        if absent is None:
            return None
        departed: list[Departed] = []
        for name in absent.rooms:
            room = self._rooms.loaded(name)
            left = await room.texts.hand_over(absent.sid, name) if room is not None else None
            if left is None:
                return None
            departed.append(left)
        return departed

    # A node that drains

    def leave_in_redis(self, pid: str) -> None:
        """Leave what a client leaves behind in Redis: it will come back elsewhere."""
        leaving = asyncio.create_task(self._leave(digest(pid)))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def all_left(self) -> None:
        """Wait until Redis has all of it."""
        if self._leaving:
            await asyncio.wait(self._leaving)

    async def _leave(self, member: str) -> None:
        departed = await self._hand_over(member)
        if departed is None:
            return
        try:
            await self._handovers.store(member, departed, RETURN_TIMEOUT)
        except StoreUnavailable:
            log.warning("views of a member could not be left for its return")
