"""The commands that the service sends to Redis: one method for each script of the journal."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence
from copy import copy
from typing import Any

from redis.exceptions import AuthenticationError, NoScriptError, RedisError, ResponseError

from collab.errors import StoreUnavailable
from collab.metrics import Metrics
from collab.store import scripts
from collab.store.channel import writer_word
from collab.store.connection import connection_pool
from collab.store.damage import Damage
from collab.store.keys import PROBE, room_channel, room_keys, script_keys
from collab.store.link import Link, Request
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


class Store:
    """The service's Redis. All methods raise StoreUnavailable if Redis can't serve.

    ``writer`` marks this node's announcements. It is the node's name and a random word, so that a
    restarted node, or one of two nodes with the same name, does not take the announcements of the
    other for its own. `Commits` sends the commits of a room.

    ``damage`` knows the rooms whose keys are damaged: what concerns one room raises RoomUnreadable
    then. ``max_reading`` is in bytes.
    """

    def __init__(self, url: str, node: str, timeout: float, metrics: Metrics) -> None:
        self.pool = connection_pool(url, timeout)
        self._probe = PROBE + node
        self.writer = f"{node}~{secrets.token_hex(4)}"
        self.usage = Usage(metrics)
        self.damage = Damage(metrics)
        self.max_reading = MAX_READING
        self._timeout = timeout
        self.metrics = metrics
        self._watching: asyncio.Task[None] | None = None
        self._links = self._new_links(LINKS)

    def _new_links(self, count: int) -> list[Link]:
        return [Link(self.pool, self._timeout, self.metrics) for _ in range(count)]

    def with_own_links(self, count: int) -> Store:
        """Return the same store on ``count`` connections of its own.

        Commands on these never wait behind commands on the others. The new store must be closed.
        """
        other = copy(self)
        other._links, other._watching = self._new_links(count), None
        return other

    async def open(self, wait: float) -> None:
        """Wait up to ``wait`` seconds for Redis to answer, then check its configuration.

        Raises StoreUnavailable after that time, and at once if Redis refuses the login.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        while True:
            try:
                await self.call("PING")
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
        self._watching = asyncio.create_task(self._watch_usage())

    async def _check_policy(self) -> None:
        try:
            found = await self.call("CONFIG", "GET", "maxmemory-policy")
        except StoreUnavailable:  # many hosted Redis servers refuse CONFIG
            log.warning("can't read Redis' maxmemory-policy; it must be noeviction")
            return
        policy = found[1].decode() if found else "unknown"
        if policy != "noeviction":
            log.error(
                "Redis may evict rooms: set maxmemory-policy to noeviction",
                extra={"policy": policy},
            )

    async def _watch_usage(self) -> None:
        """Ask Redis again and again how much memory it uses."""
        while True:
            try:
                self.usage.update(await self.call("INFO", "memory"))
                answered = True
            except StoreUnavailable as problem:  # many hosted servers refuse INFO
                answered = isinstance(problem.__cause__, ResponseError)
            self.metrics.redis_up.set(answered)
            await asyncio.sleep(USAGE_INTERVAL)

    async def close(self) -> None:
        """Close all connections."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        for link in self._links:
            await link.close()
        await self.pool.disconnect()

    async def call(self, *command: str | bytes | int) -> Any:
        """Send one command and return its answer. Raises StoreUnavailable."""
        try:
            return await self._link().call(*command)
        except ResponseError as problem:
            raise StoreUnavailable(f"Redis answered: {problem}") from problem

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
        try:
            return await self._link().call("EVALSHA", script.digest, len(keys), *keys, *arguments)
        except NoScriptError:  # Redis has restarted, or has never run this script
            return await self.call("EVAL", script.source, len(keys), *keys, *arguments)
        except RedisError as problem:
            raise StoreUnavailable(f"Redis answered: {problem}") from problem

    def _link(self) -> Link:
        return min(self._links, key=lambda link: link.load)

    def send(self, request: Request) -> None:
        """Send a command with the others that wait; `Commits` and `Checks` make such requests."""
        self._links[0].send(request)

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
        return bool(await self.run(scripts.SETTLE, room, epoch, entry_text(last), text))

    async def compact(
        self, room: str, epoch: str, old_last: EntryId, new_last: EntryId, base: bytes, size: int
    ) -> bool:
        """Replace all entries up to ``new_last`` by ``base``, which merges them (see compact.lua).

        ``size`` is the bytes of updates in the replaced entries. Returns whether it was done.
        """
        keep_from = entry_text((new_last[0], new_last[1] + 1))
        return bool(
            await self.run(
                scripts.COMPACT, room, epoch, entry_text(old_last), entry_text(new_last),
                keep_from, base, size,
            )
        )  # fmt: skip

    async def has_room(self, room: str) -> bool:
        """Return whether Redis has a text, or a journal, of a room."""
        return bool(await self.call("EXISTS", *room_keys(room)))

    async def check_writable(self) -> None:
        """Check that Redis accepts writes: a full Redis, or a replica, does not."""
        await self.call("SET", self._probe, "", "PX", PROBE_TTL)

    async def publish(self, channel: str, message: str | bytes) -> int:
        """Publish on a channel; return how many subscribers there were."""
        return int(await self.call("PUBLISH", channel, message))


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
