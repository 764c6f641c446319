"""The text members of a room on one node: who is here, what each may be showing, who may return."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from collab.merge.delta import Delta, compose
from collab.merge.diff import diff, edit_distance
from collab.merge.lateness import Habit
from collab.merge.trail import Trail, View
from collab.merge.views import Views
from collab.rooms.handover import Departed
from collab.rooms.journal import Journal
from collab.rooms.presence import Presence, PresenceLine
from collab.rooms.search import Found, Searches, nearest_text, text_at

if TYPE_CHECKING:
    from collab.rooms.room import Room

RETURN_TIME: Final = 120.0
"""Seconds for which the views of a member that went away wait for its return."""
QUIET_TIME: Final = 0.5
"""Seconds that a busy room has to be quiet for a moment, in which views are handed over."""
MAX_ABSENT: Final = 64
"""Members whose views wait in one room; those that have been away for longest give way."""


class TextLine(PresenceLine, Protocol):
    """The way to one text member's screen: each call says that something is due, not what."""

    def receive_due(self) -> None:
        """A ``receive`` is to be written when the client can take it: ask `TextMember.receive`."""


@dataclass(slots=True, eq=False)
class TextMember:
    """A member that sends whole texts and shows whole texts."""

    id: str
    name: str
    room: Room
    views: Views
    line: TextLine
    may_write: bool = True
    left_at: float = field(default=0.0, init=False)
    _timer: asyncio.TimerHandle | None = field(default=None, init=False)

    def receive(self) -> str | None:
        """Return the text to write now, between two marks; None if there is none.

        It counts as written: it must be, with its marks, before anything else is.
        """
        now = self.room.clock()
        text = self.views.next_receive(self.room.text, now)
        if text is None and self._timer is None:
            wait = self.views.held_for(now)
            if wait is not None:
                self._timer = asyncio.get_running_loop().call_later(wait, self._try_again)
        return text

    def _try_again(self) -> None:
        self._timer = None
        self.line.receive_due()

    def pong(self) -> None:
        """The client has answered a mark."""
        if self.views.pong(self.room.clock()):
            self.line.receive_due()

    def idle(self) -> None:
        """The client keeps nothing back, or never did."""
        if self.views.may_wait:
            self.views.release()
            self.line.receive_due()


class TextMembers:
    """One room's text members on this node."""

    def __init__(self, journal: Journal, presence: Presence, searches: Searches) -> None:
        self.here: dict[str, TextMember] = {}
        self._absent: dict[str, TextMember] = {}
        self._journal = journal
        self._presence = presence
        self._searches = searches
        self._clock = asyncio.get_running_loop().time
        self._followed: list[Trail] = []

    @property
    def _text(self) -> str:
        return self._journal.replica.text

    def spread(self, delta: Delta, but: object) -> None:
        """Tell the members, but the one that is ``but``, of an edit of the replica."""
        now = self._clock()
        for member in self.here.values():
            if member is not but:
                member.views.advance(delta, now)
                member.line.receive_due()
        for member in self._absent.values():
            member.views.advance(delta, now)
        for trail in self._followed:
            trail.advance(delta)

    # Coming and going

    def enter(self, id: str, name: str, room: Room, line: TextLine, habit: Habit) -> TextMember:
        """Take in a member. One that has left on the same connection is the member that it was."""
        member = self._absent.pop(id, None)
        if member is None:
            member = TextMember(id, name, room, Views.blank(self._text, habit), line)
        member.line = line
        self._enter(member)
        return member

    def come_back(
        self, old: str, id: str, name: str, room: Room, line: TextLine
    ) -> TextMember | None:
        """Take in a member that was here, as ``old``, on another connection; None if it was not."""
        member = self._absent.pop(old, None)
        if member is None:
            return None
        back = TextMember(id, name, room, member.views, line)
        back.views.returned()
        self._enter(back)
        return back

    async def hand_over(self, id: str, room: str) -> Departed | None:
        """Return what a member that has left leaves behind, for the node where it comes back.

        None if it is not known here, or if the journal can't be quiet now. It is not known here any
        more then.
        """
        member = self._absent.pop(id, None) if await self._quiet() else None
        if member is None:
            return None
        journal, views, now = self._journal, member.views, self._clock()
        return Departed(
            room, journal.epoch, journal.last, views.views(),
            known=views.is_known(now), typing=views.is_typing(now),
        )  # fmt: skip

    async def _quiet(self) -> bool:
        """Wait until the replica is what the journal's last entry ends; return whether it is.

        It is not in time in a room that never rests, or while Redis is away.
        """
        try:
            async with asyncio.timeout(QUIET_TIME):
                return await self._journal.quiet()
        except TimeoutError:
            return False

    async def take_over(
        self, left: Departed, id: str, name: str, room: Room, line: TextLine, habit: Habit
    ) -> TextMember | None:
        """Take in a member that was on another node; None if its views lead nowhere here.

        Raises StoreUnavailable.
        """
        self._journal.check()
        await self._quiet()  # else the last of the way is told from the texts alone
        start = self._follow()
        try:
            found = await text_at(left.epoch, left.last, await self._journal.read(), self._searches)
        finally:
            self._followed.remove(start)
        if found is None or any(way.apply(text) != found.text for text, way in left.views):
            return None
        (at_start,) = start.views()
        onward = compose(found.way, Delta.from_splices(diff(found.tail, at_start.text)))
        way = compose(onward, at_start.way)
        views = Views.taken_over(left.views, way, habit, known=left.known)
        if left.typing:
            views.has_typed(self._clock())
        views.returned()
        member = TextMember(id, name, room, views, line)
        self._enter(member)
        return member

    def _enter(self, member: TextMember) -> None:
        self.here[member.id] = member
        self._presence.enter_listener(member.id, member.name, member.line)

    def greet(self, member: TextMember) -> None:
        """Send a member that joins, or joins again, the text if the room has one."""
        member.views.mount(self._text, owed=self._journal.exists)
        member.line.receive_due()

    def leave(self, member: TextMember, *, may_return: bool) -> None:
        """Let a member go; what it may be showing is kept if it ``may_return``."""
        del self.here[member.id]
        self._presence.leave(member.id)
        if may_return:
            member.left_at = self._clock()
            self._absent[member.id] = member
            if len(self._absent) > MAX_ABSENT:
                del self._absent[next(iter(self._absent))]

    def forget_absent(self) -> None:
        """Let go of the views of those who have been away for too long."""
        before = self._clock() - RETURN_TIME
        for member in [each for each in self._absent.values() if each.left_at < before]:
            del self._absent[member.id]

    def close(self) -> None:
        """Let go of all views."""
        self._absent.clear()

    # Members that are not known

    async def recognise(self, member: TextMember, code: str) -> None:
        """Find out what a member may have been showing that sends its first text, ``code``.

        Many pages keep their text when their connection breaks, and go on typing. What they send is
        no edit of nothing: that would put all of it there twice. Raises StoreUnavailable: without
        the room's history nothing may be guessed. The member then keeps on its screen what it has
        sent, until it sends more or joins.
        """
        if member.views.is_known(self._clock()) or not self._journal.exists:
            return
        start = self._follow()
        member.views.hold()  # a receive would overwrite what it shows
        try:
            found = await self._nearest_past(code)
            most = len(code) if found is None else found.distance
            shown = await self._nearest_shown(member, code, start, most)
        finally:
            self._followed.remove(start)
        member.views.release()
        (at_start,) = start.views()
        if shown is not None:
            view = shown
        elif found is not None:
            way = compose(found.way, Delta.from_splices(diff(found.tail, at_start.text)))
            view = View(found.text, compose(way, at_start.way))
        else:
            view = at_start
        member.views.recall(view, self._clock())

    async def _nearest_past(self, code: str) -> Found | None:
        """Return the text in the room's history that is nearest to ``code``.

        None if the present one is as near.
        """
        distance = edit_distance(self._text, code, len(self._text) + len(code))
        reading = await self._journal.read()
        if not distance:
            return None
        return await nearest_text(code, reading, self._searches, most=distance - 1)

    def _follow(self) -> Trail:
        """Return the room's text now, as the one view of a trail that follows the replica."""
        start = Trail()
        start.append(1, self._text)
        self._followed.append(start)
        return start

    async def _nearest_shown(
        self, member: TextMember, code: str, start: Trail, most: int
    ) -> View | None:
        """Return what others show, or showed when they left, that is nearest to ``code``.

        None if it is farther than ``most``. Those that are here count: a connection that broke can
        seem open for a minute. So does the room's text at the ``start``.
        """
        nearest: str | None = None
        distance = most + 1
        async with self._searches.turn():
            for text in {view.text for view in self._shown_by_others(member, start)}:
                found = edit_distance(text, code, distance - 1)
                if found is not None:
                    nearest, distance = text, found
                await self._searches.pause()
        # The views went on meanwhile, and some may have gone.
        shown = self._shown_by_others(member, start)
        return next((view for view in shown if view.text == nearest), None)

    def _shown_by_others(self, member: TextMember, start: Trail) -> Iterator[View]:
        yield from start.views()
        for other in (*self._absent.values(), *self.here.values()):
            if other is not member:
                yield from other.views.views()
