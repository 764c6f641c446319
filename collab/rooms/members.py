"""The only record of a room's members on this node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from collab.metrics import Metrics

if TYPE_CHECKING:
    from collab.rooms.text_members import TextMember
    from collab.rooms.yjs_members import YjsMember


class MemberLine(Protocol):
    """The connection to a member of either kind."""

    def ended(self) -> None:
        """Tell the client that somebody has ended the room, and remove the member."""


class Members:
    """The text members and the Yjs members of a room on this node, by their ids."""

    def __init__(self, metrics: Metrics) -> None:
        self.text: dict[str, TextMember] = {}
        self.yjs: dict[str, YjsMember] = {}
        self._metrics = metrics

    def __len__(self) -> int:
        return len(self.text) + len(self.yjs)

    def add_text(self, member: TextMember) -> None:
        """Add a text member."""
        self.text[member.id] = member
        self._metrics.members.inc()

    def add_yjs(self, member: YjsMember) -> None:
        """Add a Yjs member."""
        self.yjs[member.id] = member
        self._metrics.members.inc()

    def remove(self, id: str) -> None:
        """Remove a member of either kind."""
        del (self.text if id in self.text else self.yjs)[id]
        self._metrics.members.dec()

    def end(self) -> None:
        """Tell all members that somebody has ended the room."""
        here: list[TextMember | YjsMember] = [*self.text.values(), *self.yjs.values()]
        for member in here:
            member.line.ended()
