"""Print what people who type at once on real React pages lose, and how late those pages are."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import sys
from contextlib import nullcontext
from pathlib import Path

from tests.react_pages.records import HEAD, LATENESS_HEAD
from tests.react_pages.stage import EDITORS, MACHINES, Cell, measure, stage
from tests.react_pages.typists import PACES
from tests.support.processes import Node, Redis, running


async def _tables(given: argparse.Namespace) -> None:
    store = Redis()
    nodes = [Node(store.url, name) for name in "ab"]
    late: list[str] = []
    with given.record.open("w") if given.record else nullcontext() as record:
        async with running(store), running(*nodes), stage(nodes, store.url) as pages:
            _say(HEAD)
            for name in itertools.product(given.editor, given.pace, given.machine):
                cell = Cell(*name, people=given.people, paints=given.paints)
                outcome, lateness = await measure(pages, cell, given.letters, given.seed, record)
                _say("\n".join([outcome.row(*name), *outcome.complaints]))
                late += lateness.rows(*name)
    _say("\n".join(["", LATENESS_HEAD, *late]))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.react_pages", description=__doc__)
    parser.add_argument("--letters", type=int, default=2000, help="in each line of the table")
    parser.add_argument("--editor", nargs="+", choices=EDITORS, default=EDITORS)
    parser.add_argument("--pace", nargs="+", choices=PACES, default=PACES)
    parser.add_argument("--machine", nargs="+", choices=MACHINES, default=["idle"])
    parser.add_argument("--people", type=int, default=2, help="in each room")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(2)))
    parser.add_argument("--record", type=Path, help="file for all that happens, as JSON lines")
    parser.add_argument("--paints", action="store_true", help="time the frames too")
    asyncio.run(_tables(parser.parse_args()))


if __name__ == "__main__":
    main()
