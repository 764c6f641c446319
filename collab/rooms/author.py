"""Who wrote an entry of a journal: the member's id, and the name it went by then.

Sids are forgotten with their connections, so the name is kept beside it. It is in Redis for as long
as the text it belongs to, and never in a log.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Author:
    """One author; an id has no space in it."""

    id: str
    name: str

    def __str__(self) -> str:
        """Return what the journal keeps."""
        return f"{self.id} {self.name}"

    @classmethod
    def parse(cls, words: str) -> Author | None:
        """Read what the journal keeps; None where more than one, or nobody, is the author."""
        id, _, name = words.partition(" ")
        return cls(id, name) if id else None
