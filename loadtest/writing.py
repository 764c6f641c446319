"""What the two members of a room type, and which of it a text holds: no sockets, no clock.

A keystroke of this load test types one whole word, such as ``a000017``: the seat of its author and
a number that is never used twice. So every text says by itself which keystrokes it holds, also when
a server merges two people's edits, or sends several changes on as one text.
"""

import re
from collections import Counter
from dataclasses import dataclass, fields
from enum import Enum

SEATS = "ab"
WORDS_PER_LINE = 8

# Members write above the heading that follows theirs. Headings are never typed over, so each edit
# is one insertion at a place that no text makes ambiguous.
HEADINGS = ("\n# a writes here\n", "\n# b writes here\n", "\n# end\n")

# Of a document, this part is code that nobody touches; the rest is shared by the two writers.
STARTER_SHARE = 0.5
STARTER = (
    "def handler_{n}(self, name, value=None):\n"
    '    """Return the value stored under name."""\n'
    "    if value is None:\n"
    '        value = self.cache.get(name, "none")\n'
    "    return [name, value, {n} * 7]\n\n"
)


class Fate(Enum):
    """What has become of a keystroke."""

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
    """The counts that decide a run; those of several locust processes add up."""

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
        """Whether everything arrived and stayed. A run in which nobody typed proves nothing."""
        return self.typed > 0 and not (self.lost or self.reappeared or self.diverged)

    def add(self, other: "Tally") -> None:
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


def first_text(size: int) -> str:
    """The document that a room starts from: code that looks like code, then the two sections."""
    copies = int(size * STARTER_SHARE) // len(STARTER) + 1
    code = "".join(STARTER.format(n=n) for n in range(copies))
    return code[: int(size * STARTER_SHARE)] + "".join(HEADINGS)


class Typist:
    """One member's writing: what it has typed, and what must therefore be in the room's text."""

    def __init__(self, seat: int, size: int, same_place: bool) -> None:
        self.sign = SEATS[seat]
        self.closing = HEADINGS[-1] if same_place else HEADINGS[seat + 1]
        # A word is 8 characters with the blank behind it.
        self.max_words = max(10, int(size * (1 - STARTER_SHARE)) // len(SEATS) // 8)
        self.typed = 0
        self.written: dict[str, Keystroke] = {}
        self.pending: dict[str, Keystroke] = {}
        self.removed: set[str] = set()
        self._own_word = re.compile(rf"{self.sign}\d{{6}}[ \n]")

    def write(self, text: str, now: float) -> str:
        """The text with one more word of this hand."""
        end = "\n" if self.typed % WORDS_PER_LINE == WORDS_PER_LINE - 1 else " "
        word = f"{self.sign}{self.typed:06d}{end}"
        self.typed += 1
        self.written[word] = self.pending[word] = Keystroke(word, now)
        at = text.find(self.closing)
        if at < 0:
            at = len(text)
        return text[:at] + word + text[at:]

    def seen_in(self, text: str) -> list[Keystroke]:
        """The keystrokes that this text, on the partner's screen, delivers."""
        arrived = [stroke for word, stroke in self.pending.items() if word in text]
        for stroke in arrived:
            stroke.fate = Fate.DELIVERED
            del self.pending[stroke.word]
        return arrived

    def overdue(self, before: float) -> list[Keystroke]:
        """The keystrokes typed before that moment that the partner has not seen: lost."""
        late = [stroke for stroke in self.pending.values() if stroke.at < before]
        for stroke in late:
            stroke.fate = Fate.LOST
            del self.pending[stroke.word]
        return late

    def erased_from(self, *texts: str) -> list[Keystroke]:
        """The keystrokes that had been delivered and are not in every one of the texts: lost."""
        return self._lose_absent(list(self.written.values()), texts)

    def reappeared_in(self, text: str) -> int:
        """How many words are there that this hand has removed, or more often than it typed them."""
        found = Counter(self._own_word.findall(text))
        return sum(count - (word not in self.removed) for word, count in found.items())

    def tidy(self, text: str, before: float) -> tuple[str, list[Keystroke]]:
        """The text without the oldest half of this hand's words, if there are too many by now.

        Only words typed before that moment go: a younger one may be missing from its author's own
        screen for a blink, while an older text of the partner's is still under way. A word that has
        gone by itself by now was erased; those are returned.
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
