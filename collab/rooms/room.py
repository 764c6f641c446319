"""One room on this node: its members, and what each of them is to be told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import weakref
from collections.abc import Callable

from collab.config import Config
from collab.errors import NotAllowed, RoomClosed, RoomFull, StoreUnavailable
from collab.merge.delta import IDENTITY, Delta, compose, transform
from collab.merge.diff import diff
from collab.merge.lateness import Habit
from collab.merge.limits import Limits
from collab.merge.replica import Edit
from collab.merge.turns import UNDELAYED, Turn
from collab.metrics import Metrics
from collab.rooms import census
from collab.rooms.author import Author
from collab.rooms.handover import Departed
from collab.rooms.identity import Identity
from collab.rooms.journal import Journal
from collab.rooms.members import Members
from collab.rooms.person import Person
from collab.rooms.presence import Presence
from collab.rooms.search import Searches, nearest_text
from collab.rooms.text_members import TextLine, TextMember, TextMembers
from collab.rooms.yjs_members import YjsLine, YjsMember, YjsMembers
from collab.store import channel
from collab.store.keys import room_channel
from collab.store.store import Store
from collab.store.subscriber import Subscriber

log = logging.getLogger(__name__)


class Room:
    """One room on this node, from the first member's coming to a while after the last one's going.

    ``on_emit`` is given what is said on the room's channel and is not this service's own. When
    somebody has ended the room, ``on_end`` is called with it before its members leave.
    """

    def __init__(
        self,
        name: str,
        config: Config,
        store: Store,
        subscriber: Subscriber,
        metrics: Metrics,
        on_emit: Callable[[bytes], None],
        searches: Searches,
        on_end: Callable[[Room], None],
    ) -> None:
        self.name = name
        self._config = config
        self._searches = searches
        self._store = store
        self._subscriber = subscriber
        self._metrics = metrics
        self._on_emit = on_emit
        self._on_end = on_end
        self._members = Members(metrics)
        self._channel = room_channel(name)
        # The room's parts refer to it weakly: the collector, which runs seldom, would be the only
        # one to free a cycle, and a room that was let go may be large.
        me = weakref.proxy(self)
        self._presence = Presence(
            config.node_id,
            config.presence_interval,
            self._members,
            lambda report: me._publish(me._channel, report),
        )
        self._replies: set[asyncio.Task[None]] = set()
        self._journal = Journal(
            name, store, metrics, lambda edit: me.broadcast(edit),
            on_end=lambda: me._end(), ttl=config.room_ttl, max_entries=config.max_journal_entries,
            max_bytes=config.max_journal_bytes,
        )  # fmt: skip
        self.texts = TextMembers(self._members, self._journal, self._presence, searches)
        self.yjs = YjsMembers(
            self._members,
            self._journal,
            self._presence,
            lambda edit, author, by: me.commit(edit, author, by),
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
        await self._subscriber.subscribe(self._channel, self._handle_message)
        try:
            await self._journal.open()
        except BaseException:
            await self._subscriber.unsubscribe(self._channel, self._handle_message)
            raise

    async def close(self) -> None:
        """Let the room go; what Redis has not confirmed is given up (see ``flush``)."""
        self._presence.close()
        await self._subscriber.unsubscribe(self._channel, self._handle_message)
        await self._journal.close()
        self.texts.close()
        if self._replies:
            await asyncio.wait(self._replies)

    def _end(self) -> None:
        self._on_end(self)  # whoever asks for the room from now on gets another one
        self._members.end()

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
        return not self._members and self._journal.settled

    # Members

    def enter(self, id: str, identity: Identity, line: TextLine, habit: Habit) -> TextMember:
        """Take in a text member of which nothing is known. Raises RoomFull or RoomClosed.

        ``habit`` is what is known of the pages of its site. One that has left on the same
        connection is the member that it was.
        """
        self._check_open()
        return self.texts.enter(id, identity, self, line, habit)

    def reconnect(self, old: str, id: str, identity: Identity, line: TextLine) -> TextMember | None:
        """Take in a text member that was here as ``old``; None if it was not, or too long ago.

        Raises RoomFull or RoomClosed.
        """
        self._check_open()
        return self.texts.reconnect(old, id, identity, self, line)

    async def restore(
        self, left: Departed, id: str, identity: Identity, line: TextLine, habit: Habit
    ) -> TextMember | None:
        """Take in a text member that was on another node; None if its views lead nowhere here.

        Raises RoomFull, RoomClosed or StoreUnavailable.
        """
        self._check_open()
        return await self.texts.restore(left, id, identity, self, line, habit)

    def leave(self, member: TextMember, *, may_return: bool) -> None:
        """Let a text member go; what it may be showing is kept if it ``may_return``."""
        self.texts.leave(member, may_return=may_return)

    def join_yjs(self, id: str, identity: Identity, line: YjsLine) -> YjsMember:
        """Take in a Yjs member. Raises RoomFull or RoomClosed."""
        self._check_open()
        member = YjsMember(id, identity, line)
        self.yjs.enter(member)
        return member

    def leave_yjs(self, member: YjsMember) -> None:
        """Let a Yjs member go."""
        self.yjs.leave(member)

    def _check_open(self) -> None:
        if self.ended:
            raise RoomClosed(self.name)
        if len(self._members) >= self._config.max_members_per_room:
            raise RoomFull("the room has as many members as it may have")

    # Edits

    def broadcast(self, edit: Edit, by: TextMember | YjsMember | None = None) -> None:
        """Send an edit that is in the replica to all members here but the one that made it.

        Every edit passes here: the members', the HTTP API's, and those of other nodes.
        """
        if not edit.delta.is_identity:
            self.texts.broadcast(edit.delta, exclude=by)
        self.yjs.broadcast(edit.update, exclude=by)

    def commit(
        self, edit: Edit, author: Author, by: TextMember | YjsMember | None = None
    ) -> asyncio.Future[None]:
        """Send on an edit that was made here, and commit it; done when Redis has it."""
        self.broadcast(edit, by)
        return self._journal.append(edit.update, str(author))

    def _edit(
        self, delta: Delta, author: Author, by: TextMember | None = None
    ) -> asyncio.Future[None]:
        """Edit the text; an edit that changes nothing only refreshes the room's expiry."""
        if delta.is_identity:
            return self._journal.touch()
        return self.commit(Edit(delta, self._journal.replica.edit(delta)), author, by)

    def change(self, member: TextMember, code: str, turn: Turn = UNDELAYED) -> asyncio.Future[None]:
        """Merge a member's text; the Future is done when Redis has it.

        ``turn`` says whether the client may have kept it back. Raises NotAllowed if the member may
        only read; it is sent the text again.
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
        return self._edit(
            outcome.delta, Author(member.identity.subject, member.identity.name), member
        )

    async def merge_text(self, code: str, base: str | None, author: Author) -> asyncio.Future[None]:
        """Merge a text from somebody who is no member; the Future is done when Redis has it.

        It is an edit of ``base``, of the present text if that is None. Raises RoomClosed or
        StoreUnavailable, and has done nothing then.
        """
        await self._store.call("PING")  # an edit can't be taken back: is Redis there to take it?
        way = IDENTITY
        if base is None or not self.exists:
            base = self.text
        elif base != self.text:
            way = await self._delta_from(base)
        if self.ended:
            raise RoomClosed(self.name)
        self._metrics.changes.inc()
        delta, _ = transform(Delta.from_splices(diff(base, code)), way)
        return self._edit(delta, author)

    async def _delta_from(self, text: str) -> Delta:
        """Return the way from a text that the room had, or may have had, to the present one."""
        found = await nearest_text(text, await self._journal.read(), self._searches, near=0)
        if found is None or found.distance:
            return Delta.from_splices(diff(text, self.text))
        return compose(found.way, Delta.from_splices(diff(found.tail, self.text)))

    # What other nodes say

    def _handle_message(self, message: bytes) -> None:
        self._metrics.announcements.inc()
        try:
            parsed = channel.parse(message)
        except ValueError:
            log.warning("unknown words on a room's channel", extra={"room": self.name})
            return
        match parsed:
            case channel.Announcement():
                self._journal.handle_announcement(parsed)
            case channel.RoomEnded():
                self._journal.handle_end()
            case channel.PresenceReport():
                self._presence.apply(parsed)
            case channel.CensusQuestion():
                self._reply(parsed)
            case channel.Emit():
                self._on_emit(parsed.message)

    def _reply(self, question: channel.CensusQuestion) -> None:
        here = [person for person in self.people() if person.node == self._config.node_id]
        reply = asyncio.create_task(self._publish(*census.reply(question, here)))
        self._replies.add(reply)
        reply.add_done_callback(self._replies.discard)

    # Presence and upkeep

    def people(self) -> list[Person]:
        """Return who is in the room, on all nodes."""
        return self._presence.people()

    @property
    def presence(self) -> Presence:
        """The members as they see each other."""
        return self._presence

    async def _publish(self, channel: str, message: bytes) -> None:
        with contextlib.suppress(StoreUnavailable):  # reports and questions come again
            await self._store.publish(channel, message)

    def check(self) -> None:
        """Compare with Redis and mend what differs; forget who waited too long."""
        self._journal.check()
        self.texts.expire_absent()

    def report(self) -> None:
        """Tell the other nodes who is here, and forget those that are silent."""
        self._presence.heartbeat()
