"""People with a browser page each, who type into one room with real key events."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from playwright.async_api import CDPSession, Page

from tests.react_pages.records import FIRST_LETTER, Event

BETWEEN_ROUNDS = 0.03, 0.15
BETWEEN_KEYS = 0.06, 0.3
"""Seconds of a pause: of all who type together, and of one who types for themselves."""
BACKSPACES, JUMPS = 0.1, 0.1
"""How many of the keys take back one's own last letter, and how many go to some other place."""
PACES = {
    "close": 0.005,
    # As long as a letter takes to the other screens: many keys meet one that has just arrived.
    "crossing": 0.02,
    "independent": None,
}
"""Seconds within which all type, or ``None`` where each types for themselves."""


class Letters:
    """Letters that are typed once each in a room, and how many there are to be typed."""

    def __init__(self, count: int) -> None:
        self._next = FIRST_LETTER
        self._end = FIRST_LETTER + count

    @property
    def left(self) -> bool:
        return self._next < self._end

    @property
    def typed(self) -> list[str]:
        return [chr(code) for code in range(FIRST_LETTER, self._next)]

    def one(self) -> str:
        self._next += 1
        return chr(self._next - 1)


class Typist:
    """Somebody at a page, who types behind their own last letter."""

    def __init__(self, page: Page, wire: CDPSession, letters: Letters, seed: int) -> None:
        """``wire`` leads to the page's inside, as the browser's own tools use it."""
        self.page = page
        self.wire = wire
        self._letters = letters
        self._mine: list[str] = []
        self.random = random.Random(seed)
        self.failures: list[str] = []
        page.on("pageerror", lambda error: self.failures.append(str(error)))

    async def aim(self) -> bool:
        """Put the caret where the next key is to go, as a click would; a received text has moved
        it to the end. Return whether that key should take back one's own last letter."""
        jumps = self.random.random() < JUMPS
        letter = self._mine[-1] if self._mine and not jumps else ""
        there = await self.page.evaluate(
            "([letter, fraction]) => recorder.place(letter, fraction)",
            [letter, self.random.random()],
        )
        return there and self.random.random() < BACKSPACES

    async def press(self, backspace: bool) -> None:
        """Press a key and let it go; return when the page has handled it."""
        if backspace:
            self._mine.pop()
            await self.page.keyboard.press("Backspace")
            return
        letter = self._letters.one()
        self._mine.append(letter)
        down = {"type": "keyDown", "key": letter, "text": letter, "unmodifiedText": letter}
        await self.wire.send("Input.dispatchKeyEvent", down)
        await self.wire.send("Input.dispatchKeyEvent", {"type": "keyUp", "key": letter})

    async def type(self) -> None:
        """Type until all letters are typed, pausing between any two keys."""
        while self._letters.left:
            await self.press(await self.aim())
            await asyncio.sleep(self.random.uniform(*BETWEEN_KEYS))

    async def press_within(self, seconds: float, backspace: bool) -> None:
        await asyncio.sleep(self.random.uniform(0, seconds))
        await self.press(backspace)

    async def events(self) -> list[Event]:
        found: list[Event] = await self.page.evaluate("recorder.log")
        return found


async def type_all(typists: Sequence[Typist], letters: Letters, pace: str) -> None:
    """Let them type until all letters are typed."""
    together = PACES[pace]
    if together is None:
        await asyncio.gather(*(typist.type() for typist in typists))
        return
    while letters.left:
        keys = await asyncio.gather(*(typist.aim() for typist in typists))
        await asyncio.gather(*(
            typist.press_within(together, key) for typist, key in zip(typists, keys, strict=True)
        ))  # fmt: skip
        await asyncio.sleep(typists[0].random.uniform(*BETWEEN_ROUNDS))
