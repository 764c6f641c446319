"""How much of something that is costly for all may be used a minute by each who uses it."""

from __future__ import annotations

import asyncio
from typing import Final

from collab.errors import RateLimited
from collab.rooms.identity import Identity

WINDOW: Final = 60.0
"""Seconds whose amount may be used at once."""
LIGHT: Final = 1 / 64
"""The part of its quota that a client may use without waiting because of others at its address: a
client that writes 128 KiB a minute types without a pause."""
MAX_WAIT: Final = 5.0
"""Seconds that a client waits at most until it may use more: its heartbeats wait with it."""
MAX_IDLE: Final = 1024
"""Clients or addresses that are remembered before those are forgotten that use nothing now."""


class Quota:
    """``per_minute`` for each person, and for all clients of an address who prove no person.

    Times are monotonic seconds. What is used is known only afterwards, so a client may overdraw its
    quota, and must then wait. Small amounts are counted when they add up to ``together``.
    """

    def __init__(self, per_minute: float, together: float = 0.0) -> None:
        self._together = together
        self._uncounted: dict[str, float] = {}
        self._own = _Ledger(per_minute)
        self._light = _Ledger(LIGHT * per_minute)
        self._addresses = _Ledger(per_minute)

    def spend(self, client: Identity, amount: float, now: float) -> None:
        """Use ``amount``; a negative amount gives back what was not needed."""
        if self._together:
            amount += self._uncounted.pop(client.subject, 0.0)
            if amount < self._together:
                if len(self._uncounted) >= MAX_IDLE:
                    self._uncounted.clear()  # most of these have left, and used little
                self._uncounted[client.subject] = amount
                return
        self._own.spend(client.subject, amount, now)
        if client.address:
            self._light.spend(client.subject, amount, now)
            self._addresses.spend(client.address, amount, now)

    def overdraft(self, client: Identity, now: float) -> float:
        """Return how many seconds a client must wait until it may use more: 0 mostly."""
        own = self._own.overdraft(client.subject, now)
        if self._light.overdraft(client.subject, now):
            return max(own, self._addresses.overdraft(client.address, now))
        return own

    async def wait(self, client: Identity, now: float) -> bool:
        """Wait until a client may use more; return whether it had to. Raises RateLimited."""
        overdraft = self.overdraft(client, now)
        if overdraft > MAX_WAIT:
            raise RateLimited("this client, or others at its address, used too much in a minute")
        if overdraft:
            await asyncio.sleep(overdraft)
        return overdraft > 0


class _Ledger:
    """What each payer has used of ``per_minute``: the generic cell rate algorithm."""

    def __init__(self, per_minute: float) -> None:
        self._price = WINDOW / per_minute
        self._full_at: dict[str, float] = {}
        self._most = MAX_IDLE

    def __len__(self) -> int:
        return len(self._full_at)

    def spend(self, payer: str, amount: float, now: float) -> None:
        if payer not in self._full_at and len(self._full_at) >= self._most:
            self._full_at = {each: full for each, full in self._full_at.items() if full > now}
            self._most = max(MAX_IDLE, 2 * len(self._full_at))
        self._full_at[payer] = max(self._full_at.get(payer, now), now) + amount * self._price

    def overdraft(self, payer: str, now: float) -> float:
        """Return the seconds until less is used than may be used at once."""
        return max(0.0, self._full_at.get(payer, now) - now - WINDOW)
