"""What an attack did to others, and which of the service's promises it broke."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.abuse.account import Account
from tests.abuse.attack import Attack
from tests.abuse.bystanders import Arrival, Waits

LONGEST_WAIT = 0.1
"""Seconds that a change of the pair may take to its partner."""
BUSY_FACTOR = 4
"""On a busy machine the longest wait may be this many times that of the calm before the attack."""
KEPT = 50
"""Megabytes that the node may keep."""

HEAD = (
    "| attack | longest wait, calm | longest wait | p99 | MB at the peak | MB kept | newcomers in "
    "| slowest | MB to Redis | commands/s afterwards | the offender was told | broken promises |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident megabytes of the node before an attack, at its peak, and some seconds after it."""

    before: int
    peak: int
    after: int

    @property
    def kept(self) -> int:
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class RedisCost:
    """Megabytes that Redis received in the attack, and commands a second after it."""

    megabytes: float
    commands_afterwards: float


@dataclass(frozen=True, slots=True)
class Findings:
    """What one attack did.

    ``during`` has the pair's waits in the attack, ``afterwards`` those while the offender keeps its
    connections open. ``complaints`` are lines of the node's log that report an error.
    """

    attack: Attack
    calm: Waits
    during: Waits
    afterwards: Waits
    memory: Memory
    redis: RedisCost
    arrivals: Sequence[Arrival]
    account: Account
    complaints: Sequence[str]

    @property
    def longest_wait(self) -> float:
        return max(self.during.longest, self.afterwards.longest)

    def broken_promises(self) -> list[str]:
        """Return a sentence for each promise that the service did not keep."""
        limit = max(LONGEST_WAIT, BUSY_FACTOR * self.calm.longest)
        trouble = Counter([*self.during.trouble, *self.afterwards.trouble])
        refused = Counter(arrival.refused for arrival in self.arrivals if arrival.refused)
        broken = []
        if self.longest_wait >= limit:
            broken.append(
                f"a change waited {self.longest_wait * 1000:.0f} ms, more than {limit * 1000:.0f}"
            )
        if self.memory.kept >= KEPT and not self.attack.is_fuzz:
            broken.append(f"the node keeps {self.memory.kept} MB")
        broken += [f"the pair met {what} x{count}" for what, count in trouble.items()]
        broken += [f"a newcomer met {what} x{count}" for what, count in refused.items()]
        if not self.arrivals:
            broken.append("nobody came")
        if self.attack.hears:
            broken += [f"no reason: {what} x{n}" for what, n in self.account.unstated.items()]
            if not (self.account.served or self.account.reasons or self.account.unstated):
                broken.append("the offender got no answer at all")
        broken += [f"the log has … {line[-300:]}" for line in self.complaints[:3]]
        return broken

    def row(self) -> str:
        """Return a row of the table whose head is `HEAD`."""
        came = [arrival for arrival in self.arrivals if not arrival.refused]
        slowest = max((arrival.took for arrival in came), default=0.0)
        told = [f"{reason} x{count}" for reason, count in self.account.reasons.most_common(4)]
        if self.account.served:
            told.append(f"served x{self.account.served}")
        cells = (
            self.attack.title, _ms(self.calm.longest), _ms(self.longest_wait),
            _ms(self.during.p99), self.memory.peak - self.memory.before, self.memory.kept,
            f"{len(came)} of {len(self.arrivals)}", _ms(slowest), f"{self.redis.megabytes:.0f}",
            f"{self.redis.commands_afterwards:.0f}", "; ".join(told),
            "; ".join(self.broken_promises()) or "none",
        )  # fmt: skip
        return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
