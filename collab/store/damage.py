"""Rooms whose keys in Redis are damaged: found out, remembered for a while, logged once in a while.

One damaged room must cost the others nothing: it is not read again and again for everybody who
knocks, and its log is not a flood.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Final

from redis.exceptions import ResponseError

from collab.errors import RoomUnreadable, StoreUnavailable
from collab.metrics import Metrics
from collab.store.records import BadRecord

log = logging.getLogger(__name__)

RETRY_SECONDS: Final = 2.0
"""Seconds for which a room that could not be read is refused without another attempt."""
LOG_SECONDS: Final = 60.0
"""Seconds between two lines of the log about one room."""
SHOWN_SECONDS: Final = 300.0
"""Seconds for which the metric counts a room that nobody has tried to open again."""
MAX_REMEMBERED: Final = 1024
"""Rooms that are remembered; the oldest are forgotten first."""

_OF_THE_SERVER: Final = re.compile(
    r"\b(OOM|MISCONF|READONLY|MASTERDOWN|NOREPLICAS|BUSY|LOADING|NOPERM|CLUSTERDOWN|TRYAGAIN)\b"
    r"|permission|can't (run|access)|[Tt]imed? ?out|not allowed"
)
"""Words of errors that are about Redis, or the login, whatever the keys are."""


def damage(problem: BaseException | None) -> str | None:
    """Return what is damaged if Redis answered a script with ``problem`` because of a room's keys.

    None if it is another error. A script fails on a key of another type, or on a bad number.
    """
    if type(problem) is not ResponseError:  # its subclasses are about the server or the login
        return None
    words = str(problem)
    if words.startswith("DAMAGED "):
        return words.removeprefix("DAMAGED ")
    if "WRONGTYPE" in words:
        return "a key is of the wrong type"
    if "user_script" in words and not _OF_THE_SERVER.search(words):
        return "a script failed on the keys"
    return None


@dataclass(slots=True)
class _Found:
    reason: str
    seen: float
    logged: float


class Damage:
    """The rooms that this node could not read lately. Times are monotonic seconds."""

    def __init__(self, metrics: Metrics) -> None:
        self._found: dict[str, _Found] = {}
        metrics.unreadable_rooms.set_function(self._count)

    @contextmanager
    def watch(self, room: str) -> Iterator[None]:
        """Turn the errors that come from a room's keys into RoomUnreadable, and remember them."""
        try:
            yield
        except RoomUnreadable as problem:
            self._note(problem)
            raise
        except StoreUnavailable as problem:
            reason = damage(problem.__cause__)
            if reason is None:
                raise
            found = RoomUnreadable(room, reason)
            self._note(found)
            raise found from problem
        except BadRecord as problem:
            found = RoomUnreadable(room, str(problem))
            self._note(found)
            raise found from problem

    def refuse(self, room: str) -> None:
        """Raise RoomUnreadable if the room could not be read a moment ago."""
        found = self._found.get(room)
        if found is not None and monotonic() - found.seen < RETRY_SECONDS:
            raise RoomUnreadable(room, found.reason)

    def forget(self, room: str) -> None:
        """Forget a room that could be read."""
        if self._found and self._found.pop(room, None) is not None:
            log.info("the room can be read again", extra={"room": room})

    def _note(self, problem: RoomUnreadable) -> None:
        now, room = monotonic(), problem.room
        found = self._found.pop(room, None) or _Found(problem.reason, now, -LOG_SECONDS)
        found.reason, found.seen = problem.reason, now
        if len(self._found) >= MAX_REMEMBERED:
            del self._found[next(iter(self._found))]
        self._found[room] = found  # the last one now
        if now - found.logged >= LOG_SECONDS:
            found.logged = now
            log.error("the room can't be read", extra={"room": room, "reason": problem.reason})

    def _count(self) -> int:
        since = monotonic() - SHOWN_SECONDS
        return sum(found.seen > since for found in self._found.values())
