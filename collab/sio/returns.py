"""Clients that have disconnected and may connect again, to this node or to another.

Since version 4.6 socket.io-client sends the pid from the answer to its last CONNECT when it
connects again. So a returning client is recognized, and its member in each room is restored.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from collab.access.grant import Grant
from collab.access.holders import Holders
from collab.errors import CollabError, StoreUnavailable
from collab.rooms.absent import RETURN_TIMEOUT
from collab.rooms.handover import Departed, Handovers
from collab.rooms.identity import Role
from collab.rooms.registry import Rooms
from collab.sio.room_records import RoomRecords
from collab.store.questions import Questions
from collab.store.store import Store
from collab.store.subscriber import Subscriber

log = logging.getLogger(__name__)

MAX_PID: Final = 64
"""Characters that a client's pid may have; those of `new_pid` have 27."""


def new_pid() -> str:
    """Return a new pid, a secret: a client that sends it counts as the client that got it."""
    return secrets.token_urlsafe(20)


def may_be_pid(shown: Any) -> TypeGuard[str]:
    """Whether the value that a client sends may be a pid that a node has given."""
    return isinstance(shown, str) and 0 < len(shown) <= MAX_PID and shown.isascii()


@dataclass(slots=True, eq=False)
class Absent:
    """A client that has disconnected: its sid, its rooms, and when (monotonic, in seconds).

    Rulings still apply to it. ``forget`` drops its views in a room.
    """

    sid: str
    grant: Grant
    rooms: list[str]
    since: float
    forget: Callable[[str, str], None]

    @property
    def connected(self) -> bool:
        """Whether the client is connected: not now."""
        return False

    @property
    def id(self) -> str:
        """The id that the client's members had."""
        return self.sid

    def let_go(self, problem: CollabError, *, may_return: bool) -> None:
        """Forget the client's views, unless it ``may_return``."""
        if not may_return:
            for room in list(self.rooms):
                self.remove(room, problem)

    def remove(self, room: str, problem: CollabError) -> None:
        """Forget the client's views in a room."""
        if room in self.rooms:
            self.rooms.remove(room)
            self.forget(self.sid, room)

    def set_role(self, room: str, role: Role) -> None:
        """Do nothing: the role is read when the client returns."""


class Returns:
    """Remembers a node's disconnected clients, and finds those of other nodes.

    The `digest` of its pid names a client. ``disconnect`` ends a client's connection if this node
    still has it.
    """

    def __init__(
        self,
        rooms: Rooms,
        holders: Holders,
        store: Store,
        subscriber: Subscriber,
        questions: Questions,
        records: RoomRecords,
        disconnect: Callable[[str], Awaitable[None]],
    ) -> None:
        self._rooms = rooms
        self._holders = holders
        self._records = records
        self._disconnect = disconnect
        self._handovers = Handovers(store, subscriber, questions, self._hand_over)
        self._absent: OrderedDict[str, Absent] = OrderedDict()  # by the digest of their pid
        self._storing: set[asyncio.Task[None]] = set()
        self._clock = asyncio.get_running_loop().time

    async def open(self) -> None:
        """Begin to answer other nodes. Raises StoreUnavailable."""
        await self._handovers.open()

    async def close(self) -> None:
        """Stop answering other nodes."""
        await self._handovers.close()

    def remember(self, member: str, sid: str, grant: Grant, rooms: Iterable[str]) -> None:
        """Remember a client that has disconnected."""
        now = self._clock()
        self._absent[member] = absent = Absent(sid, grant, list(rooms), now, self._forget)
        self._holders.add(absent)
        while self._absent:
            other, earliest = next(iter(self._absent.items()))
            if earliest.since > now - RETURN_TIMEOUT:
                break
            self._pop(other)
            if earliest.rooms:
                self._records.put(other, ())

    def _forget(self, sid: str, name: str) -> None:
        if room := self._rooms.loaded(name):
            room.texts.forget(sid)

    def _pop(self, member: str) -> Absent | None:
        absent = self._absent.pop(member, None)
        if absent is not None:
            self._holders.discard(absent)
        return absent

    async def find(self, member: str) -> Absent | list[Departed] | None:
        """Return a client as it was on this node, or its state from another node.

        Returns None if no node knows it. Each client can be found once.
        """
        return await self._remove(member) or await self._handovers.claim(member)

    async def _remove(self, member: str) -> Absent | None:
        await self._disconnect(member)
        return self._pop(member)

    async def _hand_over(self, member: str) -> list[Departed] | None:
        """Return a client's state in its rooms, for the node to which it has connected."""
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

    async def hear_claims(self) -> None:
        """Return when clients are gone for which other nodes have asked until now."""
        await self._handovers.hear_claims()

    # A node that drains

    def store_soon(self, member: str) -> None:
        """Store a client's state in Redis: the client will connect to another node."""
        storing = asyncio.create_task(self._store(member))
        self._storing.add(storing)
        storing.add_done_callback(self._storing.discard)

    async def flush(self) -> None:
        """Wait until Redis has the state of all such clients."""
        if self._storing:
            await asyncio.wait(self._storing)

    async def _store(self, member: str) -> None:
        departed = await self._hand_over(member)
        if departed is None:
            return
        try:
            await self._handovers.store(member, departed, RETURN_TIMEOUT)
        except StoreUnavailable:
            log.warning("views of a member could not be left for its return")
