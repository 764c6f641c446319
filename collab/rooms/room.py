"""One room on this node: its members, its journal, and the edits that they exchange."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from collab.config import Config
from collab.errors import RoomClosed, RoomFull, StoreUnavailable
from collab.merge.delta import IDENTITY, Delta, transform
from collab.merge.diff import diff
from collab.merge.lateness import Habit
from collab.merge.replica import Edit
from collab.metrics import Metrics
from collab.rooms import census
from collab.rooms.author import Author
from collab.rooms.handover import Departed
from collab.rooms.identity import Identity
from collab.rooms.journal import Journal
from collab.rooms.members import Members
from collab.rooms.presence import Presence
from collab.rooms.quota import Quota
from collab.rooms.search import Searches, nearest_text
from collab.rooms.text_members import TextLine, TextMember, TextMembers
from collab.rooms.yjs_members import YjsLine, YjsMember, YjsMembers, limits
from collab.store import channel
from collab.store.keys import room_channel
from collab.store.store import Store
from collab.store.subscriber import Subscriber

if TYPE_CHECKING:  # it needs the packages of an extra
    from collab.tracing import RoomTraces

log = logging.getLogger(__name__)


class Room:
    """One room on this node, from the first member's joining to a while after the last has left.

    ``on_emit`` is called with each python-socketio message on the room's channel. When somebody has
    ended the room, ``on_end`` is called with the room before its members leave.
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
        written: Quota,
        on_end: Callable[[Room], None],
        traces: RoomTraces | None = None,
    ) -> None:
        self.name = name
        self._config = config
        self._searches = searches
        self._written = written
        self._store = store
        self._subscriber = subscriber
        self._metrics = metrics
        self._on_emit = on_emit
        self._on_end = on_end
        self._traces = traces
        self._members = Members(metrics)
        self.channel = room_channel(name)
        # The room's parts refer to it weakly: only the garbage collector, which runs seldom, could
        # free a cycle, and a closed room may be large.
        me = weakref.proxy(self)
        self.presence = Presence(
            config.node_id,
            config.presence_interval,
            self._members,
            lambda report: me._publish(me.channel, report),
        )
        self._clock = asyncio.get_running_loop().time
        self._replies: set[asyncio.Task[bool]] = set()
        self._journal = Journal(
            name, store, metrics, lambda edit: me.broadcast(edit),
            on_end=lambda: me._end(),
            own_subscriptions=lambda: int(subscriber.is_subscribed(me.channel)),
            ttl=config.room_ttl, max_entries=config.max_journal_entries,
            max_bytes=config.max_journal_bytes, traces=traces,
        )  # fmt: skip
        self.texts = TextMembers(self._members, self._journal, self.presence, searches, metrics)
        self.yjs = YjsMembers(
            self._members,
            self._journal,
            self.presence,
            lambda edit, author, by: me.commit(edit, author, by),
            metrics,
            limits(config),
        )

    async def open(self) -> None:
        """Subscribe to the room's channel, and load the room. Raises StoreUnavailable."""
        await self._subscriber.subscribe(self.channel, self._handle_message)
        try:
            await self._journal.open()
        except BaseException:
            await self._subscriber.unsubscribe(self.channel, self._handle_message)
            raise

    async def close(self) -> None:
        """Close the room, and fail updates that Redis has not confirmed. `flush` waits for them."""
        await self._subscriber.unsubscribe(self.channel, self._handle_message)
        await self.presence.close()
        await self._journal.close()
        self.texts.close()
        if self._replies:
            await asyncio.wait(self._replies)

    def _end(self) -> None:
        self._on_end(self)  # a `acquire` from now on loads a new room
        self._members.end()

    async def flush(self) -> None:
        """Wait until Redis has all updates of the room."""
        await self._journal.flush()

    @property
    def text(self) -> str:
        """The text of this node's replica."""
        return self._journal.replica.text

    @property
    def exists(self) -> bool:
        """Whether the room has a text, which may be empty."""
        return self._journal.exists

    @property
    def is_new(self) -> bool:
        """Whether the room has no text, and nobody is in it on any node that is known here."""
        return not self.exists and not self.presence.people()

    @property
    def ended(self) -> bool:
        """Whether somebody has ended the room. Nobody can join, and nothing is written any more."""
        return self._journal.ended

    @property
    def idle(self) -> bool:
        """Whether the room can be closed: no members are here, and no updates wait."""
        return not self._members and self._journal.settled

    @property
    def has_members(self) -> bool:
        """Whether the room has members on this node."""
        return bool(self._members)

    @property
    def uncommitted(self) -> tuple[int, float]:
        """How many edits wait for Redis, and for how many seconds the oldest has waited."""
        return self._journal.uncommitted

    # Members

    def enter(self, id: str, identity: Identity, line: TextLine, habit: Habit) -> TextMember:
        """Add a text member. Raises RoomFull or RoomClosed.

        ``habit`` is what the node has learned about the pages of the member's site. A member that
        has left and joins again on the same connection keeps its views.
        """
        self.check_open()
        return self.texts.enter(id, identity, self, line, habit)

    def reconnect(self, old: str, id: str, identity: Identity, line: TextLine) -> TextMember | None:
        """Add a text member that was here as ``old``; None if it was not, or left too long ago.

        Raises RoomFull or RoomClosed.
        """
        self.check_open()
        return self.texts.reconnect(old, id, identity, self, line)

    async def restore(
        self, left: Departed, id: str, identity: Identity, line: TextLine, habit: Habit
    ) -> TextMember | None:
        """Add a text member that was on another node; None if its views do not fit the journal.

        Raises RoomFull, RoomClosed or StoreUnavailable.
        """
        self.check_open()
        return await self.texts.restore(left, id, identity, self, line, habit)

    def join_yjs(self, id: str, identity: Identity, line: YjsLine) -> YjsMember:
        """Add a Yjs member. Raises RoomFull or RoomClosed."""
        self.check_open()
        member = YjsMember(id, identity, line)
        self.yjs.enter(member)
        return member

    def check_open(self) -> None:
        """Check that one more member may enter. Raises RoomFull or RoomClosed."""
        if self.ended:
            raise RoomClosed(self.name)
        if len(self._members) >= self._config.max_members_per_room:
            raise RoomFull("the room has as many members as it may have")

    # Edits

    def broadcast(self, edit: Edit, by: TextMember | YjsMember | None = None) -> None:
        """Send an edit that is in the replica to all members here except its author ``by``.

        Every edit passes here: edits of members, of the HTTP API, and of other nodes.
        """
        if not edit.delta.is_identity:
            self.texts.broadcast(edit.delta, exclude=by)
        if self._members.yjs:
            self.yjs.broadcast(edit.update, exclude=by)

    def commit(self, edit: Edit, author: str, by: TextMember | YjsMember | None = None) -> None:
        """Broadcast and commit an edit that was made here by `author_words`."""
        size = len(edit.update)
        change = self._traces and self._traces.change(_endpoint_of(by), size)
        self.broadcast(edit, by)
        if change:
            change.delivered(len(self._members) - (by is not None))
        self._metrics.written.inc(size)
        if by is not None:
            self._written.spend(by.identity, size, self._clock())
        self._journal.append(edit.update, author)
        if change:
            change.end_with(self.stored())

    def stored(self) -> asyncio.Future[None]:
        """Return a Future that is done when Redis has all edits that were made here."""
        stored = self._journal.stored()
        if stored is None:
            stored = asyncio.get_running_loop().create_future()
            stored.set_result(None)
        return stored

    def may_commit(self, identity: Identity, now: float) -> bool:
        """Whether `wait_for_quota` would return at once."""
        return not self._written.overdraft(identity, now)

    async def wait_for_quota(self, identity: Identity) -> None:
        """Wait before an edit if its author has written too much. Raises RateLimited."""
        if await self._written.wait(identity, self._clock()):
            self._metrics.slowed.inc()

    def edit(
        self, delta: Delta, author: str, by: TextMember | None = None, expected: str = ""
    ) -> None:
        """Edit the text; an edit that changes nothing only refreshes the room's expiry.

        ``expected`` is the text that probably results (see `Replica.edit`).
        """
        if delta.is_identity:
            self._journal.touch()
        else:
            update = self._journal.replica.edit(delta, expected)
            self.commit(Edit(delta, update), author, by)

    async def merge_text(
        self, code: str, base: str | None, author: Author, person: Identity | None = None
    ) -> asyncio.Future[None]:
        """Merge a text that comes over HTTP; the Future is done when Redis has it.

        The text is an edit of ``base``, or of the present text if ``base`` is None. It counts for
        the quota of ``person``; another service has none. Raises RoomClosed, RateLimited or
        StoreUnavailable, and changes nothing then.
        """
        if person is not None:
            await self.wait_for_quota(person)
        # Fail before the edit, which could not be undone.
        await self._store.check_reachable(self.name)
        to_present = IDENTITY
        if base is None or not self.exists:
            base = self.text
        elif base != self.text:
            to_present = await self._delta_from(base)
        if self.ended:
            raise RoomClosed(self.name)
        self._metrics.changes.inc()
        if person is not None:
            self._written.spend(person, len(code.encode()), self._clock())
        delta, _ = transform(Delta.from_splices(diff(base, code)), to_present)
        self.edit(delta, str(author))
        return self.stored()

    async def _delta_from(self, text: str) -> Delta:
        """Return the delta to the present text from a text that the room had, or may have had."""
        found = await nearest_text(text, await self._journal.read(), self._searches, near=0)
        if found is None or found.distance:
            return Delta.from_splices(diff(text, self.text))
        return found.delta_to(self.text)

    # Messages of other nodes

    def _handle_message(self, message: bytes) -> None:
        self._metrics.announcements.inc()
        try:
            parsed = channel.parse(message)
        except ValueError:
            log.warning("unknown words on a room's channel", extra={"room": self.name})
            return
        match parsed:
            case channel.Announcement():
                self._handle_announcement(parsed)
            case channel.RoomEnded():
                self._journal.handle_end()
            case channel.RoomDamaged():
                self._journal.handle_damage()
            case channel.PresenceReport():
                self.presence.apply(parsed)
            case channel.CensusQuestion():
                self._reply(parsed)
            case channel.Emit():
                self._on_emit(parsed.message)

    def _handle_announcement(self, announcement: channel.Announcement) -> None:
        delivery = None
        if self._traces and announcement.trace and announcement.writer != self._store.writer:
            delivery = self._traces.delivery(announcement.trace)
        self._journal.handle_announcement(announcement)
        if delivery:
            applied = self._journal.last >= announcement.id
            delivery.end(len(self._members), "applied" if applied else "missed")

    def _reply(self, question: channel.CensusQuestion) -> None:
        here = [person for person in self.presence.people() if person.node == self._config.node_id]
        reply = asyncio.create_task(self._publish(*census.reply(question, here)))
        self._replies.add(reply)
        reply.add_done_callback(self._replies.discard)

    # Upkeep

    async def _publish(self, channel: str, message: bytes) -> bool:
        """Publish a message that is repeated if it is lost; return whether Redis took it."""
        try:
            await self._store.publish(channel, message)
        except StoreUnavailable:
            return False
        return True

    def check(self) -> None:
        """Compare with Redis and repair differences, if there are members to whom they matter.

        Drops views that were kept for too long.
        """
        if self._members:
            self._journal.check()
        self.texts.expire_absent()

    async def refresh(self) -> None:
        """Compare with Redis before the first member enters a room that was not checked.

        Returns when differences are repaired, or after the time that Redis has for an answer: while
        Redis is away, members see the text that this node has.
        """
        if self._members:
            return
        self._journal.check()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._config.redis_timeout):
                await self._journal.wait_until_quiet()

    def recover(self) -> None:
        """Repair what was missed while pub/sub was away: commits, an end, and reports.

        A room without members too, if it has a text: Redis may have come back without that.
        """
        if self._members or self.exists:
            self._journal.handle_reconnect()
        self.presence.heartbeat(ask=True)

    def report(self) -> None:
        """Report this node's members to the other nodes; drop the members of silent nodes."""
        self.presence.heartbeat()


def _endpoint_of(by: TextMember | YjsMember | None) -> str:
    """Return the name of an author's endpoint, for a span."""
    return {TextMember: "text", YjsMember: "yjs"}.get(type(by), "api")
