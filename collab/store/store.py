"""The commands that the service sends to Redis: one method for each script of the journal."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Sequence
from copy import copy
from typing import Any, Protocol

from redis.exceptions import AuthenticationError, NoScriptError, RedisError, ResponseError

from collab.errors import StoreUnavailable
from collab.metrics import Metrics
from collab.redis_url import Kind, RedisUrl
from collab.store import scripts
from collab.store.channel import writer_word
from collab.store.cluster import ClusterServers
from collab.store.connection import MasterPool, connection_pool
from collab.store.damage import Damage
from collab.store.keys import PROBE, is_sharded, room_channel, room_keys, script_keys
from collab.store.link import WINDOW, Request
from collab.store.records import (
    ZERO,
    BadRecord,
    Commit,
    Committed,
    Entry,
    EntryId,
    Reading,
    Refused,
    deadline,
    entry_id,
    entry_text,
    milliseconds,
    parse_entries,
)
from collab.store.scripts import Script
from collab.store.servers import OneServer, Servers
from collab.store.slots import Slots
from collab.store.usage import Usage

log = logging.getLogger(__name__)

NEW_ROOM = "*"
"""A ``known_end`` for `Store.start`: the room is new, even if an earlier room was ended."""
LINKS = 2
"""Connections for commands: while one waits for answers, the other can send."""
PROBE_TTL = 10_000
"""Milliseconds that the key lives which a node writes to check that Redis accepts writes."""
RETRY_INTERVAL = 1.0
"""Seconds between two attempts to reach a Redis that is not up yet."""
OVERSIZE = 4
"""Times its limits that a room may have to be read: the limits may have been higher, and people
must be able to shorten what they have."""
MAX_READING = 1 << 26
"""Bytes of one room that are read, unless the store is told another number: a journal and its base
have some megabytes, and more of it would keep Redis and the node from everybody else."""
USAGE_INTERVAL = 5.0
"""Seconds between two questions for the memory that Redis uses."""


class RoomLife(Protocol):
    """Learns when rooms begin and end. What fails there must not be raised."""

    async def before_start(self, room: str) -> None:
        """A room's journal is about to begin."""

    async def before_end(self, room: str) -> None:
        """Somebody is about to end a room."""

    async def after_end(self, room: str) -> None:
        """Somebody has ended a room."""


class Store:
    """The service's Redis. All methods raise StoreUnavailable if Redis can't serve.

    ``writer`` marks this node's announcements. It is the node's name and a random word, so that a
    restarted node, or one of two nodes with the same name, does not take the announcements of the
    other for its own. `Commits` sends the commits of a room.

    ``damage`` knows the rooms whose keys are damaged: what concerns one room raises RoomUnreadable
    then. ``max_reading`` is in bytes. ``window`` is for how many seconds commits to one server
    gather, after the ones before.
    """

    life: RoomLife | None = None
    """Who learns when rooms begin and end, if anybody does."""

    def __init__(
        self, url: str, node: str, timeout: float, metrics: Metrics, window: float = WINDOW
    ) -> None:
        self._probe = PROBE + node
        self.writer = f"{node}~{secrets.token_hex(4)}"
        self.usage = Usage(metrics)
        self.damage = Damage(metrics)
        self.max_reading = MAX_READING
        self._timeout = timeout
        self._window = window
        self.metrics = metrics
        self._tasks: list[asyncio.Task[None]] = []
        parsed = RedisUrl.parse(url)
        self.slots: Slots | None = None
        """The map of the Redis Cluster, if it is one."""
        if parsed.kind is Kind.CLUSTER:
            self.slots = Slots(parsed, timeout, metrics)
        else:
            self.pool = connection_pool(url, timeout)
        self._servers = self._new_servers(LINKS)
        self._is_copy = False

    def _new_servers(self, count: int) -> Servers:
        if self.slots is not None:
            return ClusterServers(self.slots, count, self._timeout, self._window, self.metrics)
        return OneServer(self.pool, count, self._timeout, self._window, self.metrics)

    def with_own_links(self, count: int) -> Store:
        """Return the same store on ``count`` connections of its own.

        Commands on these never wait behind commands on the others. The new store must be closed.
        """
        other = copy(self)
        other._servers, other._tasks = self._new_servers(count), []
        other._is_copy = True
        other._servers.sharded = self.sharded
        return other

    @property
    def sharded(self) -> bool:
        """Whether the channels of the service are sharded (see `Servers`); known after `open`."""
        return self._servers.sharded

    async def open(self, wait: float) -> None:
        """Wait up to ``wait`` seconds for Redis to answer, then check its configuration.

        Raises StoreUnavailable after that time, and at once if Redis refuses the login.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        while True:
            try:
                await self._servers.open()
                break
            except StoreUnavailable as problem:
                cause = problem.__cause__ or problem
                if isinstance(cause, AuthenticationError):
                    raise StoreUnavailable(f"Redis refuses the login: {cause}") from cause
                if loop.time() >= deadline:
                    raise StoreUnavailable(f"Redis can't be reached: {cause}") from cause
                log.warning("waiting for Redis", extra={"reason": str(cause)})
                await asyncio.sleep(min(RETRY_INTERVAL, max(0.0, deadline - loop.time())))
        await self._check_policy()
        await self._check_kind()
        self._tasks = [asyncio.create_task(self._watch_usage())]
        if self.slots is None and isinstance(self.pool, MasterPool):
            self._tasks.append(asyncio.create_task(self.pool.follow()))

    async def _check_policy(self) -> None:
        for place in self.places():
            try:
                found = await self.call_at(place, "CONFIG", "GET", "maxmemory-policy")
            except StoreUnavailable:  # many hosted Redis servers refuse CONFIG
                log.warning("can't read Redis' maxmemory-policy; it must be noeviction")
                return
            policy = found[1].decode() if found else "unknown"
            if policy != "noeviction":
                log.error(
                    "Redis may evict rooms: set maxmemory-policy to noeviction",
                    extra={"policy": policy},
                )

    async def _check_kind(self) -> None:
        """Say if the URL names one server of a cluster: it refuses most rooms, with MOVED."""
        if self.slots is None:
            with contextlib.suppress(StoreUnavailable):  # many hosted servers refuse INFO
                if b"cluster_enabled:1" in await self.call("INFO", "cluster"):
                    log.error("Redis is a cluster: REDIS_URL must start with redis+cluster://")

    async def _watch_usage(self) -> None:
        """Ask Redis again and again how much memory it uses."""
        while True:
            answers = await asyncio.gather(
                *(self.call_at(place, "INFO", "memory") for place in self.places()),
                return_exceptions=True,
            )
            infos = [answer for answer in answers if isinstance(answer, bytes)]
            if infos:
                self.usage.update(*infos)
            answered = bool(answers) and all(
                isinstance(answer, bytes) or isinstance(answer.__cause__, ResponseError)
                for answer in answers  # many hosted servers refuse INFO
            )
            self.metrics.redis_up.set(answered)
            await asyncio.sleep(USAGE_INTERVAL)

    async def close(self) -> None:
        """Close all connections. A store that `with_own_links` returned closes only its own."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._servers.close()
        if self._is_copy:
            return
        if self.slots is not None:
            await self.slots.close()
        elif isinstance(self.pool, MasterPool):
            await self.pool.close()

    async def call(self, *command: str | bytes | int) -> Any:
        """Send a command whose first argument is its key. Raises StoreUnavailable."""
        return await self.call_at(str(command[1]) if len(command) > 1 else "", *command)

    async def call_at(self, key: str, *command: str | bytes | int) -> Any:
        """Send a command to the server that has ``key``. Raises StoreUnavailable."""
        try:
            return await self._servers.call(key, *command)
        except ResponseError as problem:
            raise StoreUnavailable(f"Redis answered: {problem}") from problem

    def places(self) -> list[str]:
        """Return a key of each server, for commands that have none (see `Servers.places`)."""
        return self._servers.places()

    async def run(self, script: Script, room: str, *arguments: str | bytes | int) -> Any:
        """Run a script on a room's keys and return its answer. Raises StoreUnavailable.

        It is a RoomUnreadable if the script failed because of what the keys hold.
        """
        with self.damage.watch(room):
            return await self.run_on(script, script_keys(room), *arguments)

    async def run_on(
        self, script: Script, keys: Sequence[str], *arguments: str | bytes | int
    ) -> Any:
        """Run a script on other keys and return its answer. Raises StoreUnavailable."""
        form = self.form(script)
        try:
            return await self._servers.call(
                keys[0], "EVALSHA", form.digest, len(keys), *keys, *arguments
            )
        except NoScriptError:  # Redis has restarted, or has never run this script
            return await self.call_at(keys[0], "EVAL", form.source, len(keys), *keys, *arguments)
        except RedisError as problem:
            raise StoreUnavailable(f"Redis answered: {problem}") from problem

    def form(self, script: Script) -> Script:
        """Return the form of a script for the channels of this Redis."""
        return script.sharded if self.sharded else script

    def send(self, request: Request, key: str) -> None:
        """Send a command with the others that wait; `Commits` and `Checks` make such requests.

        ``key`` is the first key of the command.
        """
        self._servers.send(request, key)

    async def start(
        self,
        room: str,
        epoch: str,
        expected: bytes | None,
        origin: str,
        commit: Commit,
        *,
        known_end: str,
    ) -> Committed | Refused:
        """Begin the journal ``epoch`` with its first entries (see start.lua)."""
        if self.life is not None:
            await self.life.before_start(room)
        asked = _now()
        answer = await self.run(
            scripts.START, room, int(expected is not None), expected or b"", epoch,
            milliseconds(commit.ttl), origin, commit.text,
            room_channel(room), writer_word(self.writer, commit.trace), commit.merged, known_end,
            *commit.words(),
        )  # fmt: skip
        word = answer[0].decode()
        self.metrics.commits.labels("start_" + word).inc()
        if word == "ok":
            _, id, ttl, length, size = answer
            return Committed(entry_id(id), deadline(asked, ttl), length, size, [])
        return Refused(word, [])

    async def read(self, room: str, epoch: str | None, last: EntryId) -> Reading:
        """Read the entries after ``last``, or the whole journal (see read.lua).

        ``epoch`` is that of the journal that the node knows, None if it knows none, or ANY_EPOCH.
        Raises RoomUnreadable, which is a StoreUnavailable, if the keys are damaged.
        """
        asked = _now()
        with self.damage.watch(room):
            answer = await self.run(
                scripts.READ, room, epoch or "", entry_text(last), self.max_reading
            )
            return _reading(answer, epoch, last, asked)

    async def settle(self, room: str, epoch: str, last: EntryId, text: str) -> bool:
        """Set the snapshot if ``last`` is the last entry, and return whether it is (settle.lua)."""
        return bool(
            await self.run_on(scripts.SETTLE, room_keys(room), epoch, entry_text(last), text)
        )

    async def compact(
        self, room: str, epoch: str, old_last: EntryId, new_last: EntryId, base: bytes, size: int,
        authors: Sequence[str] = (),
    ) -> bool:  # fmt: skip
        """Replace all entries up to ``new_last`` by ``base``, which merges them (see compact.lua).

        ``size`` is the bytes of updates in the replaced entries, ``authors`` are who wrote them.
        Returns whether it was done.
        """
        keep_from = entry_text((new_last[0], new_last[1] + 1))
        return bool(
            await self.run_on(
                scripts.COMPACT, room_keys(room), epoch, entry_text(old_last), entry_text(new_last),
                keep_from, base, size, *authors,
            )
        )  # fmt: skip

    async def has_room(self, room: str) -> bool:
        """Return whether Redis has a text, or a journal, of a room."""
        return bool(await self.call("EXISTS", *room_keys(room)))

    async def check_reachable(self, room: str) -> None:
        """Check that the server of a room answers."""
        await self.call_at(room_keys(room)[0], "PING")

    async def check_writable(self) -> None:
        """Check that Redis accepts writes: a full Redis, or a replica, does not.

        In a cluster every master must.
        """
        keys = [self._probe + place for place in self.places()]
        await asyncio.gather(*(self.call("SET", key, "", "PX", PROBE_TTL) for key in keys))

    async def publish(self, channel: str, message: str | bytes) -> int:
        """Publish on a channel; return how many subscribers there were.

        In a cluster only those at the master of the channel are counted: where the nodes subscribe.
        """
        sharded = self.sharded and is_sharded(channel)
        return int(await self.call("SPUBLISH" if sharded else "PUBLISH", channel, message))


def _now() -> float:
    return asyncio.get_running_loop().time()


def _reading(answer: Any, epoch: str | None, last: EntryId, asked: float) -> Reading:
    """Read what the script returned. Raises BadRecord."""
    try:
        ends = [end.decode() for end in answer[1]]
    except ValueError:
        raise BadRecord("the name of an end is no text") from None
    if answer[0] == b"none":
        code, ttl = answer[2:]
        return Reading(None, ZERO, [], deadline(asked, ttl), complete=True, code=code, ends=ends)
    tail, expires = entry_id(answer[2]), deadline(asked, answer[3])
    entries = parse_entries(answer[4])
    if answer[0] == b"since":
        _check_order(last, entries, tail)
        return Reading(epoch, tail, entries, expires, ends=ends)
    base_id = entry_id(answer[8])
    _check_order(base_id, entries, tail)
    try:
        name, origin = answer[5].decode(), answer[6].decode()
    except ValueError:
        raise BadRecord("the head has a field that is no text") from None
    return Reading(
        name, tail, entries, expires, complete=True, origin=origin, base=answer[7],
        base_id=base_id, ends=ends, digest=answer[9].decode(),
    )  # fmt: skip


def _check_order(last: EntryId, entries: Sequence[Entry], tail: EntryId) -> None:
    """Check that the entries lie between ``last`` and the tail. Raises BadRecord."""
    if entries and entries[0].id <= last:
        raise BadRecord("the base reaches beyond an entry")
    if (entries[-1].id if entries else last) != tail:
        raise BadRecord("the journal does not end with the head's tail")
