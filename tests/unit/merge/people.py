"""The people in front of the simulator's pages, and their edits."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .pages import Page
    from .simulator import Setting

BMP_LETTERS = [*range(0x4E00, 0xA000), *range(0xAC00, 0xD7A4)]
FIRST_PRIVATE = 0xF0000


class People:
    """All people of one world."""

    def __init__(self, random: Random, setting: Setting) -> None:
        self._random, self._setting = random, setting
        self._letters = 0

    def letter(self) -> str:
        """Return a character that nobody has typed yet, or one of the setting's alphabet."""
        if not self._setting.unique:
            return self._random.choice(self._setting.alphabet)
        number = self._letters
        self._letters += 1
        if number % 3 and number < len(BMP_LETTERS):
            return chr(BMP_LETTERS[number])
        return chr(FIRST_PRIVATE + number)

    def _word(self, max_size: int) -> str:
        return "".join(self.letter() for _ in range(self._random.randint(1, max_size)))

    def edit(self, page: Page) -> str:
        """Return the text of ``page`` after an edit by its person."""
        text, random = page.text, self._random
        if self._setting.typing:
            return self._type(page)
        spot = random.randint(0, len(text))
        other = random.randint(0, len(text))
        left, right = min(spot, other), max(spot, other)
        choice = random.random()
        if choice < 0.5:
            return text[:spot] + self.letter() + text[spot:]
        if choice < 0.65:
            return text[:spot] + text[spot + random.randint(1, 3) :]
        if choice < 0.75:
            return text[:spot] + self._word(3) + text[spot + random.randint(1, 4) :]
        if choice < 0.85:
            return text[:left] + self.letter() + text[left:right] + self.letter() + text[right:]
        if choice < 0.9:
            return text[:spot] + self._word(12) + text[spot:]
        if choice < 0.95:
            step = max(2, len(text) // random.randint(2, 20))
            return "".join(
                self.letter() * (at % step == 0) + character for at, character in enumerate(text)
            )
        if self._setting.unique or not page.history:
            return self._word(4) if self._setting.resets else text[:left] + text[right:]
        return random.choice(page.history) if random.random() < 0.7 else self._word(4)

    def _type(self, page: Page) -> str:
        """Return the text of ``page`` after an edit by a person who mostly types at a caret."""
        text, random = page.text, self._random
        at = min(page.caret, len(text))
        anywhere = random.randint(0, len(text))
        start, end, new = at, at, self.letter()
        choice = random.random()
        if 0.6 <= choice < 0.72:
            start = end = anywhere
            new += self._word(2)
        elif 0.72 <= choice < 0.84:
            start, end, new = max(0, at - 1), at, ""
        elif 0.84 <= choice < 0.92:
            start, end, new = anywhere, anywhere + random.randint(1, 6), ""
        elif 0.92 <= choice < 0.95:
            start, end, new = anywhere, anywhere + random.randint(0, 3), new + self.letter()
        elif 0.95 <= choice < 0.97:
            new = self._word(30)
        elif choice >= 0.97:
            page.caret = 1
            return new + text[:anywhere] + self.letter() + text[anywhere:] + self.letter()
        page.caret = start + len(new)
        return text[:start] + new + text[end:]
