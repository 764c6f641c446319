"""``python -m tests.abuse`` runs attacks at full size, and prints what each did to others.

It ends with 1 if a promise was broken.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

from tests.abuse.attacks import ATTACKS
from tests.abuse.findings import HEAD
from tests.abuse.fuzz import FUZZERS
from tests.abuse.trial import SAME_ADDRESS, try_attack
from tests.support.processes import Redis, running

ALL = {**ATTACKS, **FUZZERS}


def _print_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def _run(given: argparse.Namespace) -> bool:
    """Run attacks one after another; return whether all promises were kept."""
    kept = True
    _print_line(f"seed {given.seed}\n")
    _print_line(HEAD)
    server = Redis()
    async with running(server):
        for name in given.attacks:
            findings = await try_attack(
                ALL[name], server, full=not given.small, address=given.address, seed=given.seed
            )
            _print_line(findings.row())
            kept &= not findings.broken_promises()
    return kept


def main() -> int:
    """Run the attacks that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.abuse", description=__doc__)
    parser.add_argument("--small", action="store_true", help="at the sizes of `make test`")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(2)))
    parser.add_argument(
        "--address", default=SAME_ADDRESS, metavar="127.0.0.N",
        help="the address that attacks come from; the others are at 127.0.0.1",
    )  # fmt: skip
    parser.add_argument(
        "attacks", nargs="*", default=list(ALL), metavar="attack",
        help="; ".join(f"{name}: {attack.title}" for name, attack in ALL.items()),
    )  # fmt: skip
    given = parser.parse_args()
    if unknown := set(given.attacks) - ALL.keys():
        parser.error(f"there is no attack {', '.join(unknown)}")
    return 0 if asyncio.run(_run(given)) else 1


if __name__ == "__main__":
    sys.exit(main())
