"""One room with very many members: `python -m loadtest.bigrooms --help`.

Readers come in a few seconds while others type, watch, and leave at once.
"""

import argparse
import asyncio
import gc
import random
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import redis
import uvloop

from loadtest.bench import NOISY, TIRED, describe_machine
from loadtest.crowd import BigRoom, LazyReader, Reader, Typist
from loadtest.load import percentile
from loadtest.members import clock
from loadtest.processes import (
    SERVICE,
    Cores,
    Meter,
    Redis,
    Usage,
    pin,
    redis_server,
    service,
    stop_on_sigterm,
)

WARM_UP, SECONDS, LEAVING = 3.0, 15.0, 5.0
PATIENCE = 30.0
AT_ONCE = 200
STAY = 0.1
"""The part of the readers that stays when the others leave."""
WITNESSES = 4
MEMBERS = {"COLLAB_MAX_MEMBERS_PER_ROOM": "5000"}


@dataclass(frozen=True)
class Crowd:
    """Who is in the room; a typist makes ``rate`` letters a second."""

    typists: int
    readers: int = 0
    lazy: int = 0
    nodes: int = 1
    rate: float = 5.0
    size: int = 2000
    seconds: float = SECONDS

    def __str__(self) -> str:
        readers = f", {self.readers} readers" if self.readers else ""
        nodes = "one node" if self.nodes == 1 else f"{self.nodes} nodes"
        return f"{self.typists} typists at {self.rate:g}/s{readers}, {nodes}"


CROWDS = {
    "typists-100": Crowd(100, nodes=2, rate=1.0),
    "readers-100": Crowd(2, 100, lazy=5),
    "readers-300": Crowd(2, 300, lazy=10),
    "readers-1000": Crowd(2, 1000, lazy=20, nodes=4),
}


@dataclass
class Phase:
    """What came of a part of the time. Times are in milliseconds, sizes in bytes."""

    name: str
    usage: Usage
    receives: int
    sent: int
    presence: int
    typists: Sequence[float]
    stored: Sequence[float]
    readers: Sequence[float]

    def line(self) -> str:
        seconds = self.usage.at
        busy = sum(self.usage.servers)
        cells = (
            self.name, f"{seconds:.1f} s", f"{busy / seconds:.0%}",
            f"{self.receives / seconds:.0f}",
            f"{1e6 * busy / self.receives:.0f}" if self.receives else "",
            *(_times(delays) for delays in (self.typists, self.stored, self.readers)),
            f"{self.sent / 1e6 / seconds:.1f}", f"{self.presence / 1e6:.1f}",
            "; ".join(self.remarks()),
        )  # fmt: skip
        return f"| {' | '.join(cells)} |"

    def remarks(self) -> Iterator[str]:
        if self.usage.foreign_share > NOISY:
            yield f"NOISY: others used {self.usage.foreign_share:.0%} of a core"
        if self.usage.generator_share > TIRED:
            yield f"the generator used {self.usage.generator_share:.0%} of its core"


HEAD = (
    "| phase | | CPU of the nodes | receives/s | µs each | typists see p50 / p99 ms "
    "| stored p50 / p99 ms | readers see p50 / p99 ms | MB/s sent | MB presence | |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
)


def _times(delays: Sequence[float]) -> str:
    if not delays:
        return ""
    ordered = sorted(delays)
    return f"{percentile(ordered, 0.5):.1f} / {percentile(ordered, 0.99):.1f}"


@dataclass
class Outcome:
    """What came of a crowd; ``wrong`` has what a member or Redis did not get."""

    phases: list[Phase] = field(default_factory=list)
    kilobytes: float = 0.0
    receives: dict[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


class Trial:
    """A crowd in its room."""

    def __init__(self, crowd: Crowd, ports: Sequence[int], meter: Meter) -> None:
        self.crowd = crowd
        self.room = BigRoom("lecture", crowd.size, crowd.typists)
        self._ports = ports
        self._meter = meter
        self._typists: list[Typist] = []
        self._readers: list[Reader] = []
        self.outcome = Outcome()

    async def run(self) -> Outcome:
        """Let them come, watch and leave."""
        crowd = self.crowd
        self._typists = [
            await Typist.come(
                self.room, n, self._ports[n % len(self._ports)], witness=n < WITNESSES
            )
            for n in range(crowd.typists)
        ]
        first, *others = self._typists
        first.write_text()
        await asyncio.wait_for(first.stored, PATIENCE)
        for other in others:
            await asyncio.wait_for(asyncio.shield(other.first_text), PATIENCE)
        typing = asyncio.create_task(self._type())
        await asyncio.sleep(1.0)  # now it is known how long a receive is
        if crowd.readers:
            before = self._meter.resident()
            with self._phase("they come"):
                await self._come()
            await asyncio.sleep(WARM_UP)
            self.outcome.kilobytes = (self._meter.resident() - before) / crowd.readers / 1000
        await asyncio.sleep(WARM_UP)
        counts = [reader.receives for reader in self._readers]
        with self._phase("they watch" if crowd.readers else "they type"):
            await asyncio.sleep(crowd.seconds)
        self._count_receives(counts)
        if crowd.readers:
            with self._phase("most leave"):
                self._leave()
                await asyncio.sleep(LEAVING)
        typing.cancel()
        await asyncio.wait([typing])
        await self._settle()
        return self.outcome

    async def _type(self) -> None:
        """Type at the crowd's rate, whether the service keeps up or not."""
        chance = random.Random(1)
        interval = 1 / self.crowd.rate
        due = [(clock() + chance.random() * interval, n) for n in range(self.crowd.typists)]
        due.sort()
        while True:
            at, number = due.pop(0)
            await asyncio.sleep(max(0.0, at - clock()))
            self._typists[number].type_letter()
            due.append((at + interval, number))

    async def _come(self) -> None:
        few = asyncio.Semaphore(AT_ONCE)

        async def enter(number: int) -> Reader:
            kind = LazyReader if number < self.crowd.lazy else Reader
            async with few:
                return await kind.enter(self.room, self._ports[number % len(self._ports)])

        came = await asyncio.gather(*map(enter, range(self.crowd.readers)))
        self._readers = list(came)
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(asyncio.shield(reader.first_text) for reader in came))

    def _leave(self) -> None:
        stay = max(self.crowd.lazy, int(STAY * len(self._readers)))
        for reader in self._readers[stay:]:
            reader.close()
        del self._readers[stay:]

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        """Measure what happens in between."""
        gc.collect()
        gc.disable()
        everybody = [*self._typists, *self._readers]
        sums = self._sums(everybody)
        before = self._meter.read()
        try:
            yield
        finally:
            usage = self._meter.read() - before
            gc.enable()
        here = {*everybody, *self._readers}
        receives, sent, presence = (
            new - old for new, old in zip(self._sums(list(here)), sums, strict=True)
        )
        begin, end = before.at, before.at + usage.at
        normal = [each for each in self._readers if not isinstance(each, LazyReader)]

        def within(delays: Iterable[list[tuple[float, float]]]) -> list[float]:
            return [1e3 * took for each in delays for at, took in each if begin <= at < end]

        self.outcome.phases.append(
            Phase(
                name, usage, receives, sent, presence,
                typists=within(typist.delays for typist in self._typists),
                stored=within(typist.acknowledged for typist in self._typists),
                readers=within(reader.delays for reader in normal),
            )
        )  # fmt: skip

    @staticmethod
    def _sums(members: Sequence[Reader]) -> tuple[int, int, int]:
        return (
            sum(m.receives for m in members),
            sum(m.bytes for m in members),
            sum(m.presence_bytes for m in members),
        )

    def _count_receives(self, before: Sequence[int]) -> None:
        """Note how many texts a reader and a lazy one got a second."""
        kinds: dict[str, list[float]] = {"a reader": [], "a lazy reader": []}
        for reader, count in zip(self._readers, before, strict=True):
            kind = "a lazy reader" if isinstance(reader, LazyReader) else "a reader"
            kinds[kind].append((reader.receives - count) / self.crowd.seconds)
        self.outcome.receives = {
            kind: sum(rates) / len(rates) for kind, rates in kinds.items() if rates
        }

    async def _settle(self) -> None:
        """Wait until everybody shows all letters; note who does not."""
        deadline = clock() + PATIENCE
        letters = len(self.room.typed_at)
        size = len(self.room.first) + letters
        while clock() < deadline:
            waiting = any(len(typist.text) != size for typist in self._typists)
            if not waiting and all(reader.shown >= letters for reader in self._readers):
                break
            await asyncio.sleep(0.1)
        texts = {typist.text for typist in self._typists}
        texts |= {reader.final_text() for reader in self._readers}
        if len(texts) != 1 or len(texts.pop()) != size:
            self.outcome.wrong.append("not everybody shows the whole text")
        errors = [each.error for each in (*self._typists, *self._readers) if each.error]
        self.outcome.wrong += errors[:3]
        for each in (*self._typists, *self._readers):
            each.close()


def measure(crowd: Crowd, cores: Cores, command: str) -> Outcome:
    """Run a crowd on nodes of its own; print its table."""
    print(f"\n{crowd}\n", *HEAD, sep="\n", flush=True)
    with (
        redis_server(cores) as store,
        service(store, cores, nodes=crowd.nodes, command=command, **MEMBERS) as nodes,
    ):
        trial = Trial(crowd, [node.port for node in nodes], Meter(nodes, store))
        outcome = uvloop.run(trial.run())
        if not _stored(store, trial):
            outcome.wrong.append("Redis does not have the text")
    print(*(phase.line() for phase in outcome.phases), sep="\n")
    rates = ", ".join(f"{kind} got {rate:.1f} texts/s" for kind, rate in outcome.receives.items())
    if crowd.readers:
        print(f"\n{rates}; {outcome.kilobytes:.0f} kB of the nodes for each reader")
    print(*outcome.wrong, sep="\n", flush=True)
    return outcome


def _stored(store: Redis, trial: Trial) -> bool:
    size = len(trial.room.first) + len(trial.room.typed_at)
    with redis.Redis.from_url(store.url) as client:
        for _ in range(50):
            code = client.get(f"code_{trial.room.name}") or b""
            if len(code.decode()) == size:
                return True
            time.sleep(0.1)
    return False


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.bigrooms", description=__doc__,
        epilog="Exit code 1: somebody did not get the text.",
    )  # fmt: skip
    named = "; ".join(f"{name}: {crowd}" for name, crowd in CROWDS.items())
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {named}; default: all")
    parser.add_argument("--command", default=SERVICE, help="what starts a node (%(default)s)")
    options = parser.parse_args(arguments)
    names = options.rows or list(CROWDS)
    if unknown := set(names) - set(CROWDS):
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    stop_on_sigterm()
    cores = Cores.of_this_machine()
    pin(0, cores.others)
    print(*(f"{key}: {value}" for key, value in describe_machine(cores).items()), sep="\n")
    outcomes = [measure(CROWDS[name], cores, options.command) for name in names]
    return 1 if any(outcome.wrong for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
