"""Who a member is, and what it may do in its room."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Role(Enum):
    """What a member may do in a room."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a client is, as `collab.admission` has decided it.

    ``subject`` is what the journal keeps as the author of an edit. ``role`` is for one room.
    ``proven`` says that subject and name are from a token: then the client can't choose its name.
    """

    subject: str
    name: str
    role: Role
    proven: bool = False

    @property
    def may_end(self) -> bool:
        """Whether the client may end the room."""
        return self.role is Role.ADMIN

    @property
    def may_write(self) -> bool:
        """Whether edits of this client are applied."""
        return self.role is not Role.VIEWER
