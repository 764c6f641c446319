"""``python -m tests.storm`` shows for a minute what servers do to the same typing.

Two people type at once in each of some rooms, through links of 60 ms: on the obvious server, on
this service and, with ``--url``, on any server that speaks the same contract. It ends with 1 if
this service (with ``--alone``: the server of the URL) does not keep every letter, and with 2 if a
server can't be used.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from contextlib import AsyncExitStack

from collab.errors import CollabError
from tests.storm.contest import (
    SECONDS,
    Server,
    Storm,
    obvious_server,
    play,
    server_at,
    this_service,
)
from tests.storm.display import Display
from tests.storm.page import Refused

EXIT_LOST, EXIT_UNUSABLE, EXIT_INTERRUPTED = 1, 2, 130


async def _run(given: argparse.Namespace) -> int:
    storm = Storm(given.seconds, given.seed, given.room)
    async with AsyncExitStack() as stack:
        servers: list[Server] = []
        if not given.alone:
            obvious = await stack.enter_async_context(obvious_server())
            ours = await stack.enter_async_context(this_service())
            servers = [server_at(obvious, "the obvious server"), server_at(ours, "this service")]
        if given.url:
            servers.append(server_at(given.url, given.url, given.token))
        display = Display(storm, servers, sys.stdout)
        display.begin()
        await play(storm, servers, display.show)
        display.end()
    judged = servers[0] if given.alone else servers[1]
    return 0 if judged.tally.kept else EXIT_LOST


def _seconds(value: str) -> float:
    seconds = float(value)
    if not 1 <= seconds <= 600:
        raise argparse.ArgumentTypeError("it must be between 1 and 600")
    return seconds


def main() -> int:
    """Run the storm that the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.storm", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("--seconds", type=_seconds, default=SECONDS, help="of typing (40)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed: the same typing (1)")
    parser.add_argument(
        "--url", default=os.environ.get("STORM_URL", ""),
        help="another server, beside the two: http://host:port [STORM_URL]",
    )  # fmt: skip
    parser.add_argument("--alone", action="store_true", help="only the server of --url")
    parser.add_argument(
        "--token", default=os.environ.get("STORM_TOKEN", ""),
        help="a token for the server of --url and rooms storm-* [STORM_TOKEN: nobody else sees it]",
    )  # fmt: skip
    parser.add_argument(
        "--room", default="", help="type in this empty room alone: for a token of one room"
    )
    given = parser.parse_args()
    if given.alone and not given.url:
        parser.error("--alone needs --url")
    try:
        if given.url:
            server_at(given.url, "")  # says at once what is wrong with it
        return asyncio.run(_run(given))
    except (Refused, CollabError) as problem:
        sys.stderr.write(f"storm: {problem}\n")
    except TimeoutError:
        sys.stderr.write("storm: a server hangs: the storm took too long\n")
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return EXIT_UNUSABLE


if __name__ == "__main__":
    sys.exit(main())
