"""One Socket.IO connection, and its line to each of its rooms."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from time import monotonic
from typing import TYPE_CHECKING

from collab.access.expiry import Expiry
from collab.access.grant import Grant
from collab.errors import CollabError
from collab.merge.lateness import Habit
from collab.merge.turns import Turns
from collab.metrics import Metrics
from collab.pace import Pace
from collab.rooms.identity import Role
from collab.rooms.person import Person
from collab.rooms.room import Room
from collab.rooms.text_members import TextMember
from collab.sio.engine_socket import EngineSocket
from collab.sio.server import encode_event
from collab.wire.frames import Message
from collab.wire.outbox import Render

if TYPE_CHECKING:
    from collab.sio.grants import Grants


@lru_cache(maxsize=32)
def _encode_receive(text: str, room: str) -> str:
    """Encode a ``receive`` once for all its members; the cache need only last for one fan-out."""
    return encode_event("receive", {"type": "receive", "code": text, "room": room})


def _encode_presence(room: str, people: Sequence[Person]) -> str:
    """Encode a ``presence``; `Presence.message` keeps it for all the room's members."""
    members = [person.payload() for person in people]
    return encode_event("presence", {"room": room, "members": members})


class Line:
    """How a room sends to one of its members, through the outbox of the member's connection.

    ``on_end`` is called when the room has been ended.
    """

    __slots__ = (
        "_gone",
        "_mark",
        "_metrics",
        "_on_end",
        "_presence",
        "_receive",
        "_room",
        "_scheduler",
        "_since",
        "_socket",
        "_timer",
        "member",
    )

    member: TextMember

    def __init__(
        self, room: Room, socket: EngineSocket, metrics: Metrics, on_end: Callable[[], None]
    ) -> None:
        self._gone = False
        self._room = room
        self._socket = socket
        self._metrics = metrics
        self._scheduler = socket.meter.budgets.scheduler
        self._since = 0.0  # when what made the waiting receive due arrived
        self._on_end = on_end
        self._receive = f"receive {room.name}"
        self._presence = f"presence {room.name}"
        self._mark = f"mark {room.name}"
        self._timer: asyncio.TimerHandle | None = None

    def connect(self, member: TextMember) -> None:
        """Set the member of this line: the two refer to each other until `close`."""
        self.member = member

    def mark_due(self) -> None:
        """Send a mark: its PONG shows that the client has sent the changes that it had kept."""
        self._due(self._mark, self._render_mark)

    def receive_due(self) -> None:
        if not self._since:
            self._since = self._scheduler.arrived or monotonic()
        self._due(self._receive, self._render_receive)

    def receive_due_to_reader(self) -> None:
        if not self._gone:
            self._room.texts.readers.due(self)

    def receive_due_in(self, seconds: float) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(seconds, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.receive_due()

    def presence_due(self) -> None:
        self._due(self._presence, self._render_presence)

    def ended(self) -> None:
        self._on_end()

    def _due(self, slot: str, render: Render[Message]) -> None:
        if not self._gone:
            self._socket.outbox.put_slot(slot, render)

    def close(self) -> None:
        """Send nothing more to the member, which has left."""
        self._gone = True
        if self._timer is not None:
            self._timer.cancel()
        for slot in (self._mark, self._receive, self._presence):
            self._socket.outbox.drop_slot(slot)
        # These refer to this line and hold texts or a client: no cycle is left to the collector.
        del self.member, self._on_end

    def _render_mark(self) -> list[Message]:
        return [self._socket.ping_packet(self.member.peer.handle_pong)]

    def _render_receive(self) -> list[Message]:
        since, self._since = self._since, 0.0
        receive = self.member.next_receive()
        if receive is None:  # it must wait for the client, which is no delay of this node
            return []
        self._metrics.receives.inc()
        if self._socket.upgraded:  # a polling client's next poll is not in this node's hands
            self._metrics.delivery_seconds.observe(monotonic() - since)
        ping = self._socket.ping_packet
        packet = _encode_receive(receive.text, self._room.name)
        return [ping(receive.before), packet, ping(receive.behind)]

    def _render_presence(self) -> list[Message]:
        return [self._room.presence.message(partial(_encode_presence, self._room.name))]


@dataclass(slots=True, eq=False)
class Client:
    """One Socket.IO connection. ``lines`` has its line to each of its rooms, by the room's name.

    ``member`` is the digest of its pid: it names the client on all nodes. Until ``held_until`` it
    joins as a client that has come back and that no node knows (`TextPeer.hold`). A client that has
    disconnected is never ``connected`` again: one that comes back is another Client. Rulings call
    `let_go`, `remove` and `set_role` (see `collab.access.holders.Holder`). ``joining`` joins the
    rooms of a client that has come back while Redis was away.
    """

    sid: str
    socket: EngineSocket
    grant: Grant
    pace: Pace
    habit: Habit
    turns: Turns
    grants: Grants
    pid: str = ""
    member: str = ""
    connected: bool = True
    held_until: float = 0.0
    joining: asyncio.Task[None] | None = None
    lines: dict[str, Line] = field(default_factory=dict)
    _expiry: Expiry | None = None

    @property
    def id(self) -> str:
        """The id of the client's member in each of its rooms."""
        return self.sid

    @property
    def rooms(self) -> Collection[str]:
        """The names of the client's rooms."""
        return tuple(self.lines)

    def end_joining(self) -> None:
        """Join no more rooms for the client: it is gone, or has sent an event.

        What it has typed meanwhile was refused, and it has that on its page only: a ``receive``
        could replace it. Its next change brings it, and joins the room.
        """
        if self.joining is not None:
            self.joining.cancel()
            self.joining = None

    def watch(self) -> None:
        """Watch the client's grant, if it expires: it is new, or the client has connected."""
        if self._expiry is None and self.grant.expires is not None:
            grants, sid = self.grants, self.sid
            self._expiry = Expiry(partial(grants.expiring, sid), partial(grants.expired, sid))
        if self._expiry is not None:
            self._expiry.watch(self.grant)

    def end_watch(self) -> None:
        """Watch the grant no more."""
        if self._expiry is not None:
            self._expiry.close()

    def let_go(self, problem: CollabError, *, may_return: bool) -> None:
        """Disconnect the client, and say why; its views are kept if it ``may_return``."""
        self.grants.let_go(self.sid, problem, may_return=may_return)

    def remove(self, room: str, problem: CollabError) -> None:
        """Remove the client from a room, if it is in there, and drop its views there."""
        self.grants.remove(self.sid, room, problem)

    def set_role(self, room: str, role: Role) -> None:
        """Set the client's role in a room, if it is in there."""
        if line := self.lines.get(room):
            line.member.identity = replace(line.member.identity, role=role)
