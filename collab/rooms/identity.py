"""Who a member is, and what it may do in its room."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Role(Enum):
    """What a member may do in a room."""

    EDITOR = "editor"
    VIEWER = "viewer"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a client is, as `collab.admission` has decided it.

    ``subject`` is what the journal keeps as the author of an edit. ``role`` is for one room;
    a client that no room has admitted is a viewer. ``address`` is that of a client which has not
    proved who it is; '' if it has, or if the address is not known.
    """

    subject: str
    name: str
    role: Role = Role.VIEWER
    address: str = ""

    @property
    def may_write(self) -> bool:
        """Whether edits of this client are applied."""
        return self.role is Role.EDITOR
