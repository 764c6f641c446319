"""What clients may use of a node: the bytes that they send, the time that these take, and memory.

Each connection has a `Meter`. What it sends is charged by its size before it is parsed, and by the
time that it took when it has been handled. All its charges also go to budgets that it shares: of
its address, of its subject, of the rooms that it is in, and of the node. `Budgets` has all meters
of a node.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from math import inf
from typing import Final

from collab.addresses import UNKNOWN
from collab.bucket import BURST, Budget, NodeBudget
from collab.config import Config
from collab.errors import CollabError, NodeFull, RateLimited
from collab.pace import Pace
from collab.scheduler import Scheduler

BREAK: Final = 1.0
"""A connection that was over its budget has made a break when it is down to so many seconds' worth.
A client that always sends as soon as it may is never down to much less than `BURST`."""
LIGHT: Final = 0.5
"""A connection that has used less than this many seconds' worth of its own budget never waits
because of others with which it shares one: typing uses a fiftieth."""
MAX_WAIT: Final = 1.0
"""Seconds of one wait; then it is computed again."""
MAX_LEFT: Final = 256
"""Meters of ended connections that a shared budget remembers; each is full again after seconds."""
MAX_IDLE: Final = 1024
"""Addresses, subjects or rooms that are remembered before those that use nothing are removed."""
ROOMY: Final = 0.9
"""Below the limit, so that not every byte after that is a reason to look at all connections."""
CROWDED: Final = 0.25
"""The part of the limit that messages may take which were read and not handled. Above it, what the
clients send waits in their sockets: a node that has too much to do is slow, and lets nobody go."""
SUBJECT_TIMES: Final = 1.5
ADDRESS_TIMES: Final = 2.5
ROOM_TIMES: Final = 2.5
"""The budgets of a subject, an address and a room, in budgets of one connection. An address may be
a campus, and a room a lecture: a shared budget slows down only those of its connections that use
most (`LIGHT`)."""

OnLetGo = Callable[[str], None]
"""Is told the error code with which a client is let go."""
LetGo = Callable[[CollabError], None]
"""Ends a connection soon, and sends its client the reason. It is called in the middle of other
work, so it must not do so at once."""


def _ignore(problem: CollabError) -> None:
    pass


def _nothing() -> None:
    pass


def _count_nothing(code: str) -> None:
    pass


class Shared(Budget):
    """The budget of a subject, an address or a room, for all its connections together.

    It remembers what ended connections have used: the next connection begins with the most used of
    their budgets. So a new connection renews nothing.
    """

    __slots__ = ("connections", "left")

    def __init__(self, times: float) -> None:
        super().__init__(times)
        self.connections = 0
        self.left: list[Meter] = []

    def add(self, meter: Meter) -> None:
        """Add a connection; it takes over what an ended one has used."""
        self.connections += 1
        if self.left:
            now = meter.budgets.clock()
            self.left = [left for left in self.left if not left.is_full(now)]
            if self.left:
                most = max(self.left, key=lambda left: left.full_at)
                self.left.remove(most)
                meter.take_over(most)

    def remove(self, meter: Meter) -> None:
        """Remove a connection that has ended."""
        self.connections -= 1
        if not meter.is_full(meter.budgets.clock()):
            self.left.append(meter)
            del self.left[:-MAX_LEFT]

    def is_unused(self, now: float) -> bool:
        """Whether it has no connections, and nothing of it is used."""
        idle = not self.connections and self.full_at <= now
        return idle and all(left.is_full(now) for left in self.left)


class Meter(Budget):
    """What one connection has used, and the bytes that the node holds for it.

    A client that is over its budget for ``patience`` seconds without a break is let go.
    """

    __slots__ = (
        "_closed", "_over_since", "_paces", "_patience", "_payers", "_shared", "budgets", "held",
        "let_go", "limited",
    )  # fmt: skip

    def __init__(
        self, budgets: Budgets, let_go: LetGo, patience: float, *, limited: bool = True
    ) -> None:
        super().__init__(1.0 if limited else inf)
        self.limited = limited
        self.budgets = budgets
        self.let_go = let_go
        self.held = 0
        self._payers: list[Budget] = [budgets.node]
        self._shared: list[Shared] = []
        self._patience = patience
        self._over_since: float | None = None
        self._paces: dict[str, Pace] = {}
        self._closed = False

    def charge(self, cost: float, now: float) -> None:
        """Charge the connection, and all budgets that it shares."""
        node = self.budgets.node
        node.used += cost * node._share
        for payer in self._payers:
            payer.full_at = max(now, payer.full_at) + cost * payer._share
        if self.full_at - now <= BREAK:
            self._over_since = None
        self.full_at = max(now, self.full_at) + cost * self._share

    def spend(self, size: int, busy: float, now: float) -> float:
        """Charge ``size`` bytes and ``busy`` seconds.

        Returns how many seconds nothing more may be read of the connection; mostly 0.
        """
        budgets = self.budgets
        self.charge(size * budgets.byte_price + busy * budgets.busy_price, now)
        return 0.0 if self.full_at - now <= LIGHT else self.wait(now)

    def wait(self, now: float) -> float:
        """Return how many seconds nothing more may be read of the connection."""
        own = self.full_at - now
        if own <= LIGHT:
            return 0.0
        if own <= BURST:
            own = max(payer.overdraft(now) for payer in self._payers) + BURST
        elif self._over_since is None:
            self._over_since = now
        elif now - self._over_since > self._patience:
            self.end(RateLimited("the client has sent too much for too long"))
        return min(max(own - BURST, 0.0), MAX_WAIT)

    def used_after(self, cost: float, now: float) -> float:
        """Return when the fullest of the client's budgets would be full again after ``cost`` more.

        These are its own, that of its address, and that of its subject.
        """
        return max(budget.full_after(cost, now) for budget in (self, *self._shared))

    def pace(self, kind: str, patience: float) -> Pace:
        """Return the rate limit of one kind of events (`Pace`)."""
        pace = self._paces.get(kind)
        if pace is None:
            pace = self._paces[kind] = Pace(self.budgets.events_per_second, patience)
        return pace

    def hold(self, size: int) -> None:
        """Count ``size`` bytes more that the node holds for the client; negative: fewer."""
        if self._closed:
            return
        self.held += size
        self.budgets.held += size
        if size > 0 and self.budgets.held > self.budgets.max_held:
            self.budgets.free()

    def share(self, shared: Shared) -> None:
        """Let another budget be charged too. A second call does nothing."""
        if shared not in self._shared:
            shared.add(self)
            self._payers.append(shared)
            self._shared.append(shared)

    def enter(self, room: Shared) -> None:
        """Let the budget of a room be charged too, until `leave`. A second call does nothing."""
        if room not in self._payers:
            room.connections += 1
            self._payers.append(room)

    def leave(self, room: Shared) -> None:
        """Charge the budget of a room no more. A second call does nothing."""
        if room in self._payers:
            room.connections -= 1
            self._payers.remove(room)

    def take_over(self, left: Meter) -> None:
        """Take over what an ended connection of the same client has used."""
        self.full_at = max(self.full_at, left.full_at)
        self._paces = {**self._paces, **left._paces}

    def replace(self, old: Meter) -> None:
        """Become the meter of a connection that had another one until now."""
        self.take_over(old)
        old.full_at, old._paces = -inf, {}
        old.close()

    def is_full(self, now: float) -> bool:
        """Whether nothing of the budget is used."""
        return self.full_at <= now and all(pace.is_full(now) for pace in self._paces.values())

    def close(self) -> None:
        """Handle that the connection has ended. A second call does nothing."""
        if self._closed:
            return
        self.hold(-self.held)
        self._closed = True
        self.budgets.meters.discard(self)
        for shared in self._shared:
            shared.remove(self)
        self.let_go = _ignore  # it refers to the connection

    def end(self, problem: CollabError) -> None:
        """Let the client go, because of ``problem``."""
        if not self._closed:
            let_go = self.let_go
            self.close()
            self.budgets.on_let_go(problem.code)
            let_go(problem)


class Budgets:
    """The budgets of all connections of a node, and the bytes that it holds for all of them.

    ``clock`` returns monotonic seconds.
    """

    def __init__(self, config: Config, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.scheduler = Scheduler()
        self.byte_price = 1 / config.max_bytes_per_second
        self.busy_price = 1 / config.max_busy
        self.events_per_second = config.max_changes_per_second
        self.max_held = config.max_held_bytes
        self.held = 0
        self.unread = 0
        """Bytes of all clients that were read from their sockets, and are not handled."""
        self.meters: set[Meter] = set()
        self.on_freed: Callable[[], None] = _nothing
        """Called when clients were let go because of what the node held for them."""
        self.on_let_go: OnLetGo = _count_nothing
        """Called with the reason's code when a client is let go for what it uses."""
        self.node = NodeBudget()
        self.proxies = config.trusted_proxies
        self._patience = config.max_over_budget
        self._addresses = _Known(self, ADDRESS_TIMES)
        self._subjects = _Known(self, SUBJECT_TIMES)
        self._rooms = _Known(self, ROOM_TIMES)

    @property
    def is_crowded(self) -> bool:
        """Whether so much is not handled yet that clients should be read in turns only."""
        return self.unread > CROWDED * self.max_held

    def count_over(self) -> int:
        """Return how many connections are over their own budget now."""
        limit = self.clock() + BURST
        return sum(meter.full_at > limit for meter in self.meters)

    def open(self, address: str, let_go: LetGo = _ignore, patience: float | None = None) -> Meter:
        """Return the meter of a new connection from ``address``."""
        meter = Meter(self, let_go, self._patience if patience is None else patience)
        self.meters.add(meter)
        if address != UNKNOWN:
            meter.share(self._addresses.find(address))
        return meter

    def open_proxy(self, let_go: LetGo) -> Meter:
        """Return the meter of a proxy's connection: it has many clients, so it has no limit."""
        meter = Meter(self, let_go, inf, limited=False)
        self.meters.add(meter)
        return meter

    def address_of(self, peer: str | None, forwarded_for: Sequence[str] = ()) -> str:
        """Return a client's address, given the peer and the request's X-Forwarded-For headers."""
        return self.proxies.client_of(peer, ",".join(forwarded_for))

    def of_address(self, address: str) -> Sequence[Budget]:
        """Return what a request from ``address`` is charged to, if not to its connection."""
        return [self.node] if address == UNKNOWN else [self._addresses.find(address), self.node]

    def cost(self, busy: float) -> float:
        """Return the cost of ``busy`` seconds: 1 is what one connection may use in a second."""
        return busy * self.busy_price

    def set_subject(self, meter: Meter, subject: str) -> None:
        """Charge a person too: ``subject`` has proved who it is, on whatever connections."""
        meter.share(self._subjects.find(subject))

    def of_room(self, room: str) -> Shared:
        """Return the budget of a room's members, for `Meter.enter` and `Meter.leave`."""
        return self._rooms.find(room)

    def free(self) -> None:
        """Let go the clients for whom the node holds most, until it holds `ROOMY` of the limit."""
        for most in sorted(self.meters, key=lambda meter: meter.held, reverse=True):
            if self.held <= ROOMY * self.max_held:
                break
            most.end(NodeFull("this node holds too much for its clients, and most for this one"))
        self.on_freed()


class _Known:
    """The shared budgets of all addresses, subjects or rooms that a node has to remember."""

    def __init__(self, budgets: Budgets, times: float) -> None:
        self._budgets = budgets
        self._times = times
        self._by_key: dict[str, Shared] = {}
        self._most = MAX_IDLE

    def find(self, key: str) -> Shared:
        """Return the budget of an address, a subject or a room."""
        shared = self._by_key.get(key)
        if shared is None:
            if len(self._by_key) >= self._most:
                self._remove_unused()
            shared = self._by_key[key] = Shared(self._times)
        return shared

    def _remove_unused(self) -> None:
        now = self._budgets.clock()
        self._by_key = {key: each for key, each in self._by_key.items() if not each.is_unused(now)}
        self._most = max(MAX_IDLE, 2 * len(self._by_key))
