"""One room on this node: its members, and what each of them is to be told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from collab.config import Config
from collab.errors import NotAllowed, RoomClosed, RoomFull, StoreUnavailable
from collab.merge.delta import IDENTITY, Delta, transform
from collab.merge.diff import diff
from collab.merge.limits import Limits
from collab.merge.trail import View, comeback
from collab.merge.views import Views
from collab.metrics import Metrics
from collab.rooms import census, presence
from collab.rooms.author import Author
from collab.rooms.crowd import Crowd
from collab.rooms.journal import Journal
from collab.rooms.presence import Person
from collab.rooms.yjs_members import YjsLine, YjsMember, YjsMembers
from collab.store.announcement import END_MARK, Announcement
from collab.store.announcement import MARK as JOURNAL_MARK
from collab.store.keys import room_channel
from collab.store.store import Store
from collab.store.subscriber import Subscriber

log = logging.getLogger(__name__)

PARKING_TIME = 120.0
"""Seconds for which the views of a member that went away wait for its return."""
NO_ECHO = 2
"""Receives that a member must have taken without sending one back, to be sent more at a time."""
MOST_PARKED = 64
"""Members' views that wait in one room; the oldest give way."""


class Line(Protocol):
    """The way to one text member's screen: each call says that something is due, not what."""

    def receive_due(self) -> None:
        """A ``receive`` is to be written when the client can take it: ask `TextMember.receive`."""

    def presence_due(self) -> None:
        """A ``presence`` is to be written: ask `Room.people`."""


@dataclass(slots=True, eq=False)
class TextMember:
    """A member that sends whole texts and shows whole texts."""

    id: str
    name: str
    subject: str
    room: Room
    views: Views
    line: Line
    recognised: bool = False
    owed: bool = False
    may_write: bool = True
    _held: bool = field(default=False, init=False)
    _unechoed: int = field(default=0, init=False)

    def receive(self) -> str | None:
        """Return the text to write now, between two marks; None if there is none.

        It counts as written: it must be, with its marks, before anything else is.
        """
        text, now = self.room.text, self.room.clock()
        if text == self.views.final_text and not self.owed:
            return None
        # A client that takes several messages from one packet (Node's) answers all their marks
        # first, and its echo of the first would look like somebody's undoing of the others.
        echoes = self._unechoed < NO_ECHO and self.views.underway > 0
        if echoes or not self.views.may_receive(now):
            self._held = True
            return None
        self.owed = False
        self.views.written(text)
        return text

    def echoed(self) -> None:
        """The client has sent what it was showing, as some do with whatever they receive."""
        self._unechoed = 0

    def pong(self) -> None:
        """The client has answered a mark."""
        confirmed = self.views.confirmed
        self.views.pong()
        if self.views.confirmed > confirmed:
            self._unechoed += 1
        if self._held:
            self._held = False
            self.line.receive_due()


@dataclass(slots=True)
class _Parked:
    """A member that went away; its views are followed in case that it returns."""

    member: TextMember
    until: float


class Room:
    """One room on this node, from the first member's coming to a while after the last one's going.

    ``others`` is given what is said on the room's channel and is not this service's own. ``on_end``
    is called when somebody has ended the room: its members are to be told, and to leave it.
    """

    def __init__(
        self,
        name: str,
        config: Config,
        store: Store,
        subscriber: Subscriber,
        metrics: Metrics,
        others: Callable[[bytes], None],
    ) -> None:
        self.name = name
        self.members: dict[str, TextMember] = {}
        self.clock = asyncio.get_running_loop().time
        self.on_end: Callable[[Room], None] = lambda room: None
        self._config = config
        self._store = store
        self._subscriber = subscriber
        self._metrics = metrics
        self._others = others
        self._channel = room_channel(name)
        # The room's parts refer to it weakly: the collector, which runs seldom, would be the only
        # one to free a cycle, and a room that was let go may be large.
        me = weakref.proxy(self)
        self._crowd = Crowd(
            config.node_id,
            config.presence_interval,
            lambda report: me._publish(me._channel, report),
        )
        self._parked: list[_Parked] = []
        self._answering: set[asyncio.Task[None]] = set()
        self._journal = Journal(
            name, store, metrics, lambda delta, update: me._changed_elsewhere(delta, update),
            ttl=config.room_ttl, max_entries=config.max_journal_entries,
            max_bytes=config.max_journal_bytes,
        )  # fmt: skip
        self._journal.on_end = lambda: me._end()
        self.yjs = YjsMembers(
            self._journal,
            self._crowd,
            lambda delta: me._spread(delta, but=None),
            metrics,
            Limits(
                text_bytes=config.max_code_bytes,
                document_bytes=config.max_document_bytes,
                document_structs=config.max_document_structs,
                update_structs=config.max_update_structs,
                update_ranges=config.max_update_ranges,
                nesting=config.max_nesting,
                state_vector=config.max_state_vector,
            ),
        )

    async def open(self) -> None:
        """Listen to the room's channel, and load it. Raises StoreUnavailable."""
        await self._subscriber.listen(self._channel, self._hear)
        try:
            await self._journal.open()
        except BaseException:
            await self._subscriber.forget(self._channel, self._hear)
            raise

    async def close(self) -> None:
        """Let the room go; what Redis has not confirmed is given up (see ``flush``)."""
        self._crowd.close()
        await self._subscriber.forget(self._channel, self._hear)
        await self._journal.close()
        self._parked.clear()
        if self._answering:
            await asyncio.wait(self._answering)

    def _end(self) -> None:
        self.on_end(self)

    async def flush(self) -> None:
        """Wait until all of the room is in Redis."""
        await self._journal.flush()

    @property
    def text(self) -> str:
        """The text as it is here."""
        return self._journal.replica.text

    @property
    def exists(self) -> bool:
        """Whether anybody has given the room a text, be it empty."""
        return self._journal.exists

    @property
    def ended(self) -> bool:
        """Whether somebody has ended the room: nobody can come in, and nothing more is written."""
        return self._journal.ended

    @property
    def idle(self) -> bool:
        """Whether nobody is here and nothing waits: the room can be let go."""
        return not self.size and self._journal.settled

    @property
    def size(self) -> int:
        """How many members are here."""
        return len(self.members) + len(self.yjs.members)

    # Members

    def join(self, id: str, name: str, subject: str, line: Line) -> TextMember:
        """Take in a member that shows nothing yet; it is owed the text.

        Raises RoomFull or RoomClosed.

        One that has left, and may have receives on their way still, is the member that it was.
        """
        parked = next((parked for parked in self._parked if parked.member.id == id), None)
        if parked is None:
            member = TextMember(id, name, subject, self, Views(_nothing(self.text)), line)
        else:
            member = parked.member
            member.line = line
        self._enter(member)
        if parked is not None:
            self._parked.remove(parked)
        self.greet(member)
        return member

    def greet(self, member: TextMember) -> None:
        """Send a member that joins, or joins again, the text if the room has one."""
        if self.exists:
            member.owed = True
            member.line.receive_due()

    async def come_back(
        self, id: str, name: str, subject: str, line: Line, code: str
    ) -> TextMember:
        """Take in a member that shows ``code`` and never joined: it was here before, or elsewhere.

        It is taken to have edited, of all texts it may have been looking at, the one that makes
        the smallest edit. Raises RoomFull or RoomClosed.
        """
        recent = await self._recent_views()
        view = comeback(code, [View(self.text, Delta()), *self._shown_to(subject), *recent])
        assert view is not None
        member = TextMember(id, name, subject, self, Views(view), line, recognised=True)
        self._enter(member)
        return member

    async def recognise(self, member: TextMember, code: str) -> None:
        """Find out what a member that has joined was showing, before its first ``code`` is merged.

        Many pages join again after a new connection, and show their text until they get the
        room's. What is typed meanwhile is no edit of nothing: that would put all of it there twice.
        """
        if not member.views.confirmed:
            recent = await self._recent_views()
            nothing, now = _nothing(self.text), View(self.text, Delta())
            view = comeback(code, [nothing, now, *self._shown_to(member.subject), *recent])
            assert view is not None
            member.views.began_with(view)
        member.recognised = True

    async def _recent_views(self) -> list[View]:
        try:
            return await self._journal.recent_views() if self.exists else []
        except StoreUnavailable:
            return []

    def _shown_to(self, subject: str) -> list[View]:
        """Return what members of ``subject`` show, or showed when they left.

        Those that are here count: a connection that broke can seem open for a minute.
        """
        here = [member for member in self.members.values() if member.subject == subject]
        left = [parked.member for parked in self._parked if parked.member.subject == subject]
        return [view for member in (*left, *here) for view in member.views.park().views()]

    def _enter(self, member: TextMember) -> None:
        self._check_open()
        self.members[member.id] = member
        self._metrics.members.inc()
        self._crowd.enter_listener(member.id, member.name, member.line)

    def _check_open(self) -> None:
        if self.ended:
            raise RoomClosed(self.name)
        if self.size >= self._config.max_members_per_room:
            raise RoomFull("the room has as many members as it may have")

    def leave(self, member: TextMember, *, may_return: bool) -> None:
        """Let a member go; what it may be showing is kept if it ``may_return``."""
        del self.members[member.id]
        self._metrics.members.dec()
        if may_return:
            self._parked.append(_Parked(member, self.clock() + PARKING_TIME))
            del self._parked[:-MOST_PARKED]
        self._crowd.leave(member.id)

    def join_yjs(self, id: str, name: str, line: YjsLine) -> YjsMember:
        """Take in a member of the second door. Raises RoomFull or RoomClosed."""
        self._check_open()
        member = YjsMember(id, name, line)
        self.yjs.enter(member)
        self._metrics.members.inc()
        return member

    def leave_yjs(self, member: YjsMember) -> None:
        """Let a member of the second door go."""
        self.yjs.leave(member)
        self._metrics.members.dec()

    def _forget_parked(self) -> None:
        now = self.clock()
        self._parked = [parked for parked in self._parked if parked.until > now]

    # Edits

    def change(self, member: TextMember, code: str) -> asyncio.Future[None]:
        """Merge a member's text; the Future is done when Redis has it.

        Raises NotAllowed if the member may only read; it is sent the text again.
        """
        if not member.may_write:
            member.owed = True
            member.line.receive_due()
            raise NotAllowed("this member may read, not write")
        self._metrics.changes.inc()
        views = member.views
        outcome = views.change(views.stamp(), code, self.clock())
        if outcome.echo:
            member.echoed()
        if outcome.guessed:
            self._metrics.guesses.inc()
        if outcome.needs_receive:
            member.line.receive_due()
        if outcome.delta.is_identity:
            return self._journal.touch()
        update = self._journal.replica.edit(outcome.delta)
        self._spread(outcome.delta, but=member)
        self.yjs.tell(update)
        return self._journal.append(update, str(Author(member.id, member.name)))

    async def put(self, code: str, base: str | None, author: Author) -> asyncio.Future[None]:
        """Merge a text from somebody who is no member; the Future is done when Redis has it.

        It is an edit of ``base``, of the present text if that is None. Raises RoomClosed or
        StoreUnavailable, and has done nothing then.
        """
        await self._store.call("PING")  # an edit can't be taken back: is Redis there to take it?
        way = IDENTITY
        if base is None or not self.exists:
            base = self.text
        elif base != self.text:
            way = await self._way_from(base)
        if self.ended:
            raise RoomClosed(self.name)
        self._metrics.changes.inc()
        delta, _ = transform(Delta.from_splices(diff(base, code)), way)
        if delta.is_identity:
            return self._journal.touch()
        update = self._journal.replica.edit(delta)
        self._spread(delta, but=None)
        self.yjs.tell(update)
        return self._journal.append(update, str(author))

    async def _way_from(self, text: str) -> Delta:
        """Return the way from a text that the room had, or may have had, to the present one."""
        for view in await self._journal.recent_views():
            if view.text == text:
                return view.way
        return Delta.from_splices(diff(text, self.text))

    def _changed_elsewhere(self, delta: Delta, update: bytes) -> None:
        if not delta.is_identity:
            self._spread(delta, but=None)
        self.yjs.tell(update)

    def _spread(self, delta: Delta, but: TextMember | None) -> None:
        for member in self.members.values():
            if member is not but:
                member.views.advance(delta)
                member.line.receive_due()
        for parked in self._parked:
            parked.member.views.advance(delta)

    # What other nodes say

    def _hear(self, message: bytes) -> None:
        self._metrics.announcements.inc()
        try:
            if message.startswith(JOURNAL_MARK):
                self._journal.heard(Announcement.parse(message))
            elif message.startswith(presence.MARK):
                self._crowd.hear(message)
            elif message.startswith(census.QUESTION):
                self._answer(message)
            elif message == END_MARK:
                self._journal.heard_end()
            else:
                self._others(message)
        except ValueError:
            log.warning("unknown words on a room's channel", extra={"room": self.name})

    def _answer(self, question: bytes) -> None:
        here = [person for person in self.people() if person.node == self._config.node_id]
        answering = asyncio.create_task(self._publish(*census.answer(question, here)))
        self._answering.add(answering)
        answering.add_done_callback(self._answering.discard)

    # Presence and upkeep

    def people(self) -> list[Person]:
        """Return who is in the room, on all nodes."""
        return self._crowd.people()

    @property
    def crowd(self) -> Crowd:
        """The members as they see each other."""
        return self._crowd

    async def _publish(self, channel: str, message: bytes) -> None:
        with contextlib.suppress(StoreUnavailable):  # reports and questions come again
            await self._store.publish(channel, message)

    def check(self) -> None:
        """Compare with Redis and mend what differs; forget who waited too long."""
        self._journal.check()
        self._forget_parked()

    def report(self) -> None:
        """Tell the other nodes who is here, and forget those that are silent."""
        self._crowd.beat()


def _nothing(text: str) -> View:
    """Return the view of a screen that is empty, in a room with ``text``."""
    return View("", Delta.of(text))
