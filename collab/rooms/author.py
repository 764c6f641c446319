"""The author of a journal entry: the member's id, and its name at that time.

The entry stores the name too, because nobody can look up a sid after its connection has ended. The
name stays in Redis as long as the text, and is never logged.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Author:
    """One author; an id has no space in it."""

    id: str
    name: str

    def __str__(self) -> str:
        """Return the author as the journal stores it."""
        return f"{self.id} {self.name}"

    @classmethod
    def parse(cls, words: str) -> Author | None:
        """Parse what the journal stores; None if the entry has several authors, or none."""
        id, _, name = words.partition(" ")
        return cls(id, name) if id else None
