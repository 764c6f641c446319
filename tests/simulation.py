"""The simulator at length: what became of each letter that was typed in its worlds.

``python -m tests.simulation`` prints a table; docs/merging.md has one of a million letters.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

from collab.merge.lateness import Habit
from tests.unit.merge.simulator import World
from tests.unit.merge.worlds import WORLDS

RUNS = 20
"""Runs of one world, one after the other, whose pages are of one site."""
HEAD = (
    "| world | letters | lost | risen | changes | guessed | late | returns |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- |"
)


@dataclass(slots=True)
class Total:
    """What happened in some runs of one world. Raises AssertionError if its nodes end apart."""

    letters: int = 0
    lost: int = 0
    risen: int = 0
    changes: int = 0
    guessed: int = 0
    late: int = 0
    returns: int = 0

    def add(self, world: World) -> None:
        """Add one run that is over."""
        self.letters += len(world.typed)
        self.lost += len(world.lost())
        self.risen += len(world.risen())
        self.changes += world.changes
        self.guessed += world.guesses
        self.late += world.late
        self.returns += world.returns

    def __add__(self, other: Total) -> Total:
        pairs = zip(self.numbers, other.numbers, strict=True)
        return Total(*(one + two for one, two in pairs))

    @property
    def numbers(self) -> tuple[int, ...]:
        return (
            self.letters, self.lost, self.risen,
            self.changes, self.guessed, self.late, self.returns,
        )  # fmt: skip

    def row(self, title: str) -> str:
        return f"| {title} | " + " | ".join(f"{number:,}" for number in self.numbers) + " |"


def runs(name: str, seed: int) -> Total:
    """Run one world `RUNS` times, from ``seed`` on."""
    habit, total = Habit(), Total()
    for number in range(seed, seed + RUNS):
        world = World(number, WORLDS[name], habit)
        world.run()
        total.add(world)
    return total


def main() -> None:
    """Print the table, a row as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--letters", type=int, default=100_000, help="letters typed in all worlds")
    parser.add_argument("--seed", type=int, default=1, help="the first of the seeds")
    parser.add_argument("--world", choices=WORLDS, action="append", help="only this one")
    options = parser.parse_args()
    names = options.world or list(WORLDS)
    print(HEAD, flush=True)
    everything = Total()
    with ProcessPoolExecutor() as pool:
        for name in names:
            total = _enough(pool, name, options.seed, options.letters // len(names))
            print(total.row(name), flush=True)
            everything += total
    print(everything.row("all"))


def _enough(pool: ProcessPoolExecutor, name: str, seed: int, letters: int) -> Total:
    total = Total()
    for seeds in _batches(seed):
        for more in pool.map(partial(runs, name), seeds):
            total += more
        if total.letters >= letters:
            return total
    raise AssertionError("the batches have no end")


def _batches(seed: int) -> Iterator[range]:
    for number in itertools.count():
        first = seed + 8 * RUNS * number
        yield range(first, first + 8 * RUNS, RUNS)


if __name__ == "__main__":
    main()
