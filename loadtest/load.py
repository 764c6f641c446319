"""One load on a server: rooms in which one member types at a fixed rate, and what came of it."""

import asyncio
import gc
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from loadtest.members import Member, Room, TextMember, YjsMember, clock
from loadtest.processes import Meter, Usage

AT_ONCE = 50
"""Clients that connect at the same time, unless a load is about that."""
BURST = 64
"""Letters that are sent, if they are late, before what arrives is read again."""
KINDS: dict[str, type[Member]] = {"text": TextMember, "yjs": YjsMember}


class Unusable(Exception):
    """The load could not begin, so there is nothing to measure."""


@dataclass(frozen=True)
class Load:
    """What a load consists of. `rate` is letters a second in each room, `size` the text's bytes.

    The text is that long at the beginning. What happens in the first `warm_up` seconds is not
    measured, but must arrive all the same. After the last letter everything must have arrived
    within `patience` seconds.
    """

    rooms: int
    kind: str = "text"
    members: int = 2
    rate: float = 5.0
    size: int = 2000
    warm_up: float = 3.0
    seconds: float = 8.0
    patience: float = 10.0


@dataclass
class Outcome:
    """What came of a load.

    Times are in milliseconds, from the call that sends a letter to the arrival of a text with it.
    `lost` are letters that a member did not show in the end, `wrong` members whose last text is not
    what was typed. `lateness` is the 99th percentile of how late letters were typed.
    """

    changes: int
    delivered: int
    lost: int
    wrong: int
    errors: list[str]
    p50: float
    p99: float
    p999: float
    lateness: float
    usage: Usage
    texts: dict[str, str] = field(repr=False)

    @property
    def server_us(self) -> float:
        """CPU microseconds of all server processes for one change."""
        return 1e6 * sum(self.usage.servers) / self.changes

    @property
    def redis_us(self) -> float:
        return 1e6 * self.usage.redis / self.changes

    @property
    def nothing_lost(self) -> bool:
        return not (self.lost or self.wrong or self.errors)


async def run_load(
    load: Load,
    ports: Sequence[int],
    meter: Meter,
    *,
    prefix: str = "bench",
) -> Outcome:
    """Let people type through the servers on these ports, and return what came of it.

    Member number i of room r is connected to server r + i, so with several servers no room is on
    one alone. Raises Unusable if not everybody got in.
    """
    rooms = [Room(f"{prefix}-{number}", load.size) for number in range(load.rooms)]
    members = await connect_members(load, rooms, ports)
    everybody = [member for group in members for member in group]
    try:
        await write_first_texts(members, load.patience)
        gc.collect()
        gc.freeze()
        gc.disable()
        before, after, lateness = await type_letters(load, members, meter)
        await settle(members, load.patience)
    finally:
        gc.enable()
        gc.unfreeze()
        for member in everybody:
            member.close()
    start, end = before.at, after.at
    changes = sum(start <= at < end for room in rooms for at in room.typed_at)
    delays = sorted(1e3 * delay for room in rooms for at, delay in room.delays if start <= at < end)
    readers = [member for group in members for member in group[1:]]
    return Outcome(
        changes=changes,
        delivered=len(delays),
        lost=sum(len(member.room.typed_at) - member.shown for member in readers),
        wrong=sum(member.final_text() != member.room.text for member in readers),
        errors=[member.error for member in everybody if member.error],
        p50=percentile(delays, 0.5),
        p99=percentile(delays, 0.99),
        p999=percentile(delays, 0.999),
        lateness=1e3 * percentile(sorted(lateness), 0.99),
        usage=after - before,
        texts={room.name: room.text for room in rooms},
    )


async def connect_members(
    load: Load, rooms: Sequence[Room], ports: Sequence[int]
) -> list[list[Member]]:
    """Return the members of each room, joined."""
    few = asyncio.Semaphore(AT_ONCE)

    async def enter(room: Room, port: int) -> Member:
        async with few:
            return await KINDS[load.kind].enter(room, port)

    try:
        return [
            list(group)
            for group in await asyncio.gather(
                *(
                    asyncio.gather(
                        *(
                            enter(room, ports[(number + seat) % len(ports)])
                            for seat in range(load.members)
                        )
                    )
                    for number, room in enumerate(rooms)
                )
            )
        ]
    except OSError as problem:
        raise Unusable(f"not everybody got in: {problem!r}") from problem


async def write_first_texts(members: Sequence[Sequence[Member]], patience: float) -> None:
    """Write the text of each room; return when all its members show it."""
    for writer, *_ in members:
        writer.write_text()
    try:
        async with asyncio.timeout(patience):
            for _, *readers in members:
                for reader in readers:
                    await reader.first_text
    except OSError as problem:
        raise Unusable(f"a first text did not arrive: {problem!r}") from problem


async def type_letters(
    load: Load, members: Sequence[Sequence[Member]], meter: Meter
) -> tuple[Usage, Usage, list[float]]:
    """Type at the load's rate, whether the server keeps up or not.

    Returns what was used until the beginning and the end of what is measured, and how late the
    letters in between were.
    """
    # The rooms take turns in a random order with random pauses: in step they would be one burst.
    order = list(members)
    chance = random.Random(1)
    chance.shuffle(order)
    phases = sorted(chance.random() / load.rate for _ in order)
    start = clock() + 0.05
    begin, end = start + load.warm_up, start + load.warm_up + load.seconds
    before: Usage | None = None
    lateness: list[float] = []
    number = 0
    while True:
        turn, place = divmod(number, len(order))
        due = start + turn / load.rate + phases[place]
        now = clock()
        if due > now or number % BURST == 0:
            await asyncio.sleep(max(0.0, due - now))
            now = clock()
        if before is None and due >= begin:
            before = meter.read()
        if due >= end:
            break
        if before is not None:
            lateness.append(now - due)
        writer = order[place][0]
        writer.room.typed_at.append(clock())
        writer.type_letter()
        number += 1
    assert before is not None
    return before, meter.read(), lateness


async def settle(members: Sequence[Sequence[Member]], patience: float) -> None:
    """Wait until all members show all letters, but not for ever."""
    deadline = clock() + patience
    readers = [member for group in members for member in group[1:]]
    while clock() < deadline:
        readers = [member for member in readers if member.shown < len(member.room.typed_at)]
        if not readers:
            return
        await asyncio.sleep(0.1)


def percentile(values: Sequence[float], share: float) -> float:
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0.0
