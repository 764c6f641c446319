"""The messages on a room's channel, which the nodes that hold the room subscribe to.

There is one type for each kind of message, and `parse` reads all of them. docs/journal.md says who
publishes each, its bytes, and what a node does on it. Nodes of several versions share a channel
during a rolling restart, so the bytes of a message must not change.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from collab.merge.awareness import State
from collab.store.records import EntryId, entry_id
from collab.store.reply import ReplyTo

ANNOUNCEMENT, REPORT, QUESTION = b"J ", b"P ", b"Q "
"""How the messages begin that a node tells apart by their first two bytes."""
END = b"E"
"""The whole of the message that a room was ended."""
EMIT = b"{"
"""How a message of python-socketio begins: it is a JSON object."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """A commit, as the script that made it published it.

    ``previous`` is the entry behind which the commit was appended, ``id`` its last entry; ``ttl``
    is how many seconds the room lives from then on; ``update`` is all its updates merged, b'' if
    the commit only refreshed the expiry. ``writer`` is the `Store.writer` that it came through.
    """

    epoch: str
    writer: str
    previous: EntryId
    id: EntryId
    ttl: float
    update: bytes

    @staticmethod
    def header(epoch: str, writer: str) -> bytes:
        """Return how the message begins; the script that makes the commit appends the rest."""
        return ANNOUNCEMENT + f"{epoch} {writer}".encode()

    @classmethod
    def _parse(cls, body: bytes) -> Announcement:
        """Read ``epoch writer previous id ttl\\n`` and the update."""
        header, _, update = body.partition(b"\n")
        epoch, writer, previous, last, ttl = header.split(b" ")
        return cls(
            epoch.decode(), writer.decode(), entry_id(previous), entry_id(last),
            int(ttl) / 1000, update,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class RoomEnded:
    """The room, or an earlier one of its name, was ended: the list of its ends says which."""

    def pack(self) -> bytes:
        """Return the message."""
        return END


class ReportedMember(NamedTuple):
    """A member as its node reports it.

    ``client`` is its id in awareness, None if it has not named one yet; ``claim`` puts the members
    that named one client in order. ``clock`` is the clock of ``state``.
    """

    id: str
    name: str
    client: int | None
    claim: int
    clock: int
    state: State | None


@dataclass(frozen=True, slots=True)
class PresenceReport:
    """The members of one node, all of them if ``full``, else those whose states have changed.

    ``at`` puts the reports of a node in order. ``ask`` asks the other nodes for their reports.
    """

    node: str
    at: int
    full: bool
    ask: bool
    members: list[ReportedMember]

    def pack(self) -> bytes:
        """Return the message."""
        members = [
            (*member[:-1], None if member.state is None else _pack_state(member.state))
            for member in self.members
        ]
        return REPORT + orjson.dumps(
            {
                "node": self.node,
                "at": self.at,
                "full": self.full,
                "ask": self.ask,
                "members": members,
            }
        )

    @classmethod
    def _parse(cls, body: bytes) -> PresenceReport:
        """Read the JSON object that ``pack`` writes."""
        report: Any = orjson.loads(body)
        members = [_parse_member(member) for member in report["members"]]
        if not isinstance(report["at"], int):
            raise TypeError("a report's number is not a number")
        return cls(
            str(report["node"]), report["at"], bool(report["full"]), bool(report["ask"]), members
        )


@dataclass(frozen=True, slots=True)
class CensusQuestion:
    """Some node, which may not hold the room, asks each node that does for its members."""

    reply_to: ReplyTo

    def pack(self) -> bytes:
        """Return the message."""
        return QUESTION + self.reply_to.pack() + b"\n"

    @classmethod
    def _parse(cls, body: bytes) -> CensusQuestion:
        """Read where the answer goes, to the end of the line."""
        return cls(ReplyTo.parse(body.partition(b"\n")[0]))


@dataclass(frozen=True, slots=True)
class Emit:
    """An event for the room's Socket.IO clients; python-socketio reads the ``message``."""

    message: bytes


Message = Announcement | RoomEnded | PresenceReport | CensusQuestion | Emit

_PARSERS: dict[bytes, Callable[[bytes], Message]] = {
    ANNOUNCEMENT: Announcement._parse,
    REPORT: PresenceReport._parse,
    QUESTION: CensusQuestion._parse,
}


def parse(message: bytes) -> Message:
    """Read a message of a room's channel. Raises ValueError if it is none."""
    if message == END:
        return RoomEnded()
    if message.startswith(EMIT):
        return Emit(message)
    parser = _PARSERS.get(message[:2])
    if parser is None:
        raise ValueError("a message of an unknown kind")
    try:
        return parser(message[2:])
    except (TypeError, KeyError, OverflowError, RecursionError) as problem:
        raise ValueError("a malformed message") from problem


def _parse_member(member: Any) -> ReportedMember:
    id, name, client, claim, clock, packed = member
    state = None if packed is None else json.loads(packed)
    numbers = (claim, clock) if client is None else (client, claim, clock)
    if not all(isinstance(number, int) for number in numbers) or not isinstance(state, dict | None):
        raise TypeError("not a member")
    return ReportedMember(str(id), str(name), client, claim, clock, state)


def _pack_state(state: State) -> str:
    # The standard library's JSON can hold half a surrogate pair, as clients send it.
    return json.dumps(state, separators=(",", ":"))
