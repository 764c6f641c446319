"""The author of a journal entry: the member's id, and its name at that time.

The entry stores the name too, because nobody can look up a sid after its connection has ended. The
name stays in Redis as long as the text, and is never logged.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote


@lru_cache(maxsize=1024)
def author_words(id: str, name: str) -> str:
    """Return an author as the journal stores it: a subject may have spaces, unlike a sid."""
    return f"{id.replace('%', '%25').replace(' ', '%20')} {name}"


@dataclass(frozen=True, slots=True)
class Author:
    """One author."""

    id: str
    name: str

    def __str__(self) -> str:
        """Return the author as the journal stores it."""
        return author_words(self.id, self.name)

    @classmethod
    def parse(cls, words: str) -> Author | None:
        """Parse what the journal stores; None if the entry has several authors, or none."""
        id, _, name = words.partition(" ")
        return cls(unquote(id), name) if id else None
