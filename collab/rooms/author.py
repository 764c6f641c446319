"""The author of a journal entry: who it was, and how the others in the room saw it at that time.

The entry stores name and color too, because nobody can look up a sid after its connection has
ended. They stay in Redis as long as the text, and are never logged.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

TEXT, YJS, API = "text", "yjs", "api"
"""The client of an author: it sends whole texts, or Yjs updates, or requests to the HTTP API. The
service finds the letters of the first and the last by comparing texts."""
_LOOKS = 3
"""Parts of an author's first word: id, client and color."""


@lru_cache(maxsize=1024)
def author_words(id: str, name: str, color: str = "", client: str = "") -> str:
    """Return an author as the journal stores it: ``id name``, or ``id#client#color name``.

    ``color`` begins with ``#``; '' for an author that has none. A subject may have any characters,
    unlike a sid, so those that separate the parts are escaped.
    """
    word = id.replace("%", "%25").replace(" ", "%20").replace("#", "%23")
    return f"{word}#{client}{color or '#'} {name}" if client else f"{word} {name}"


def author_id(words: str) -> str:
    """Return the id of an author, as `author_words` has escaped it; '' if there are several."""
    return words.partition(" ")[0].partition("#")[0]


@dataclass(frozen=True, slots=True)
class Author:
    """One author. ``color`` and ``client`` are '' if they are not known."""

    id: str
    name: str
    color: str = ""
    client: str = ""

    def __str__(self) -> str:
        """Return the author as the journal stores it."""
        return author_words(self.id, self.name, self.color, self.client)

    @classmethod
    def parse(cls, words: str) -> Author | None:
        """Parse what the journal stores; None if the entry has several authors, or none.

        Entries of earlier versions have no client and no color, and an id in which ``#`` was not
        escaped.
        """
        word, _, name = words.partition(" ")
        parts = word.split("#")
        if len(parts) != _LOOKS or parts[1] not in (TEXT, YJS, API):
            return cls(unquote(word), name) if word else None
        id, client, digits = parts
        return cls(unquote(id), name, digits and f"#{digits}", client)
