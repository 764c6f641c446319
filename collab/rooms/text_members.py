"""The text members of a room on one node: who is here, what each may be showing, who may return."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from collab.merge.delta import Delta, compose
from collab.merge.diff import diff
from collab.merge.lateness import Habit
from collab.merge.text_peer import Receive, ReceiveLine, TextPeer
from collab.merge.trail import Trail, View
from collab.merge.views import Views
from collab.rooms.absent import AbsentPeers
from collab.rooms.handover import Departed
from collab.rooms.identity import Identity
from collab.rooms.journal import Journal
from collab.rooms.members import Members
from collab.rooms.presence import Presence, PresenceLine
from collab.rooms.recognition import nearest_view
from collab.rooms.search import Searches, text_at

if TYPE_CHECKING:
    from collab.rooms.room import Room

QUIET_TIMEOUT: Final = 0.5
"""Seconds that a busy room has to be quiet for a moment, in which views are handed over."""


class TextLine(ReceiveLine, PresenceLine, Protocol):
    """The way to one text member's page: each call says that something is due, not what."""


@dataclass(slots=True, eq=False)
class TextMember:
    """A member that sends whole texts and shows whole texts."""

    id: str
    identity: Identity
    room: Room
    peer: TextPeer
    line: TextLine

    def next_receive(self) -> Receive | None:
        """Return what to write to the member now (see `TextPeer.next_receive`)."""
        return self.peer.next_receive(self.room.text)


class TextMembers:
    """Serves the text ``members`` of one room on this node."""

    def __init__(
        self, members: Members, journal: Journal, presence: Presence, searches: Searches
    ) -> None:
        self._members = members
        self._absent = AbsentPeers()
        self._journal = journal
        self._presence = presence
        self._searches = searches
        self._clock = asyncio.get_running_loop().time
        self._trails: list[Trail] = []

    @property
    def _text(self) -> str:
        return self._journal.replica.text

    def broadcast(self, delta: Delta, exclude: object) -> None:
        """Tell the members, but the one that is ``but``, of an edit of the replica."""
        for member in self._members.text.values():
            if member is not exclude:
                member.peer.advance(delta)
        for peer in self._absent:
            peer.advance(delta)
        for trail in self._trails:
            trail.advance(delta)

    # Coming and going

    def enter(
        self, id: str, identity: Identity, room: Room, line: TextLine, habit: Habit
    ) -> TextMember:
        """Take in a member. One that has left on the same connection is the member that it was."""
        peer = self._absent.pop(id)
        if peer is None:
            peer = TextPeer.blank(self._text, habit, line, self._clock)
        peer.line = line
        return self._enter(TextMember(id, identity, room, peer, line))

    def reconnect(
        self, old: str, id: str, identity: Identity, room: Room, line: TextLine
    ) -> TextMember | None:
        """Take in a member that was here, as ``old``, on another connection; None if it was not."""
        peer = self._absent.pop(old)
        if peer is None:
            return None
        peer.reconnected(line)
        return self._enter(TextMember(id, identity, room, peer, line))

    async def hand_over(self, id: str, room: str) -> Departed | None:
        """Return what a member that has left leaves behind, for the node where it comes back.

        None if it is not known here, or if the journal can't be quiet now. It is not known here any
        more then.
        """
        peer = self._absent.pop(id) if await self._quiet() else None
        if peer is None:
            return None
        journal = self._journal
        return Departed(
            room, journal.epoch, journal.last, peer.views(),
            known=peer.is_known(), typing=peer.is_typing(),
        )  # fmt: skip

    async def _quiet(self) -> bool:
        """Wait until the replica is what the journal's last entry ends; return whether it is.

        It is not in time in a room that never rests, or while Redis is away.
        """
        try:
            async with asyncio.timeout(QUIET_TIMEOUT):
                return await self._journal.wait_until_quiet()
        except TimeoutError:
            return False

    async def restore(
        self, left: Departed, id: str, identity: Identity, room: Room, line: TextLine, habit: Habit
    ) -> TextMember | None:
        """Take in a member that was on another node; None if its views lead nowhere here.

        Raises StoreUnavailable.
        """
        self._journal.check()
        await self._quiet()  # else the last of the way is told from the texts alone
        with self._follow_replica() as start:
            found = await text_at(left.epoch, left.last, await self._journal.read(), self._searches)
        if found is None or any(way.apply(text) != found.text for text, way in left.views):
            return None
        (at_start,) = start.views()
        onward = compose(found.way, Delta.from_splices(diff(found.tail, at_start.text)))
        way = compose(onward, at_start.way)
        views = Views.restored(left.views, way, habit, known=left.known)
        peer = TextPeer.restored(views, line, self._clock, typing=left.typing)
        return self._enter(TextMember(id, identity, room, peer, line))

    def _enter(self, member: TextMember) -> TextMember:
        self._members.add_text(member)
        self._presence.entered(member.id, member.identity.name, introduce=True)
        return member

    def greet(self, member: TextMember) -> None:
        """Send a member that joins, or joins again, the text if the room has one."""
        member.peer.mount(owed=self._journal.exists)

    def leave(self, member: TextMember, *, may_return: bool) -> None:
        """Let a member go; what it may be showing is kept if it ``may_return``."""
        self._members.remove(member.id)
        self._presence.left(member.id)
        if may_return:
            self._absent.add(member.id, member.peer, self._clock())

    def expire_absent(self) -> None:
        """Let go of the views of those who have been away for too long."""
        self._absent.expire(self._clock())

    def close(self) -> None:
        """Let go of all views."""
        self._absent.clear()

    # Members that are not known

    async def recognise(self, member: TextMember, code: str) -> None:
        """Find out what a member may have been showing that sends its first text, ``code``.

        Raises StoreUnavailable. The member then keeps on its screen what it has sent, until it
        sends more or joins.
        """
        if member.peer.is_known() or not self._journal.exists:
            return
        member.peer.hold()  # a receive would overwrite what it shows
        shown = partial(self._shown_by_others, member)
        with self._follow_replica() as start:
            view = await nearest_view(code, start, self._journal, self._searches, shown)
        member.peer.recall(view)

    def _shown_by_others(self, member: TextMember) -> Iterator[View]:
        for peer in (*self._absent, *(other.peer for other in self._members.text.values())):
            if peer is not member.peer:
                yield from peer.views()

    @contextmanager
    def _follow_replica(self) -> Iterator[Trail]:
        """Give the room's text now, as the one view of a trail that follows the replica."""
        start = Trail()
        start.append(self._text)
        self._trails.append(start)
        try:
            yield start
        finally:
            self._trails.remove(start)
