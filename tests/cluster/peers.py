"""Test nodes that follow one journal: each has its own connections, all are in one process."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import redis.asyncio
from pycrdt import Doc, Map

from collab.errors import RoomUnreadable, StoreUnavailable
from collab.merge.delta import Delta
from collab.merge.replica import Edit, Replica
from collab.merge.splice import Splice
from collab.metrics import Metrics
from collab.rooms.history import same
from collab.rooms.journal import Journal
from collab.store import channel
from collab.store.keys import room_channel, room_keys
from collab.store.store import Store
from collab.store.subscriber import Subscriber
from tests.support.clients import WAIT_TIMEOUT

AnyClient = redis.asyncio.Redis | redis.asyncio.RedisCluster
"""A client of one Redis, or of a Redis Cluster."""
FILLER = "~"
"""The only character that random edits delete: tokens stay whole."""


class Peer:
    """A node that holds one room. Tests can drop, double and reorder the messages it receives."""

    def __init__(
        self,
        url: str,
        name: str,
        room: str,
        *,
        ttl: float = 1800.0,
        max_entries: int = 2000,
        max_bytes: int = 1 << 21,
        timeout: float = 2.0,
    ) -> None:
        self.name = name
        self.metrics = Metrics()
        self.store = Store(url, name, timeout, self.metrics)
        self._timeout = timeout
        self.subscriber: Subscriber | None = None
        self._channel = room_channel(room)
        self.journal = Journal(
            room, self.store, self.metrics, self._edited, own_subscriptions=self._subscriptions,
            ttl=ttl, max_entries=max_entries, max_bytes=max_bytes,
        )  # fmt: skip
        self.chaos: Random | None = None
        self.deaf = False
        self.counts_own = False  # whether others alone get announcements, as on a node
        self.shown = ""
        self._showing = False
        self.sent: dict[str, asyncio.Future[None]] = {}
        self._numbers = itertools.count()
        self._late: list[bytes] = []

    async def open(self) -> None:
        await self.store.open(5)
        subscriber = self.subscriber = Subscriber(
            self.store.slots or self.store.pool, self.name, self._timeout,
            sharded=self.store.sharded,
        )  # fmt: skip
        await subscriber.open()
        async with asyncio.timeout(WAIT_TIMEOUT):
            await _patiently(lambda: subscriber.subscribe(self._channel, self._receive))
            await _patiently(self.journal.open)
        self.shown, self._showing = self.text, True
        subscriber.on_reconnect.append(self._reconnected)

    async def close(self) -> None:
        """Stop at once, as if the node were killed: commits that wait are given up."""
        if self.subscriber is not None:
            await self.subscriber.close()
        await self.journal.close()
        await self.store.close()

    def _subscriptions(self) -> int:
        return int(self.counts_own)

    async def lose_subscription(self) -> None:
        """End the subscription; the node still counts it."""
        assert self.subscriber
        self.counts_own = True
        await self.subscriber.unsubscribe(self._channel, self._receive)

    async def regain_subscription(self) -> None:
        """Subscribe again, as after a lost connection."""
        assert self.subscriber
        await self.subscriber.subscribe(self._channel, self._receive)
        self._reconnected([self._channel])

    def _reconnected(self, channels: Collection[str]) -> None:
        if self._channel in channels:
            self.journal.handle_reconnect()

    @property
    def text(self) -> str:
        return self.journal.replica.text

    def _edited(self, edit: Edit) -> None:
        if self._showing:  # nobody is in a room that is being loaded
            self.shown = edit.delta.apply(self.shown)

    def _receive(self, message: bytes) -> None:
        for each in self._disturb(message) if self.chaos else [message]:
            parsed = channel.parse(each)
            if isinstance(parsed, channel.Announcement) and not self.deaf:
                self.journal.handle_announcement(parsed)

    def _disturb(self, message: bytes) -> Iterable[bytes]:
        assert self.chaos
        chance = self.chaos.random()
        if chance < 0.15:
            return ()
        if chance < 0.3:
            self._late.append(message)
            return ()
        late, self._late = self._late, []
        return (message, message, *late) if chance < 0.5 else (message, *late)

    def insert(self, text: str, at: int = -1, author: str = "") -> asyncio.Future[None]:
        """Insert ``text`` as a member here."""
        at = len(self.text) if at < 0 else at
        return self._edit([Splice(at, at, text)], author)

    def delete(self, start: int, end: int) -> asyncio.Future[None]:
        """Delete ``text[start:end]`` as a member here."""
        return self._edit([Splice(start, end, "")], "")

    def _edit(self, splices: list[Splice], author: str) -> asyncio.Future[None]:
        delta = Delta.from_splices(splices)
        update = self.journal.replica.edit(delta)
        self._edited(Edit(delta, update))
        return self.commit(update, author or self.name)

    def commit(self, update: bytes, author: str) -> asyncio.Future[None]:
        """Commit an update that is in the replica."""
        self.journal.append(update, author)
        stored = self.journal.stored()
        assert stored is not None
        return stored

    async def stored(self) -> None:
        """Wait until Redis has the replica of this node."""
        if (stored := self.journal.stored()) is not None:
            await stored

    def type(self, random: Random) -> None:
        """Make a random edit: a token of its own and some filler in, or a run of filler out."""
        text = self.text
        runs = [i for i, c in enumerate(text) if c == FILLER]
        if runs and random.random() < 0.3:
            start = random.choice(runs)
            end = start + 1
            while end < len(text) and text[end] == FILLER:
                end += 1
            self._edit([Splice(start, end, "")], "")
            return
        token = f"[{self.name}-{next(self._numbers)}é🐍]"  # "n1" and 20 is not "n12" and 0
        gaps = [0, *(i + 1 for i, c in enumerate(text) if c in f"]{FILLER}")]
        author = f"{self.name}-{random.randrange(3)}"
        self.sent[token] = self.insert(
            token + FILLER * random.randrange(3), random.choice(gaps), author
        )

    @property
    def acknowledged(self) -> list[str]:
        """The tokens whose commits were acknowledged."""
        return [
            token for token, done in self.sent.items()
            if done.done() and not done.cancelled() and not done.exception()
        ]  # fmt: skip


async def _patiently(step: Callable[[], Awaitable[None]]) -> None:
    """Take a step until it succeeds: a busy machine exceeds the short time-outs of some tests."""
    while True:
        try:
            return await step()
        except StoreUnavailable as problem:
            if isinstance(problem, RoomUnreadable):
                raise


class Cluster:
    """The peers of a test; all are closed at its end."""

    def __init__(self, url: str, room: str, **options: float) -> None:
        self._url = url
        self._room = room
        self._options = options
        self.alive: list[Peer] = []
        self.dead: list[Peer] = []

    async def add(self, name: str, *, url: str = "", **options: float) -> Peer:
        """Start a node, which loads the room."""
        peer = Peer(url or self._url, name, self._room, **{**self._options, **options})  # type: ignore[arg-type]
        self.alive.append(peer)
        await peer.open()
        return peer

    async def kill(self, peer: Peer) -> None:
        """End a node without letting it finish anything."""
        self.alive.remove(peer)
        self.dead.append(peer)
        await peer.close()


def often_compacted(random: Random) -> dict[str, int]:
    """Return bounds that make compaction frequent, so that it coincides with everything else."""
    return {"max_entries": random.choice((4, 16, 2000))}


@asynccontextmanager
async def cluster(url: str, room: str, *names: str, **options: float) -> AsyncIterator[Cluster]:
    """Open some nodes on one room, and close those that are still alive at the end."""
    nodes = Cluster(url, room, **options)
    try:
        for name in names:
            await nodes.add(name)
        yield nodes
    finally:
        for peer in list(nodes.alive):
            await nodes.kill(peer)


@asynccontextmanager
async def peers(url: str, room: str, *names: str, **options: float) -> AsyncIterator[list[Peer]]:
    """Open some nodes on one room; give the list of nodes that are alive."""
    async with cluster(url, room, *names, **options) as nodes:
        yield nodes.alive


async def converge(*nodes: Peer) -> None:
    """Deliver all messages, and check until no node has work left and all nodes are equal."""
    async with asyncio.timeout(WAIT_TIMEOUT):
        while True:
            for node in nodes:
                node.chaos = None
                node.journal.check()
            for node in nodes:
                await node.journal.flush()
            stand = {(node.journal.epoch, node.journal.last, node.text) for node in nodes}
            if len(stand) == 1 and all(node.journal.settled for node in nodes):
                return
            await asyncio.sleep(0.01)


async def dump_keys(client: AnyClient, room: str) -> dict[str, tuple[bytes, int]]:
    """Return the room's keys as a dump has them, without those that do not exist."""
    keys = room_keys(room)
    async with client.pipeline(transaction=True) as pipe:
        for key in keys:
            pipe.dump(key)
            pipe.pttl(key)
        found = await pipe.execute()
    values = zip(keys, found[::2], found[1::2], strict=True)
    return {key: (value, max(0, ttl)) for key, value, ttl in values if value is not None}


async def restore_keys(client: AnyClient, room: str, saved: dict[str, tuple[bytes, int]]) -> None:
    """Restore the room's keys to what `dump_keys` returned."""
    async with client.pipeline(transaction=True) as pipe:
        pipe.delete(*room_keys(room))
        for key, (value, ttl) in saved.items():
            pipe.restore(key, ttl, value, replace=True)
        await pipe.execute()


async def journal_sum(client: AnyClient, room: str) -> Replica:
    """Return what the journal in Redis adds up to, without the service's own reading code."""
    _, _, head = room_keys(room)
    total = Replica()
    base: Any = await client.hget(head, "base")
    if base:
        total.apply_update(base)
    for update in await journal_updates(client, room):
        total.apply_update(update)
    return total


async def journal_updates(client: AnyClient, room: str) -> list[bytes]:
    """Return the updates of the journal's entries in Redis, in order."""
    _, stream, _ = room_keys(room)
    entries: Any = await client.xrange(stream)
    return [fields[b"u"] for _, fields in entries]


def set_key(node: Peer, key: str, value: str | None) -> asyncio.Future[None]:
    """Set a key of a ``Y.Map``, or delete it, as a Yjs member of a node does."""
    client: Doc[Any] = Doc()
    shared = client.get("settings", type=Map)
    client.apply_update(node.journal.replica.state())
    before = client.get_state()
    if value is not None:
        shared[key] = value
    elif key in shared:
        del shared[key]
    edit = node.journal.replica.apply_update(client.get_update(before))
    return node.commit(edit.update, "a Yjs member")


def keys_of(replica: Replica) -> dict[str, Any]:
    """Return what the ``Y.Map`` holds."""
    client: Doc[Any] = Doc()
    shared = client.get("settings", type=Map)
    client.apply_update(replica.state())
    found: dict[str, Any] = shared.to_py()
    return found


async def assert_one_truth(client: AnyClient, room: str, *nodes: Peer) -> str:
    """Assert that snapshot, journal and replicas are equal; return the text."""
    snapshot = await client.get(f"code_{room}")
    assert snapshot is not None
    text = snapshot.decode()
    total = await journal_sum(client, room)
    assert total.text == text
    for node in nodes:
        assert node.text == text, node.name
        assert node.shown == text, f"{node.name}'s members did not receive everything"
        assert same(node.journal.replica, total), f"{node.name} differs outside the text"
        node.journal.replica.check()
    return text


async def wait_for_snapshot(client: AnyClient, room: str, text: str) -> None:
    """Wait until the snapshot is ``text``."""
    async with asyncio.timeout(WAIT_TIMEOUT):
        while await client.get(f"code_{room}") != text.encode():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.005)
