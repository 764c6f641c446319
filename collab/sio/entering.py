"""The ways in which a client becomes a member of a room."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from collab.rooms.handover import Departed
from collab.rooms.identity import Identity
from collab.rooms.room import Room
from collab.rooms.text_members import TextMember
from collab.sio.client import Client, Line

Enter = Callable[[Room, Client, Identity, Line], Awaitable[TextMember | None]]
"""Makes a client a member of a loaded room; None if its former member cannot be restored."""


async def as_new(room: Room, client: Client, identity: Identity, line: Line) -> TextMember:
    """Make a client a new member."""
    return room.enter(client.sid, identity, line, client.habit)


async def as_it_was(
    sid: str, room: Room, client: Client, identity: Identity, line: Line
) -> TextMember | None:
    """Make a client the member that it was on this node as ``sid``."""
    return room.reconnect(sid, client.sid, identity, line)


async def as_elsewhere(
    left: Departed, room: Room, client: Client, identity: Identity, line: Line
) -> TextMember | None:
    """Make a client the member that it was on another node, which it has ``left``."""
    return await room.restore(left, client.sid, identity, line, client.habit)
