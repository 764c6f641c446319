"""The text members of a room on one node: their views, and those that have left and may return."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from collab.errors import NotAllowed
from collab.merge.delta import Delta, compose
from collab.merge.lateness import Habit
from collab.merge.text_peer import Receive, ReceiveLine, TextPeer
from collab.merge.trail import Trail
from collab.merge.turns import UNDELAYED, Turn
from collab.merge.views import Views
from collab.metrics import Metrics
from collab.rooms.absent import AbsentPeers
from collab.rooms.author import TEXT, author_words
from collab.rooms.handover import Departed
from collab.rooms.identity import Identity
from collab.rooms.journal import Journal
from collab.rooms.members import Members
from collab.rooms.pacing import Pacer
from collab.rooms.presence import Presence, PresenceLine
from collab.rooms.recognition import nearest_view
from collab.rooms.search import Searches, text_at

if TYPE_CHECKING:
    from collab.rooms.room import Room

QUIET_TIMEOUT: Final = 0.5
"""Seconds to wait for a moment without work in a busy room, in which views are handed over."""
READER_RECEIVES_PER_SECOND: Final = 1000
"""Receives, of all readers of one room together, that a node writes a second: some 7 % of a core.
Each of 250 readers gets four texts a second then, and each of 1,000 one."""
READER_BURST: Final = 50
"""Receives that are written to readers at once: with fewer readers each gets the text of every
keystroke, and what is written at once to more would keep the typists waiting."""


class TextLine(ReceiveLine, PresenceLine, Protocol):
    """The connection to a text member's page: each call says that a message is due, not which."""


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
        self,
        members: Members,
        journal: Journal,
        presence: Presence,
        searches: Searches,
        metrics: Metrics,
    ) -> None:
        self._members = members
        self._absent = AbsentPeers()
        self._journal = journal
        self._presence = presence
        self._searches = searches
        self._metrics = metrics
        self._clock = asyncio.get_running_loop().time
        self._trails: list[Trail] = []
        self.readers: Pacer[ReceiveLine] = Pacer(
            _receive_due, READER_RECEIVES_PER_SECOND, READER_BURST
        )
        """Tells the readers of a big room, one after another, that a receive is due."""

    @property
    def _text(self) -> str:
        return self._journal.replica.text

    def change(self, member: TextMember, code: str, turn: Turn = UNDELAYED) -> None:
        """Merge a member's text.

        ``turn`` says whether the client may have delayed the text. Raises NotAllowed if the member
        may only read; the member then gets the room's text again.
        """
        if not member.identity.may_write:
            member.peer.resend()
            raise NotAllowed("this member may read, not write")
        self._metrics.changes.inc()
        outcome = member.peer.change(code, turn)
        if outcome.guessed:
            self._metrics.guesses.inc()
        if outcome.late:
            self._metrics.late.inc()
        identity, color = member.identity, self._presence.color(member.id)
        author = author_words(identity.subject, identity.name, color, TEXT)
        member.room.edit(outcome.delta, author, member, expected=code)

    def broadcast(self, delta: Delta, exclude: object) -> None:
        """Pass an edit of the replica to all members except ``exclude``, and to kept views."""
        for member in self._members.text.values():
            if member is not exclude:
                member.peer.advance(delta)
        if self._absent or self._trails:
            for kept in (*self._absent, *self._trails):
                kept.advance(delta)

    # Joining and leaving

    def enter(
        self, id: str, identity: Identity, room: Room, line: TextLine, habit: Habit
    ) -> TextMember:
        """Add a member; one that left and joins again on the same connection keeps its views."""
        peer = self._absent.pop(id)
        if peer is None:
            peer = TextPeer.blank(self._text, habit, line, self._clock)
        peer.line = line
        return self._enter(TextMember(id, identity, room, peer, line))

    def reconnect(
        self, old: str, id: str, identity: Identity, room: Room, line: TextLine
    ) -> TextMember | None:
        """Add a member that was here as ``old`` on another connection; None if it was not."""
        peer = self._absent.pop(old)
        if peer is None:
            return None
        peer.reconnected(line)
        return self._enter(TextMember(id, identity, room, peer, line))

    async def hand_over(self, id: str, room: str) -> Departed | None:
        """Return what a member that has left leaves behind, for the node to which it reconnects.

        None if the member is not known here, or if the journal is too busy now. If the member is
        returned, this node does not know it any more.
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
        """Wait until the replica is what the journal adds up to; return whether it is in time.

        It is not in a room that is always busy, or while Redis is away.
        """
        try:
            async with asyncio.timeout(QUIET_TIMEOUT):
                return await self._journal.wait_until_quiet()
        except TimeoutError:
            return False

    async def restore(
        self, left: Departed, id: str, identity: Identity, room: Room, line: TextLine, habit: Habit
    ) -> TextMember | None:
        """Add a member that was on another node; None if its views do not fit the journal.

        Raises StoreUnavailable, and what `Room.check_open` raises, if others were faster.
        """
        self._journal.check()
        await self._quiet()  # otherwise only a diff of the texts gives the last part of the delta
        with self._follow_replica() as start:
            found = await text_at(left.epoch, left.last, await self._journal.read(), self._searches)
        if found is None or any(delta.apply(text) != found.text for text, delta in left.views):
            return None
        (at_start,) = start.views()
        to_present = compose(found.delta_to(at_start.text), at_start.to_present)
        views = Views.restored(left.views, to_present, habit, known=left.known)
        peer = TextPeer.restored(views, line, self._clock, typing=left.typing)
        room.check_open()
        return self._enter(TextMember(id, identity, room, peer, line))

    def _enter(self, member: TextMember) -> TextMember:
        self._members.add_text(member)
        self._presence.entered(member.id, member.identity.name, introduce=True)
        return member

    def greet(self, member: TextMember) -> None:
        """Send the text, if the room has one, to a member that joins or joins again."""
        member.peer.mount(owed=self._journal.exists)

    def leave(self, member: TextMember, *, may_return: bool) -> None:
        """Remove a member; its views are kept if it ``may_return``."""
        self._members.remove(member.id)
        self._presence.left(member.id)
        if may_return:
            self._absent.add(member.id, member.peer, self._clock())

    def forget(self, id: str) -> None:
        """Drop the views of a member that has left, if they are kept."""
        self._absent.pop(id)

    def expire_absent(self) -> None:
        """Drop the views of members that have been away for too long."""
        self._absent.expire(self._clock())

    def close(self) -> None:
        """Drop all views that are kept, and tell readers of no receive any more."""
        self._absent.clear()
        self.readers.close()

    # Unknown members

    def is_known(self, member: TextMember) -> bool:
        """Whether it is known what a member shows, so that `recognise` need not find out."""
        return member.peer.is_known() or not self._journal.exists

    async def recognise(self, member: TextMember, code: str) -> None:
        """Find the view that a member was showing that sends its first text, ``code``.

        Raises StoreUnavailable. Then no receive overwrites the member's screen until it sends
        another text or joins.
        """
        if self.is_known(member):
            return
        member.peer.withhold_receives()  # a receive would overwrite the text on its screen
        await self._quiet()  # the history then has what another page has just brought back
        shown = partial(self._other_peers, member)
        with self._follow_replica() as start:
            view = await nearest_view(code, start, self._journal, self._searches, shown)
        member.peer.offer_former(view)

    def _other_peers(self, member: TextMember) -> Iterator[TextPeer]:
        for peer in (*self._absent, *(other.peer for other in self._members.text.values())):
            if peer is not member.peer:
                yield peer

    @contextmanager
    def _follow_replica(self) -> Iterator[Trail]:
        """Yield a trail with the present text as its only view; it follows the replica."""
        start = Trail()
        start.append(self._text)
        self._trails.append(start)
        try:
            yield start
        finally:
            self._trails.remove(start)


def _receive_due(line: ReceiveLine) -> None:
    line.receive_due()
