"""The dead-letter list on the command line: ``python -m collab.webhooks``.

It reads REDIS_URL from the environment (or its file), as a node does, and no text is printed unless
``show`` asks for it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence

import orjson

from collab.config import Config
from collab.errors import CollabError
from collab.metrics import Metrics
from collab.store.store import Store
from collab.webhooks.outbox import Letter, Outbox


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m collab.webhooks",
        description="The webhooks that no attempt has delivered.",
    )
    todo = parser.add_subparsers(dest="todo", required=True)
    todo.add_parser("list", help="print a line of JSON for each, the oldest first")
    show = todo.add_parser("show", help="print what would be sent")
    show.add_argument("id")
    replay = todo.add_parser("replay", help="let the nodes deliver them again")
    replay.add_argument("id", nargs="*", help="those that are meant")
    replay.add_argument("--all", action="store_true", help="all that are in the list now")
    return parser


def _line(letter: Letter) -> bytes:
    """Return what `list` prints of a letter."""
    told = orjson.loads(letter.body)
    return orjson.dumps(
        {
            "id": letter.id,
            "type": told["type"],
            "room": told["data"]["room"],
            "made_at": told["timestamp"],
            "died_at": letter.died,
            "reason": letter.reason,
            "bytes": len(letter.body),
        }
    )


async def _answer(outbox: Outbox, given: argparse.Namespace) -> list[bytes]:
    """Return the lines to print."""
    if given.todo == "replay" and not given.all:
        return [b"%d replayed" % await outbox.replay(given.id)]
    letters = await outbox.letters()
    if given.todo == "replay":
        return [b"%d replayed" % await outbox.replay([letter.id for letter in letters])]
    if given.todo == "show":
        return [letter.body for letter in letters if letter.id == given.id]
    return [_line(letter) for letter in letters]


async def _run(given: argparse.Namespace) -> list[bytes]:
    config = Config.from_env(os.environ)
    if not config.redis_url:
        raise CollabError("REDIS_URL is not given: a private Redis is only its node's")
    store = Store(config.redis_url, config.node_id, config.redis_timeout, Metrics())
    try:
        await store.open(wait=0.0)
        return await _answer(Outbox(store, ""), given)
    finally:
        await store.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return 0, or 1 if there is nothing of it or Redis is away."""
    given = _parser().parse_args(arguments)
    try:
        lines = asyncio.run(_run(given))
    except CollabError as problem:
        print(problem, file=sys.stderr)
        return 1
    sys.stdout.buffer.write(b"".join(line + b"\n" for line in lines))
    return 0 if lines or given.todo == "list" else 1


if __name__ == "__main__":
    sys.exit(main())
