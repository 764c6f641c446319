"""The Yjs members of a room on one node: applies their updates, and sends them those of others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from collab.config import Config
from collab.errors import CodeTooLarge, NotAllowed
from collab.merge.awareness import State
from collab.merge.clocks import read_state_vector
from collab.merge.deletions import covers, deleted, normalized
from collab.merge.delta import IDENTITY
from collab.merge.errors import DocumentTooLarge
from collab.merge.gate import Gate
from collab.merge.limits import Limits
from collab.merge.replica import Edit, Replica
from collab.merge.survey import EMPTY_UPDATE
from collab.merge.update_reader import survey
from collab.metrics import Metrics
from collab.rooms.author import YJS, author_words
from collab.rooms.identity import Identity
from collab.rooms.journal import Journal
from collab.rooms.members import Members
from collab.rooms.presence import AwarenessLine, Presence
from collab.rooms.slices import Slices


class YjsLine(AwarenessLine, Protocol):
    """The connection to one Yjs member."""

    def update(self, update: bytes) -> None:
        """Schedule an update to be written."""


@dataclass(slots=True, eq=False)
class YjsMember:
    """A member that has a copy of the document.

    Its identity has the name with which it joined; `Presence.name` returns its present name.
    ``client`` is its id in awareness: the first that it sent.
    """

    id: str
    identity: Identity
    line: YjsLine
    client: int | None = None


def limits(config: Config) -> Limits:
    """Return what documents and updates may have."""
    return Limits(
        text_bytes=config.max_code_bytes,
        document_bytes=config.max_document_bytes,
        document_structs=config.max_document_structs,
        update_structs=config.max_update_structs,
        update_ranges=config.max_update_ranges,
        nesting=config.max_nesting,
        state_vector=config.max_state_vector,
    )


CommitEdit = Callable[[Edit, str, YjsMember | None], object]
"""Sends an edit that is in the replica to all but the member that made it, and commits it. The text
is its author, as the journal stores it."""


class YjsMembers:
    """Serves the Yjs ``members`` of one room on this node."""

    def __init__(
        self,
        members: Members,
        journal: Journal,
        presence: Presence,
        commit: CommitEdit,
        metrics: Metrics,
        limits: Limits,
    ) -> None:
        self._members = members
        self._journal = journal
        self._gate_or_none: Gate | None = None
        self._admitting = asyncio.Lock()
        self._presence = presence
        self._commit = commit
        self._metrics = metrics
        self._limits = limits

    @property
    def _replica(self) -> Replica:
        return self._journal.replica

    @property
    def _gate(self) -> Gate:
        if self._gate_or_none is None:  # only after the room is loaded, which replaces the replica
            self._gate_or_none = Gate(self._replica, self._limits)
        return self._gate_or_none

    def enter(self, member: YjsMember) -> None:
        """Add a member."""
        self._members.add_yjs(member)
        self._presence.entered(member.id, member.identity.name, introduce=False)

    def leave(self, member: YjsMember) -> None:
        """Remove a member."""
        self._members.remove(member.id)
        self._presence.left(member.id)

    # The document

    def state_vector(self) -> bytes:
        """Return the state vector of the replica."""
        return self._replica.state_vector()

    def missing_from(self, state_vector: bytes) -> bytes:
        """Return the update that a copy with ``state_vector`` lacks.

        Raises BadUpdate or UpdateTooLarge.
        """
        read_state_vector(state_vector, self._limits)
        return self._replica.diff_since(state_vector)

    def changes_document(self, update: bytes) -> bool:
        """Whether an update changes the replica. Raises BadUpdate or UpdateTooLarge."""
        have = read_state_vector(self._replica.state_vector())
        seen = survey(update, self._limits)
        return any(end > have.get(client, 0) for client, _, end in seen.runs) or not covers(
            deleted(self._replica), normalized(seen.deleted)
        )

    def stored(self) -> asyncio.Future[None] | None:
        """Return a Future that is done when Redis has the present replica; None if Redis has it."""
        return self._journal.stored()

    def merge_keystroke(self, member: YjsMember, update: bytes) -> bool:
        """Merge a keystroke of a member that may write, send it to all others, and commit it.

        Returns False, and changes nothing, if it is another update, if updates before it are still
        being merged, or if there is any doubt: `change` then decides.
        """
        if self._admitting.locked():
            return False
        edit = self._gate.admit_keystroke(update)
        if edit is not None:
            self._commit_admitted(member, edit, None)
        return edit is not None

    async def change(self, member: YjsMember, update: bytes) -> None:
        """Merge a member's update, send it to all other members, and commit it.

        A keystroke is merged at once, a large update in steps of some milliseconds. Raises
        BadUpdate, EarlyUpdate, NotAllowed, UpdateTooLarge or CodeTooLarge, and changes nothing
        then.
        """
        if update == EMPTY_UPDATE:
            return
        if not member.identity.may_write:
            raise NotAllowed("this member may read, not write")
        try:
            if self.merge_keystroke(member, update):
                return
            async with self._admitting:
                slices = Slices()
                for admitted in self._gate.steps(update):
                    if admitted is not None:
                        self._commit_admitted(member, *admitted)
                    await slices.pause()
        except DocumentTooLarge as problem:
            raise CodeTooLarge(str(problem)) from None

    def _commit_admitted(self, member: YjsMember, edit: Edit, repair: bytes | None) -> None:
        name, color = self._presence.name(member.id), self._presence.color(member.id)
        author = author_words(member.identity.subject, name, color, YJS)
        if edit:
            self._metrics.changes.inc()
            self._commit(edit, author, member)
        if repair is not None:
            self._commit(Edit(IDENTITY, repair), author, None)

    def broadcast(self, update: bytes, exclude: object) -> None:
        """Send an update that is in the replica to all members except ``exclude``."""
        for member in list(self._members.yjs.values()):
            if member is not exclude:
                member.line.update(update)

    # Awareness

    def set_state(self, member: YjsMember, client: int, state: State | None, clock: int) -> None:
        """Set a member's state. Its first client id is its own; states of others are ignored.

        The name in the state of a member with a token is that of the token, for all who see it.
        """
        if state is not None and member.identity.proven:
            user = state.get("user")
            fields = user if isinstance(user, dict) else {}
            state = {**state, "user": {**fields, "name": member.identity.name}}
        if member.client is None and state is not None:
            member.client = client
        if member.client == client:
            self._presence.set_state(member.id, client, state, clock)
