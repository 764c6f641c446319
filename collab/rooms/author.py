"""The author of a journal entry: the member's id, and its name at that time.

The entry stores the name too, because nobody can look up a sid after its connection has ended. The
name stays in Redis as long as the text, and is never logged.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote


@dataclass(frozen=True, slots=True)
class Author:
    """One author."""

    id: str
    name: str

    def __str__(self) -> str:
        """Return the author as the journal stores it: a subject may have spaces, unlike a sid."""
        return f"{self.id.replace('%', '%25').replace(' ', '%20')} {self.name}"

    @classmethod
    def parse(cls, words: str) -> Author | None:
        """Parse what the journal stores; None if the entry has several authors, or none."""
        id, _, name = words.partition(" ")
        return cls(unquote(id), name) if id else None
