"""Commands for a Redis Cluster: each goes to the master of its key, and follows redirects."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    ResponseError,
    TryAgainError,
)

from collab.errors import StoreUnavailable
from collab.metrics import Metrics
from collab.redis_url import Address
from collab.store.connection import Command
from collab.store.link import Call, Link, Request, Window, unavailable
from collab.store.slots import Slots, slot_of

RETRY_PAUSE: Final = 0.05
"""Seconds before a command is sent again while its slot is half moved, or the cluster is down."""
MAX_WINDOW: Final = 0.02
"""Seconds that commits gather at most, however many masters there are."""
FAST_REDIRECTS: Final = 3
"""Redirects that a command follows at once: two are usual. More of them mean that servers do not
agree yet, and a command that went back and forth without a pause would keep all of them busy."""
ELSEWHERE: Final = (AskError, TryAgainError, ClusterDownError)
"""Answers that say: somewhere else, or later. MovedError is an AskError."""


class ClusterServers:
    """The masters of a Redis Cluster, with ``count`` connections to each that is needed.

    The window in which commits gather is ``window`` seconds for each master: each of three gets a
    third of the commits, so it takes three times as long until as many can share a round trip.
    """

    def __init__(
        self, slots: Slots, count: int, timeout: float, window: float, metrics: Metrics
    ) -> None:
        self.slots = slots
        self.sharded = True
        self._count = count
        self._timeout = timeout
        self._window_of_one = window
        self._window = Window(window)
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._links: dict[Address, list[Link]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False
        slots.on_change.append(self._handle_change)
        self._set_window()

    async def open(self) -> None:
        await self.slots.open()
        places = self.slots.places()
        await asyncio.gather(*(self.call(place, "PING") for place in places))
        self.sharded = all([await self._has_sharded_channels(place) for place in places])

    async def _has_sharded_channels(self, place: str) -> bool:
        """Whether a server is a Redis 7 or later."""
        try:
            await self.call(place, "PUBSUB", "SHARDNUMSUB")
        except ResponseError:
            return False
        return True

    async def close(self) -> None:
        self._closed = True
        self.slots.on_change.remove(self._handle_change)
        links = [link for links in self._links.values() for link in links]
        self._links.clear()
        await asyncio.gather(*(link.close() for link in links), *self._closing)

    def send(self, request: Request, key: str) -> None:
        routed = _Routed(self, request, slot_of(key))
        links = self._links_of(routed.slot)
        if links is None:
            self._loop.call_soon(request.handle, _uncovered())
        else:
            links[0].send(routed)

    async def call(self, key: str, *command: str | bytes | int) -> Any:
        call = Call(command)
        routed = _Routed(self, call, slot_of(key))
        links = self._links_of(routed.slot)
        if links is None:
            raise _uncovered()
        min(links, key=lambda link: link.load).send(routed, urgent=True)
        return await call.answer

    def places(self) -> list[str]:
        return self.slots.places()

    def _links_of(self, slot: int) -> list[Link] | None:
        master = self.slots.master_of(slot)
        if master is None:
            self.slots.read_soon()
            return None
        return self._links_to(master)

    def _links_to(self, server: Address) -> list[Link]:
        links = self._links.get(server)
        if links is None:
            pool = self.slots.pool(server)
            links = self._links[server] = [
                Link(pool, self._timeout, self._metrics, self._window) for _ in range(self._count)
            ]
            if self._closed:  # they fail what they are given
                for link in links:
                    self._close_soon(link)
        return links

    def _handle_change(self) -> None:
        self._set_window()
        self._close_unused()

    def _set_window(self) -> None:
        window, masters = self._window_of_one, len(self.slots.masters())
        self._window.seconds = max(window, min(window * masters, MAX_WINDOW))

    def _close_unused(self) -> None:
        """Close the connections to servers that are no masters any more."""
        for server in self._links.keys() - self.slots.masters():
            for link in self._links.pop(server):
                self._close_soon(link)

    def _close_soon(self, link: Link) -> None:
        closing = asyncio.create_task(self._close_when_idle(link))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _close_when_idle(self, link: Link) -> None:
        """Let a former master answer what it was asked: it answers with redirects."""
        while link.load and not self._closed:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(RETRY_PAUSE)
        await link.close()

    # Redirects

    def redirect(self, routed: _Routed, answer: ResponseError) -> None:
        """Send a command again, where and when ``answer`` says; it fails if its time is over."""
        now = self._loop.time()
        routed.redirects += 1
        if routed.deadline == 0.0:
            routed.deadline = now + self._timeout
        at_once = isinstance(answer, AskError) and routed.redirects <= FAST_REDIRECTS
        if isinstance(answer, MovedError):
            self.slots.moved(routed.slot, self._named(answer, routed.slot))
        elif not isinstance(answer, AskError):
            self.slots.read_soon()
        if now > routed.deadline or self._closed:
            routed.fail(unavailable(answer))
        elif isinstance(answer, AskError) and not isinstance(answer, MovedError):
            server = self._named(answer, routed.slot)
            self._loop.call_later(0.0 if at_once else RETRY_PAUSE, self._ask, routed, server)
        else:
            self._loop.call_later(0.0 if at_once else RETRY_PAUSE, self._send_again, routed)

    def _named(self, answer: AskError, slot: int) -> Address:
        """Return the server that a redirect names; without a host, it is that of the sender."""
        sender = self.slots.master_of(slot)
        host = answer.host or (sender[0] if sender else "")
        return host, int(answer.port)

    def _send_again(self, routed: _Routed) -> None:
        links = self._links_of(routed.slot)
        if links is None:
            routed.fail(_uncovered())
        else:
            links[0].send(routed, urgent=True)

    def _ask(self, routed: _Routed, server: Address) -> None:
        """Send a command to the master that a slot is being moved to."""
        link = self._links_to(server)[0]
        link.send(_ASKING, urgent=True)  # what is sent next on the same connection is accepted
        link.send(routed, urgent=True)


class _Routed:
    """A command that can be sent again: it is made once, when it is sent first."""

    __slots__ = ("_command", "_request", "_servers", "deadline", "redirects", "slot")

    def __init__(self, servers: ClusterServers, request: Request, slot: int) -> None:
        self._servers = servers
        self._request = request
        self._command: Command | None = None
        self.slot = slot
        self.redirects = 0
        self.deadline = 0.0

    def command(self) -> Command | None:
        if self._command is None:
            self._command = self._request.command()
        return self._command

    def handle(self, answer: Any) -> None:
        if isinstance(answer, ELSEWHERE):
            self._servers.redirect(self, answer)
            return
        if isinstance(answer, StoreUnavailable):
            self._servers.slots.read_soon()
        self._request.handle(answer)

    def fail(self, problem: StoreUnavailable) -> None:
        """End the command without an answer."""
        self._request.handle(problem)


class _Asking:
    """The command that must stand before one that an ASK has redirected."""

    def command(self) -> Command:
        return ("ASKING",)

    def handle(self, answer: Any) -> None:
        """Do nothing: if ASKING has failed, the next command is redirected again."""


_ASKING: Final = _Asking()


def _uncovered() -> StoreUnavailable:
    return StoreUnavailable("no master of the Redis Cluster has this room's slot")
