"""The clients of a node that hold a grant, as rulings find them and act on them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Final, Protocol

from collab.access.grant import Grant
from collab.errors import CollabError
from collab.rooms.identity import Role
from collab.store.rulings import FoundToken

MAX_GONE: Final = 10_000
"""Clients that have left whose ids a node remembers: somebody may remove a member that has just
lost its connection, and has another id by then."""


class LetGo(Protocol):
    """Ends a connection."""

    def __call__(self, problem: CollabError, *, may_return: bool) -> None:
        """Tell the client why; its views are kept if it ``may_return``."""


class Holder(Protocol):
    """A client with a grant that is connected, or may come back. ``id`` is its member's id."""

    @property
    def id(self) -> str: ...

    @property
    def grant(self) -> Grant: ...

    @property
    def rooms(self) -> Collection[str]:
        """The rooms that the client is in, or has been in and may return to."""

    @property
    def connected(self) -> bool:
        """Whether the client is connected; otherwise it may come back."""

    @property
    def let_go(self) -> LetGo:
        """Ends the connection."""

    @property
    def remove(self) -> Callable[[str, CollabError], None]:
        """Removes the client from a room, if it is in there, and tells it why."""

    def set_role(self, room: str, role: Role) -> None:
        """Set the client's role in a room, if it is in there."""


class Holders:
    """The clients of a node, by their ids and by their subjects."""

    def __init__(self) -> None:
        self._by_id: dict[str, Holder] = {}
        self._by_subject: dict[str, set[Holder]] = {}
        self._gone: dict[str, FoundToken] = {}  # in the order in which they left

    def __iter__(self) -> Iterator[Holder]:
        return iter(self._by_id.values())

    def add(self, holder: Holder) -> None:
        """Add a client: rulings act on it from now on."""
        self._by_id[holder.id] = holder
        self._by_subject.setdefault(holder.grant.subject, set()).add(holder)

    def discard(self, holder: Holder) -> None:
        """Remove a client, which has gone, if it is here."""
        if self._by_id.get(holder.id) is holder:
            del self._by_id[holder.id]
            self._gone[holder.id] = _token_of(holder.grant, is_member=True, connected=False)
            if len(self._gone) > MAX_GONE:
                del self._gone[next(iter(self._gone))]
        if others := self._by_subject.get(holder.grant.subject):
            others.discard(holder)
            if not others:
                del self._by_subject[holder.grant.subject]

    def of(self, subject: str) -> tuple[Holder, ...]:
        """Return the clients of a subject."""
        return tuple(self._by_subject.get(subject, ()))

    def find_member(self, id: str) -> list[FoundToken]:
        """Return the token of the client of that id, which may have gone; none if it is unknown."""
        if (holder := self._by_id.get(id)) is not None:
            return [_token_of(holder.grant, is_member=True, connected=holder.connected)]
        gone = self._gone.get(id)
        return [] if gone is None else [gone]

    def find_subject(self, subject: str) -> list[FoundToken]:
        """Return the tokens with which a subject is connected, or was and may come back."""
        return [
            _token_of(each.grant, is_member=False, connected=each.connected)
            for each in self.of(subject)
        ]


def _token_of(grant: Grant, *, is_member: bool, connected: bool) -> FoundToken:
    return FoundToken(grant.subject, grant.digest, grant.expires, is_member, connected)
