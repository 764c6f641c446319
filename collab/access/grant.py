"""What a token grants: who its bearer is, and its role in each room."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from collab.rooms.identity import Role

ANY_ROOM = "*"
"""The pattern of all rooms. In a pattern ``*`` stands for any characters, or none."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Who a client is, and its role in the rooms that match each of its ``rules``.

    ``expires`` is in Unix seconds; None if the grant does not expire. ``digest`` is the hash that
    names the token, which is itself kept nowhere; "" if the service is open.
    """

    subject: str
    name: str
    rules: tuple[tuple[str, Role], ...]
    expires: float | None = None
    digest: str = ""

    def role_in(self, room: str) -> Role | None:
        """Return the role in ``room`` that the first rule gives which matches; None if none does.

        The time at which the grant expires is not looked at here.
        """
        for pattern, role in self.rules:
            if fnmatchcase(room, pattern):
                return role
        return None
