"""A member as others in the room see it: a name and a color, which the member may choose."""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection
from dataclasses import dataclass

from collab.merge.awareness import State
from collab.names import clean_name

COLORS = (
    "#c2410c", "#15803d", "#1d4ed8", "#a21caf", "#0f766e", "#b91c1c", "#6d28d9", "#4d7c0f",
)  # fmt: skip
"""Colors for members that chose none; all are readable on white and on black."""

_COLOR = re.compile(r"#(?:[0-9a-fA-F]{3,4}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})")


def default_color(id: str, taken: Collection[str] = ()) -> str:
    """Return a color for a member that chose none.

    Every node returns the same. A color that is in ``taken`` is returned only if all are taken.
    """
    first = zlib.crc32(id.encode()) % len(COLORS)
    choices = COLORS[first:] + COLORS[:first]
    return next((color for color in choices if color not in taken), choices[0])


@dataclass(frozen=True, slots=True)
class Person:
    """A member as others in the room see it."""

    id: str
    name: str
    node: str
    color: str

    @classmethod
    def showing(cls, state: State | None, id: str, name: str, node: str) -> Person:
        """Return a member that shows ``state``; ``name`` is used if the state contains none."""
        user = state.get("user") if state else None
        given = user if isinstance(user, dict) else {}
        color = given.get("color")
        if not isinstance(color, str) or not _COLOR.fullmatch(color):
            color = default_color(id)
        return cls(id, clean_name(given.get("name"), name), node, color)

    def payload(self) -> dict[str, str]:
        """Return the member as the event ``presence`` describes it."""
        return {"id": self.id, "name": self.name, "node": self.node, "color": self.color}
