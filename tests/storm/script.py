"""What two people of a room type, and when: the same keys for every server.

Each letter is typed as a character of its own, so that it can be followed through any server;
`readable` turns a text back into what people meant.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass

PEOPLE = "Ada", "Bob"
PROGRAMS = (
    "def vowels(word):\n    found = 0\n    for c in word:\n        if c in 'aeiou':\n"
    "            found += 1\n    return found\n\ndef is_palindrome(word):\n"
    "    word = word.lower()\n    return word == word[::-1]\n\n",
    "def two_sum(items, goal):\n    seen = {}\n    for i, x in enumerate(items):\n"
    "        if goal - x in seen:\n            return seen[goal - x], i\n"
    "        seen[x] = i\n\ndef fizz(n):\n    if n % 3:\n        return str(n)\n"
    "    return 'fizz'\n\n",
)
"""What Ada and Bob type, again and again."""
STARTER = "# Ada's:\n", "\n# Bob's:\n"
"""What is in the room before they begin: each goes on after their own line."""
FIRST_CHARACTERS = 0x4E00, 0x7000
"""Code points of Ada's and Bob's first letters: 8,704 follow each, all of one UTF-16 unit."""
TYPO = 0.05
"""The chance that somebody types a wrong letter and takes it back."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key pressed ``at`` seconds: a letter, or ``""`` for backspace."""

    at: float
    letter: str


@dataclass(frozen=True, slots=True)
class Script:
    """All keys of one person, and what the characters that they send mean.

    ``starter`` has the characters of this person's part of the text that they find in the room.
    """

    author: str
    starter: str
    keys: list[Key]
    meanings: dict[str, str]


def script(person: int, seed: int, seconds: float) -> Script:
    """Return what a person (0 or 1) types in ``seconds``: the same for the same ``seed``."""
    random_ = random.Random(seed * 2 + person)
    keys: list[Key] = []
    first = FIRST_CHARACTERS[person]
    meanings = {chr(first + n): letter for n, letter in enumerate(STARTER[person])}
    starter = "".join(meanings)
    program = itertools.cycle(PROGRAMS[person])
    at = random_.random() / 2
    again = False
    while at < seconds:
        if again:
            keys.append(Key(at, ""))
            again = False
        else:
            again = random_.random() < TYPO
            character = chr(first + len(meanings))
            meanings[character] = random_.choice("etaoin") if again else next(program)
            keys.append(Key(at, character))
        at += _pause(random_)
    return Script(PEOPLE[person], starter, keys, meanings)


def _pause(random_: random.Random) -> float:
    """Return seconds between two keys: seven keys a second, some of them in quick succession."""
    return random_.uniform(0.03, 0.07) if random_.random() < 0.4 else random_.uniform(0.08, 0.3)
