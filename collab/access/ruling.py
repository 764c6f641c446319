"""A ruling: what somebody has decided about a person's tokens, in one room or in all.

A ruling names the tokens to which it applies: those that the person was connected with, and those
that were issued before. So a person whose token changes is free of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from collab.access.grant import Grant
from collab.errors import Removed, Unauthorized
from collab.rooms.identity import Role
from collab.store.records import ZERO, EntryId, entry_id

MAX_CLOCK_DIFFERENCE: Final = 3.0
"""Seconds by which the clocks of a node and of a token's issuer may differ."""
EVERYWHERE: Final = ""
"""The room of a ruling about all rooms."""
TOKEN: Final = "token:"
"""The beginning of a field that names a token in the record of a ruling in Redis."""
FIELDS: Final = ("id", "role", "made", "until", "undated")
"""The other fields of the record, in the order in which `Ruling.of_record` gets them."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """A ruling about a subject in ``room``, or `EVERYWHERE`.

    It was ``made`` at a time in Unix seconds, and applies to the tokens whose digests are in
    ``tokens``, to those issued before ``until`` (Unix seconds), and to those of clients that were
    connected when it was made. ``undated`` says that it also applies to tokens that do not say when
    they were issued. ``role`` is the person's role; None: the person is removed, or the tokens are
    revoked. ``id`` is the ruling's place in the log: of two rulings, the later one counts.
    """

    subject: str
    room: str
    role: Role | None
    made: float
    until: float
    undated: bool
    tokens: frozenset[str]
    id: EntryId = ZERO

    @classmethod
    def about_known(
        cls, subject: str, room: str, role: Role | None, tokens: frozenset[str], now: float
    ) -> Ruling:
        """Return the ruling of ``now`` about a person in a room, who is connected with ``tokens``.

        A new token has another digest. It may be issued in the same second, or by a slower clock.
        """
        return cls(subject, room, role, now, now - MAX_CLOCK_DIFFERENCE, False, tokens)

    @classmethod
    def about_all(
        cls, subject: str, room: str, role: Role | None, tokens: frozenset[str], now: float
    ) -> Ruling:
        """Return the ruling of ``now`` about all tokens that have been issued to a subject.

        Issuers write whole seconds, so the ruling applies to tokens of this whole second.
        """
        return cls(subject, room, role, now, math.floor(now) + 1.0, True, tokens)

    def covers(self, grant: Grant) -> bool:
        """Whether the ruling applies to the token of a grant of its subject."""
        return self.names(grant) or grant.shown < self.made

    def names(self, grant: Grant) -> bool:
        """Whether every node can tell that the ruling applies to the token of a grant."""
        if grant.digest in self.tokens:
            return True
        return self.undated if grant.issued is None else grant.issued < self.until

    def role_of(self, grant: Grant, role: Role) -> Role:
        """Return the role of a grant whose token gives it ``role``. Raises what `problem` returns.

        The grant is one of the subject's.
        """
        if not self.covers(grant):
            return role
        if self.role is None or self.room == EVERYWHERE:
            raise self.problem()
        return self.role

    def problem(self) -> Removed | Unauthorized:
        """Return the error for a client that has been removed, or whose token is revoked."""
        if self.room == EVERYWHERE:
            return Unauthorized("the token has been revoked", "token_revoked")
        return Removed(self.room)

    def after(self, earlier: Ruling | None) -> Ruling:
        """Return the ruling that counts after another one about the same subject and room.

        The tokens of both are the person's: the later ruling is about all of them.
        """
        if earlier is None:
            return self
        tokens, undated = self.tokens | earlier.tokens, self.undated or earlier.undated
        return replace(max(self, earlier, key=_id_of), tokens=tokens, undated=undated)

    # In Redis

    def record(self) -> list[str]:
        """Return the fields of the ruling's record, without its id, and their values.

        They are written over those of the last ruling, so that `after` is true of the record too.
        """
        role = self.role.value if self.role else ""
        pairs = {"role": role, "made": repr(self.made), "until": repr(self.until)}
        if self.undated:
            pairs["undated"] = "1"
        pairs |= dict.fromkeys((TOKEN + digest for digest in self.tokens), "")
        return [word for pair in pairs.items() for word in pair]

    @classmethod
    def of_record(
        cls, subject: str, room: str, digest: str, found: Sequence[bytes | None]
    ) -> Ruling | None:
        """Return the ruling that a record has, as far as it is about one token; None for none.

        ``found`` has the values of `FIELDS`, and of the field of the token with this ``digest``.
        """
        id, role, made, until, undated, token = found
        if id is None or role is None or made is None or until is None:
            return None
        return cls(
            subject, room, Role(role.decode()) if role else None, float(made), float(until),
            undated is not None, frozenset([digest]) if token is not None else frozenset(),
            entry_id(id),
        )  # fmt: skip

    def pack(self) -> bytes:
        """Return the ruling's entry in the log, without its id."""
        return orjson.dumps(
            {
                "subject": self.subject,
                "room": self.room,
                "role": self.role.value if self.role else None,
                "made": self.made,
                "until": self.until,
                "undated": self.undated,
                "tokens": sorted(self.tokens),
            }
        )

    @classmethod
    def parse(cls, id: EntryId, packed: bytes) -> Ruling:
        """Read an entry of the log. Raises ValueError."""
        entry: Any = orjson.loads(packed)
        if not isinstance(entry, Mapping):
            raise ValueError("a ruling is an object")
        try:
            role = None if entry["role"] is None else Role(entry["role"])
            return cls(
                str(entry["subject"]), str(entry["room"]), role,
                float(entry["made"]), float(entry["until"]),
                bool(entry["undated"]), frozenset(map(str, entry["tokens"])), id,
            )  # fmt: skip
        except (KeyError, TypeError) as problem:
            raise ValueError("a malformed ruling") from problem


def _id_of(ruling: Ruling) -> EntryId:
    return ruling.id
