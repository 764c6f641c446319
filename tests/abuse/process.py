"""``python -m tests.abuse.process NAME SIZE PORT REDIS ADDRESS SEED``: the process of an attack.

At the first line of its input it makes what the attack needs, and prints ``ready``. At the second
it attacks, and prints ``done`` when it has done everything. It keeps its connections open until the
input ends, and then prints its account.
"""

from __future__ import annotations

import asyncio
import os
import sys

from tests.abuse.account import Refused
from tests.abuse.attack import Act
from tests.abuse.attacks import ATTACKS
from tests.abuse.fuzz import FUZZERS
from tests.abuse.offender import Offender

NICENESS = 10
"""An attack comes from another machine: it must not take the processor from the node."""


def _print_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def _attack(act: Act, size: int, offender: Offender) -> None:
    steps = act(offender, size)
    await _read_line()
    try:
        await anext(steps)
        _print_line("ready")
        await _read_line()
        offender.account.served = 0  # what came before was no attack
        async for _ in steps:
            raise AssertionError("an attack has one beginning")
    except Refused:
        pass
    _print_line("done")
    await _read_line()
    await offender.close()
    _print_line(offender.account.to_json())


async def _main(name: str, size: str, port: str, redis_url: str, address: str, seed: str) -> None:
    attack = {**ATTACKS, **FUZZERS}[name]
    await _attack(attack.act, int(size), Offender(int(port), redis_url, address, int(seed)))


async def _read_line() -> None:
    await asyncio.to_thread(sys.stdin.readline)


if __name__ == "__main__":
    os.nice(NICENESS)
    asyncio.run(_main(*sys.argv[1:]))
