"""The rulings about people's tokens in Redis, and the messages on their channel.

Each ruling has a record, which is read when a client enters, and an entry in the log, which every
node follows. The message of a new ruling only wakes up the nodes: nothing is lost with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any, Final

import orjson

from collab.store import scripts
from collab.store.keys import RULINGS_CHANNEL, RULINGS_LOG, ruling_key
from collab.store.records import ZERO, EntryId, entry_id, entry_text
from collab.store.reply import ReplyTo
from collab.store.store import Store

NEW_RULING: Final = b"R"
"""The whole message that says that the log has a new entry."""
QUESTION: Final = b"W "
"""The first two bytes of the question who somebody is."""
MAX_LOG: Final = 1000
"""Entries that the log keeps, about. A node that missed more reads the records of all clients."""
MAX_READ: Final = 256
"""Entries of the log that a node reads at once."""


@dataclass(frozen=True, slots=True)
class TokensQuestion:
    """A node asks all nodes for the tokens with which somebody is connected to them.

    ``id`` is a subject, or first of all the id of a member if it may be one (``or_member``).
    """

    reply_to: ReplyTo
    id: str
    or_member: bool

    def pack(self) -> bytes:
        """Return the message."""
        return QUESTION + self.reply_to.pack() + b"\n" + orjson.dumps([self.id, self.or_member])

    @classmethod
    def parse(cls, message: bytes) -> TokensQuestion:
        """Read what ``pack`` returned. Raises ValueError."""
        head, _, body = message.removeprefix(QUESTION).partition(b"\n")
        try:
            id, or_member = orjson.loads(body)
        except TypeError as problem:
            raise ValueError("not a question") from problem
        return cls(ReplyTo.parse(head), str(id), bool(or_member))


@dataclass(frozen=True, slots=True)
class FoundToken:
    """A token with which somebody is ``connected``, or was; ``expires`` is in Unix seconds.

    ``is_member`` says that the question named this connection, not the subject.
    """

    subject: str
    digest: str
    expires: float | None
    is_member: bool
    connected: bool


def pack_tokens(tokens: Sequence[FoundToken]) -> bytes:
    """Return the answer to a TokensQuestion."""
    return orjson.dumps([astuple(each) for each in tokens])


def parse_tokens(answer: bytes) -> list[FoundToken]:
    """Read what ``pack_tokens`` returned. Raises ValueError."""
    try:
        return [FoundToken(*each) for each in orjson.loads(answer)]
    except TypeError as problem:
        raise ValueError("not a list of tokens") from problem


class RulingLog:
    """The records and the log of rulings. All methods raise StoreUnavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add(
        self, subject: str, room: str, entry: bytes, record: Sequence[str], seconds: float
    ) -> EntryId:
        """Record a ruling for ``seconds`` at least, and tell all nodes (see rule.lua)."""
        id: bytes = await self._store.run_on(
            scripts.RULE, (ruling_key(subject, room), RULINGS_LOG), round(seconds * 1000), MAX_LOG,
            entry, RULINGS_CHANNEL, NEW_RULING, *record,
        )  # fmt: skip
        return entry_id(id)

    async def read(self, subject: str, room: str, fields: Sequence[str]) -> list[bytes | None]:
        """Return some fields of the record about a subject in a room."""
        found: list[bytes | None] = await self._store.call(
            "HMGET", ruling_key(subject, room), *fields
        )
        return found

    async def newest(self) -> EntryId:
        """Return the id of the log's last entry; ZERO if it has none."""
        found = await self._store.call("XREVRANGE", RULINGS_LOG, "+", "-", "COUNT", 1)
        return entry_id(found[0][0]) if found else ZERO

    async def since(self, last: EntryId) -> list[tuple[EntryId, bytes]] | None:
        """Return the first entries after ``last``; None if the log does not have ``last``.

        Then it has been trimmed, or Redis has lost it. At most `MAX_READ` entries are returned.
        """
        found: list[Any] = await self._store.call(
            "XRANGE", RULINGS_LOG, entry_text(last), "+", "COUNT", MAX_READ + 1
        )
        entries = [(entry_id(id), packed) for id, (_, packed) in found]
        if last == ZERO:
            return entries[:MAX_READ]
        return entries[1:] if entries and entries[0][0] == last else None
