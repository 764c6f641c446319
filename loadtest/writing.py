"""What the two members of a room type, and which words a text holds: no sockets, no clock.

A keystroke of this load test types one whole word, such as ``a000017``: the sign of its author and
a number that is never used twice. So each text shows which keystrokes it holds, also if a server
merges two people's edits, or sends several changes as one text.
"""

import re
from collections import Counter
from dataclasses import dataclass, fields
from enum import Enum

SEATS = "ab"
WORDS_PER_LINE = 8

# Each member writes above the heading that follows its own. Nobody changes headings, so each edit
# is one insertion at an unambiguous place.
HEADINGS = ("\n# a writes here\n", "\n# b writes here\n", "\n# end\n")

# The share of a document that is code which nobody changes; the two writers share the rest.
STARTER_SHARE = 0.5
STARTER = (
    "def handler_{n}(self, name, value=None):\n"
    '    """Return the value stored under name."""\n'
    "    if value is None:\n"
    '        value = self.cache.get(name, "none")\n'
    "    return [name, value, {n} * 7]\n\n"
)


class Fate(Enum):
    """The state of a keystroke."""

    PENDING = "pending"
    DELIVERED = "delivered"
    LOST = "lost"


@dataclass(slots=True, eq=False)
class Keystroke:
    word: str
    at: float
    fate: Fate = Fate.PENDING


@dataclass
class Tally:
    """The counts that decide a run; the counts of several locust processes are added."""

    rooms: int = 0
    unpaired: int = 0
    typed: int = 0
    undelivered: int = 0
    erased: int = 0
    reappeared: int = 0
    diverged: int = 0
    changes: int = 0
    acknowledged: int = 0
    disconnects: int = 0

    @property
    def lost(self) -> int:
        return self.undelivered + self.erased

    @property
    def clean(self) -> bool:
        """Whether all keystrokes arrived and stayed; False if nobody typed."""
        return self.typed > 0 and not (self.lost or self.reappeared or self.diverged)

    def add(self, other: "Tally") -> None:
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


def first_text(size: int) -> str:
    """Return the first document of a room: realistic code, then the two sections."""
    copies = int(size * STARTER_SHARE) // len(STARTER) + 1
    code = "".join(STARTER.format(n=n) for n in range(copies))
    return code[: int(size * STARTER_SHARE)] + "".join(HEADINGS)


class Typist:
    """The words of one member: which it has typed, and which must be in the room's text."""

    def __init__(self, seat: int, size: int, same_place: bool) -> None:
        self.sign = SEATS[seat]
        self.closing = HEADINGS[-1] if same_place else HEADINGS[seat + 1]
        # A word has 8 characters, with the space after it.
        self.max_words = max(10, int(size * (1 - STARTER_SHARE)) // len(SEATS) // 8)
        self.typed = 0
        self.written: dict[str, Keystroke] = {}
        self.pending: dict[str, Keystroke] = {}
        self.removed: set[str] = set()
        self._own_word = re.compile(rf"{self.sign}\d{{6}}[ \n]")

    def write(self, text: str, now: float) -> str:
        """Return the text with one more word of this typist."""
        end = "\n" if self.typed % WORDS_PER_LINE == WORDS_PER_LINE - 1 else " "
        word = f"{self.sign}{self.typed:06d}{end}"
        self.typed += 1
        self.written[word] = self.pending[word] = Keystroke(word, now)
        at = text.find(self.closing)
        if at < 0:
            at = len(text)
        return text[:at] + word + text[at:]

    def seen_in(self, text: str) -> list[Keystroke]:
        """Return the pending keystrokes in this text of the partner: they are delivered."""
        arrived = [stroke for word, stroke in self.pending.items() if word in text]
        for stroke in arrived:
            stroke.fate = Fate.DELIVERED
            del self.pending[stroke.word]
        return arrived

    def overdue(self, before: float) -> list[Keystroke]:
        """Return the pending keystrokes that were typed before that time: they are lost."""
        late = [stroke for stroke in self.pending.values() if stroke.at < before]
        for stroke in late:
            stroke.fate = Fate.LOST
            del self.pending[stroke.word]
        return late

    def erased_from(self, *texts: str) -> list[Keystroke]:
        """Return the delivered keystrokes that one of the texts does not hold: they are lost."""
        return self._lose_absent(list(self.written.values()), texts)

    def reappeared_in(self, text: str) -> int:
        """Return how many words in the text this typist has removed, or has typed less often."""
        found = Counter(self._own_word.findall(text))
        return sum(count - (word not in self.removed) for word, count in found.items())

    def tidy(self, text: str, before: float) -> tuple[str, list[Keystroke]]:
        """Return the text without the oldest half of this typist's words, if there are too many.

        Only words typed before that time are removed: a newer word may be missing from its author's
        own screen for a short time, until an older text of the partner has arrived. Also return the
        words that are already missing: they were erased.
        """
        if len(self.written) <= self.max_words:
            return text, []
        surplus = len(self.written) - self.max_words // 2
        old = [
            stroke
            for stroke in list(self.written.values())[:surplus]
            if stroke.at < before and stroke.fate is not Fate.PENDING
        ]
        erased = self._lose_absent(old, (text,))
        for stroke in old:
            text = text.replace(stroke.word, "")
            del self.written[stroke.word]
            self.removed.add(stroke.word)
        return text, erased

    @staticmethod
    def _lose_absent(strokes: list[Keystroke], texts: tuple[str, ...]) -> list[Keystroke]:
        absent = [
            stroke
            for stroke in strokes
            if stroke.fate is Fate.DELIVERED and not all(stroke.word in text for text in texts)
        ]
        for stroke in absent:
            stroke.fate = Fate.LOST
        return absent
