"""What the storm shows: a table that is redrawn on a terminal, or lines."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from typing import TextIO

from tests.storm.contest import DELAY, Server, Storm
from tests.storm.page import Page
from tests.storm.script import PEOPLE
from tests.storm.tally import Tally

LABEL_WIDTH = 27
MAX_WIDTH = 110
PANE_LINES = 9
LINE_SECONDS = 5.0
"""Between two lines where there is no terminal."""
COLORS = {"Ada": "\x1b[36m", "Bob": "\x1b[33m"}
BOLD, RED, PLAIN = "\x1b[1m", "\x1b[31m", "\x1b[0m"
ROWS: tuple[tuple[str, Callable[[Tally], str]], ...] = (
    ("letters typed", lambda tally: f"{tally.typed:,}"),
    ("letters lost", lambda tally: f"{tally.lost:,}"),
    ("doubled, or back", lambda tally: f"{tally.risen:,}"),
    ("rooms with several texts", lambda tally: f"{tally.apart} of {tally.rooms}"),
)


class Display:
    """Shows the servers of a storm while people type, and at the end."""

    def __init__(self, storm: Storm, servers: Sequence[Server], out: TextIO) -> None:
        self._servers = servers
        self._storm = storm
        self._out = out
        self._live = out.isatty()
        self._colors = self._live and not os.environ.get("NO_COLOR")
        self._drawn = 0
        self._next_line = LINE_SECONDS
        scripts = storm.scripts()
        self._meanings = {c: m for keys in scripts[0] for c, m in keys.meanings.items()}
        self._authors = {c: keys.author for keys in scripts[0] for c in keys.meanings}
        rooms = f"{len(scripts)} rooms, {len(PEOPLE)} people in each"
        if len(scripts) == 1:
            rooms = f"1 room, {len(PEOPLE)} people in it"
        self._head = (
            f"The same typing for every server: {rooms}, through links of {DELAY * 1000:.0f} ms "
            f"(seed {storm.seed})"
        )

    def begin(self) -> None:
        """Say what is about to happen."""
        self._print([self._head])

    def show(self, passed: float) -> None:
        """Show the state after ``passed`` seconds of typing."""
        if self._live:
            people = len(PEOPLE) if self._height >= 2 * PANE_LINES + 14 else 1
            self._redraw([f"{passed:4.0f} of {self._storm.seconds:.0f} s", *self._table(people)])
        elif passed >= self._next_line:
            self._next_line += LINE_SECONDS
            told = (f"{server.title}: {_brief(server.tally)}" for server in self._servers)
            self._print([f"{passed:4.0f} s  " + " | ".join(told)])

    def end(self) -> None:
        """Show the result."""
        self._redraw(["", *self._table(len(PEOPLE)), ""])
        for server in self._servers:
            self._print([sentence(server), *(f"  {note}" for note in server.tally.notes)])

    @property
    def _height(self) -> int:
        return shutil.get_terminal_size().lines

    @property
    def _width(self) -> int:
        return min(MAX_WIDTH, shutil.get_terminal_size((100, 40)).columns - 1)

    def _table(self, people: int) -> list[str]:
        """Return the counts, and what the first ``people`` of the first room see."""
        width = (self._width - LABEL_WIDTH) // len(self._servers)
        titles = "".join(f"{server.title[-width + 2 :]:>{width}}" for server in self._servers)
        lines = [self._styled(BOLD, " " * LABEL_WIDTH + titles)]
        for label, value in ROWS:
            cells = (f"{value(server.tally):>{width}}" for server in self._servers)
            lines.append(f"{label:<{LABEL_WIDTH}}" + "".join(cells))
        for person in range(people):
            lines += ["", *self._panes(person)]
        return lines

    def _panes(self, person: int) -> list[str]:
        """Return one person's screens in the first room, side by side."""
        width = self._width // len(self._servers)
        columns = [
            self._window(server.rooms[0][person], width - 2) if server.rooms else []
            for server in self._servers
        ]
        head = "".join(
            f"{f'{PEOPLE[person]} sees on {server.title}'[: width - 2]:<{width}}"
            for server in self._servers
        )
        lines = [self._styled(BOLD, head)]
        for row in range(PANE_LINES):
            cells = (lines[row] if row < len(lines) else [] for lines in columns)
            lines.append("".join(self._painted(cell, width) for cell in cells).rstrip())
        return lines

    def _window(self, page: Page, width: int) -> list[str]:
        """Return the lines of a screen around the place where its person types."""
        lines: list[str] = [""]
        line, caret = 0, page.caret()
        for place, character in enumerate(page.screen):
            if self._meanings.get(character, character) == "\n":
                lines.append("")
            elif len(lines[-1]) < width:
                lines[-1] += character
            if place < caret:
                line = len(lines) - 1
        first = max(0, min(line - PANE_LINES * 2 // 3, len(lines) - PANE_LINES))
        return lines[first : first + PANE_LINES]

    def _painted(self, line: Iterable[str], width: int) -> str:
        """Return a line as people meant it, each letter in the color of its author."""
        painted, author, size = "", "", 0
        for character in line:
            if self._colors and (mine := self._authors.get(character, "")) != author:
                author = mine
                painted += COLORS.get(author, PLAIN)
            painted += self._meanings.get(character, character)
            size += 1
        return painted + (PLAIN if author else "") + " " * (width - size)

    def _styled(self, style: str, line: str) -> str:
        return f"{style}{line}{PLAIN}" if self._colors else line

    def _redraw(self, lines: Sequence[str]) -> None:
        """Print lines in the place of those that were drawn before."""
        if self._live and self._drawn:
            self._out.write(f"\x1b[{self._drawn}F\x1b[J")
        self._print(lines)
        self._drawn = len(lines)

    def _print(self, lines: Iterable[str]) -> None:
        self._out.write("".join(f"{line}\n" for line in lines))
        self._out.flush()


def _brief(tally: Tally) -> str:
    return (
        f"{tally.typed:,} typed, {tally.lost:,} lost, {tally.risen:,} doubled or back, "
        f"{tally.apart} of {tally.rooms} rooms with several texts"
    )


def sentence(server: Server) -> str:
    """Return the result of a server in one sentence."""
    tally = server.tally
    title = server.title if "://" in server.title else server.title.capitalize()
    if tally.kept:
        return (
            f"{title} kept all {tally.typed:,} letters, each of them once, and everybody in a room "
            "looks at the same text."
        )
    share = tally.lost / max(1, tally.typed)
    return (
        f"{title} lost {tally.lost:,} of {tally.typed:,} letters ({share:.0%}); {tally.risen:,} "
        f"are there twice or came back; in {tally.apart} of {tally.rooms} rooms people look at "
        "different texts."
    )
