"""What became of the letters that were typed in a room, and how late its pages showed texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

FIRST_LETTER = 0x4E00
"""The letters that are typed are CJK ideographs from here on; nothing else of a room is one."""

Event = dict[str, Any]
"""What the pages' recorder logs: ``at`` in milliseconds, ``what``, and what belongs to it."""


@dataclass(frozen=True, slots=True)
class Room:
    """What happened in a room: ``pages`` are the events of each, ``screens`` their last texts,
    ``stored`` is the room's text in Redis, ``failures`` are the pages' uncaught errors."""

    name: str
    typed: list[str]
    pages: list[list[Event]]
    screens: list[str]
    stored: str
    failures: list[str]

    @property
    def deleted(self) -> set[str]:
        """The letters that somebody took back: a page sent a text without what it showed."""
        return {
            letter
            for events in self.pages
            for before, sent in _edits(events)
            for letter in _letters(before) - _letters(sent)
        }

    @property
    def complaints(self) -> list[str]:
        """What should not have happened at all: errors, refusals, broken connections."""
        gone = [event["why"] for page in self.pages for event in page if event["what"] == "gone"]
        return self.failures + gone


@dataclass(slots=True)
class Outcome:
    """What became of the letters that were typed in some rooms."""

    rooms: int = 0
    typed: int = 0
    deleted: int = 0
    lost: int = 0
    risen: int = 0
    apart: int = 0
    complaints: list[str] = field(default_factory=list)

    def add(self, room: Room) -> None:
        deleted = room.deleted
        kept = set(room.typed) - deleted
        there = Counter(letter for letter in room.stored if letter >= chr(FIRST_LETTER))
        self.rooms += 1
        self.typed += len(room.typed)
        self.deleted += len(deleted)
        self.lost += len(kept - set(there))
        self.risen += sum(count - (letter in kept) for letter, count in there.items())
        self.apart += {room.stored} != set(room.screens)
        self.complaints += room.complaints

    def row(self, *cell: str) -> str:
        cells = (
            *cell, self.typed, self.deleted, self.lost, self.risen, f"{self.apart} of {self.rooms}",
        )  # fmt: skip
        return "| " + " | ".join(map(str, cells)) + " |"


HEAD = (
    "| editor | pace | machine | typed | deleted | lost | risen | rooms apart |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- |"
)


class LateChange(NamedTuple):
    """A change made from an older text than the last received, which was not shown yet.

    ``receive`` and ``mark`` are the milliseconds since the handler of the first `receive` that was
    not shown, and since the page answered the PING behind it (``None``: it had not). ``unseen`` is
    how many there were.
    """

    receive: float
    mark: float | None
    unseen: int


@dataclass(slots=True)
class _Unseen:
    """A receive that was handled and is not shown yet; ``mark`` is when its PING was answered."""

    code: str
    at: float
    mark: float | None = None


@dataclass(slots=True)
class Lateness:
    """How late pages showed what they received, in milliseconds since the `receive` handler."""

    shown: list[float] = field(default_factory=list)
    painted: list[float] = field(default_factory=list)
    changes: int = 0
    late: list[LateChange] = field(default_factory=list)

    def add(self, room: Room) -> None:
        for events in room.pages:
            self._add_page(events)

    def _add_page(self, events: Iterable[Event]) -> None:
        unseen: list[_Unseen] = []
        unpainted: dict[str, float] = {}
        now = ""
        for event in events:
            at = event["at"]
            match event["what"]:
                case "receive" if unseen or event["code"] != now:
                    unseen.append(_Unseen(event["code"], at))
                case "pong":
                    for receive in unseen:
                        receive.mark = receive.mark or at
                case "shown":
                    now = event["code"]
                    codes = [receive.code for receive in unseen]
                    if now in codes:
                        last = len(codes) - 1 - codes[::-1].index(now)
                        self.shown.append(at - unseen[last].at)
                        unpainted[now] = unseen[last].at
                        del unseen[: last + 1]
                case "painted" if event["code"] in unpainted:
                    self.painted.append(at - unpainted.pop(event["code"]))
                case "sent":
                    self.changes += 1
                    if unseen:
                        first = unseen[0]
                        mark = None if first.mark is None else at - first.mark
                        self.late.append(LateChange(at - first.at, mark, len(unseen)))
                        unseen.clear()  # the page goes on from what it sent

    def rows(self, *cell: str) -> Iterator[str]:
        """Yield a row for each of the distributions."""
        marked = [late.mark for late in self.late if late.mark is not None]
        for what, values in {
            "receive to shown": self.shown,
            "receive to painted": self.painted,
            "receive to late change": [late.receive for late in self.late],
            "second mark to late change": marked,
        }.items():
            ordered = sorted(values)
            ranks = [round((len(ordered) - 1) * part) for part in (0.5, 0.9, 0.99, 1)]
            columns = [f"{ordered[rank]:.1f}" for rank in ranks] if ordered else ["-"] * 4
            yield "| " + " | ".join([*cell, what, str(len(values)), *columns]) + " |"


LATENESS_HEAD = (
    "| editor | pace | machine | milliseconds from | number | p50 | p90 | p99 | max |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


def _edits(events: Iterable[Event]) -> Iterator[tuple[str, str]]:
    """Yield each change that was sent, with the text that was on the screen before the key.

    An editor may show what a key did before or after it is sent.
    """
    now = before = ""
    for event in events:
        if event["what"] == "shown":
            before, now = now, event["code"]
        elif event["what"] == "sent":
            yield (before if now == event["code"] else now), event["code"]


def _letters(text: str) -> set[str]:
    return {letter for letter in text if letter >= chr(FIRST_LETTER)}


def lines(room: Room, **about: Any) -> Iterator[Event]:
    """Yield the room as lines of a record: what it was, then every event of every page in the
    order of time."""
    yield about | {key: value for key, value in asdict(room).items() if key != "pages"}
    everywhere: list[Event] = [
        {"room": room.name, "page": number} | event
        for number, events in enumerate(room.pages)
        for event in events
    ]
    yield from sorted(everywhere, key=lambda event: event["at"])
