"""The messages on a room's channel, which the nodes that hold the room subscribe to.

There is one type for each kind of message, and `parse` reads all of them. docs/journal.md says for
each kind who publishes it, what its bytes are, and what a node does when it receives it. Nodes of
several versions share a channel during a rolling restart, so the bytes of a message must not
change.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from collab.merge.awareness import State
from collab.store.records import EntryId, entry_id
from collab.store.reply import ReplyTo

ANNOUNCEMENT, REPORT, QUESTION = b"J ", b"P ", b"Q "
"""The first two bytes of a message, which say its kind."""
END = b"E"
"""The whole message that says that the room was ended."""
DAMAGED = b"D"
"""The whole message that says that the room's keys are damaged."""
TRACE = "+"
"""What is between the writer of an announcement and its span; no node's name contains it."""
EMIT = b"{"
"""The first byte of a message of python-socketio, which is a JSON object."""


class Announcement(NamedTuple):
    """A commit, as its script published it.

    ``previous`` is the entry after which the commit was appended, ``id`` is the commit's last
    entry. ``ttl`` is how many seconds the room lives after the commit. ``update`` is all updates of
    the commit, merged; b'' if the commit only refreshed the expiry. ``writer`` is the
    `Store.writer` that sent the commit. ``trace`` stands for the commit's span, if it is traced.
    """

    epoch: str
    writer: str
    previous: EntryId
    id: EntryId
    ttl: float
    update: bytes
    trace: str = ""

    @classmethod
    def _parse(cls, body: bytes) -> Announcement:
        """Read ``epoch writer previous id ttl\\n`` and the update.

        The span of a traced commit follows the writer, in the same word: nodes of older versions
        only compare this word with their own.
        """
        header, _, update = body.partition(b"\n")
        epoch, word, previous, last, ttl = header.split(b" ")
        writer, _, trace = word.decode().partition(TRACE)
        return cls(
            epoch.decode(), writer, entry_id(previous), entry_id(last), int(ttl) / 1000, update,
            trace,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class RoomEnded:
    """The room, or an earlier room of the same name, was ended; the list of ends says which."""

    def pack(self) -> bytes:
        """Return the message."""
        return END


@dataclass(frozen=True, slots=True)
class RoomDamaged:
    """Somebody could not read the room's keys; nodes that hold it may have noticed nothing."""

    def pack(self) -> bytes:
        """Return the message."""
        return DAMAGED


class ReportedMember(NamedTuple):
    """A member as its node reports it.

    ``client`` is the member's awareness client id, None if the member has not named one yet.
    ``claim`` orders the members that named the same client id. ``clock`` is the clock of ``state``.
    """

    id: str
    name: str
    client: int | None
    claim: int
    clock: int
    state: State | None


@dataclass(frozen=True, slots=True)
class PresenceReport:
    """The members of one node: all if ``full``, else the difference to its last report.

    A difference has the members that entered or changed, and in ``gone`` the ids of those that left
    before. ``at`` orders the reports of a node. ``ask`` asks the other nodes for full reports.
    """

    node: str
    at: int
    full: bool
    ask: bool
    members: list[ReportedMember]
    gone: list[str] = field(default_factory=list)

    def pack(self) -> bytes:
        """Return the message."""
        report = {
            "node": self.node,
            "at": self.at,
            "full": self.full,
            "ask": self.ask,
            "members": [
                (*member[:-1], None if member.state is None else _pack_state(member.state))
                for member in self.members
            ],
        }
        if self.gone:  # a report without it has the bytes of older versions
            report["gone"] = self.gone
        return REPORT + orjson.dumps(report)

    @classmethod
    def _parse(cls, body: bytes) -> PresenceReport:
        """Read the JSON object that ``pack`` writes."""
        report: Any = orjson.loads(body)
        members = [_parse_member(member) for member in report["members"]]
        if not isinstance(report["at"], int):
            raise TypeError("the number of a report is not an integer")
        return cls(
            str(report["node"]), report["at"], bool(report["full"]), bool(report["ask"]), members,
            [str(id) for id in report.get("gone", ())],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class CensusQuestion:
    """A node, which need not hold the room, asks the nodes that hold the room for its members."""

    reply_to: ReplyTo

    def pack(self) -> bytes:
        """Return the message."""
        return QUESTION + self.reply_to.pack() + b"\n"

    @classmethod
    def _parse(cls, body: bytes) -> CensusQuestion:
        """Read the address for the answer, up to the end of the line."""
        return cls(ReplyTo.parse(body.partition(b"\n")[0]))


@dataclass(frozen=True, slots=True)
class Emit:
    """An event for the room's Socket.IO clients; python-socketio reads the ``message``."""

    message: bytes


Message = Announcement | RoomEnded | RoomDamaged | PresenceReport | CensusQuestion | Emit

_PARSERS: dict[bytes, Callable[[bytes], Message]] = {
    ANNOUNCEMENT: Announcement._parse,
    REPORT: PresenceReport._parse,
    QUESTION: CensusQuestion._parse,
}


def parse(message: bytes) -> Message:
    """Read a message of a room's channel. Raises ValueError if it is malformed."""
    if message == END:
        return RoomEnded()
    if message == DAMAGED:
        return RoomDamaged()
    if message.startswith(EMIT):
        return Emit(message)
    parser = _PARSERS.get(message[:2])
    if parser is None:
        raise ValueError("a message of an unknown kind")
    try:
        return parser(message[2:])
    except (TypeError, KeyError, OverflowError, RecursionError) as problem:
        raise ValueError("a malformed message") from problem


def writer_word(writer: str, trace: str) -> str:
    """Return the word of an announcement that says which `Store.writer` made the commit.

    ``trace`` stands for the commit's span; '' if it is not traced.
    """
    return writer + TRACE + trace if trace else writer


def _parse_member(member: Any) -> ReportedMember:
    id, name, client, claim, clock, packed = member
    state = None if packed is None else json.loads(packed)
    numbers = (claim, clock) if client is None else (client, claim, clock)
    if not all(isinstance(number, int) for number in numbers) or not isinstance(state, dict | None):
        raise TypeError("not a member")
    return ReportedMember(str(id), str(name), client, claim, clock, state)


def _pack_state(state: State) -> str:
    # The standard library's JSON can hold a lone surrogate; clients send such texts.
    return json.dumps(state, separators=(",", ":"))
