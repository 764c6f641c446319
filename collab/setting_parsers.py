"""The parsers of simple settings: numbers, times, words, and the names of a node and of its Redis.

Each takes the text that is given and returns its value. It raises ValueError if the text is not
valid; the message follows the text.
"""

from __future__ import annotations

from collections.abc import Callable

from collab.redis_url import RedisUrl


def integer(low: int, high: int) -> Callable[[str], int]:
    """Return the parser of an integer from ``low`` to ``high``."""

    def parse(raw: str) -> int:
        try:
            value = int(raw)
        except ValueError:
            raise ValueError("is not a whole number") from None
        if not low <= value <= high:
            raise ValueError(f"is not between {low} and {high}")
        return value

    return parse


def seconds(low: float, high: float) -> Callable[[str], float]:
    """Return the parser of a number of seconds from ``low`` to ``high``."""

    def parse(raw: str) -> float:
        try:
            value = float(raw)
        except ValueError:
            raise ValueError("is not a number of seconds") from None
        if not low <= value <= high:
            raise ValueError(f"is not between {low:g} and {high:g} seconds")
        return value

    return parse


def parse_ratio(raw: str) -> float:
    """Return a part of a whole, from 0 to 1."""
    try:
        value = float(raw)
    except ValueError:
        raise ValueError("is not a number") from None
    if not 0 <= value <= 1:
        raise ValueError("is not between 0 and 1")
    return value


def one_of(*words: str) -> Callable[[str], str]:
    """Return the parser of one of these words."""

    def parse(raw: str) -> str:
        if raw not in words:
            raise ValueError(f"is not one of {', '.join(words)}")
        return raw

    return parse


def parse_switch(raw: str) -> bool:
    """Return whether ``raw`` is a word for yes; words for no are accepted too."""
    words = {"1": True, "true": True, "yes": True, "on": True}
    words |= {"0": False, "false": False, "no": False, "off": False}
    try:
        return words[raw.lower()]
    except KeyError:
        raise ValueError("is neither yes nor no") from None


def check_node_id(raw: str) -> str:
    """Return ``raw`` if it can be the name of a node."""
    if not raw.isascii() or not raw.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise ValueError("may hold letters, digits and -_. only")
    if len(raw) > 64:
        raise ValueError("is longer than 64 characters")
    return raw


def check_redis_url(raw: str) -> str:
    """Return ``raw`` if it is the URL of a Redis, a Redis Cluster, or of Sentinels."""
    RedisUrl.parse(raw)
    return raw
