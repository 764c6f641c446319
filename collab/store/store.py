"""The commands that the service sends to Redis: one method for each script of the journal."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

from redis.exceptions import AuthenticationError, NoScriptError, RedisError, ResponseError

from collab.errors import StoreUnavailable
from collab.metrics import Metrics
from collab.store import scripts
from collab.store.channel import Announcement
from collab.store.connection import Command, connection_pool
from collab.store.keys import PROBE, room_channel, room_keys, script_keys
from collab.store.link import Link
from collab.store.records import (
    ZERO,
    Commit,
    Committed,
    Entry,
    EntryId,
    NextCommit,
    Reading,
    Refused,
    Standing,
    entry_id,
    entry_text,
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
USAGE_INTERVAL = 5.0
"""Seconds between two questions for the memory that Redis uses."""


OnOutcome = Callable[[Committed | Refused | Exception], None]


class Store:
    """The service's Redis. All methods raise StoreUnavailable if Redis can't serve.

    ``writer`` marks this node's announcements. It is the node's name and a random word, so that a
    restarted node, or one of two nodes with the same name, does not take the announcements of the
    other for its own.
    """

    def __init__(self, url: str, node: str, timeout: float, metrics: Metrics) -> None:
        self.pool = connection_pool(url, timeout)
        self._probe = PROBE + node
        self.writer = f"{node}~{secrets.token_hex(4)}"
        self.usage = Usage(metrics)
        self._timeout = timeout
        self._metrics = metrics
        self._watching: asyncio.Task[None] | None = None
        self._links = self._new_links(LINKS)

    def _new_links(self, count: int) -> list[Link]:
        return [Link(self.pool, self._timeout, self._metrics) for _ in range(count)]

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
            with contextlib.suppress(StoreUnavailable):  # many hosted servers refuse INFO
                self.usage.update(await self.call("INFO", "memory"))
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
        """Run a script on a room's keys and return its answer. Raises StoreUnavailable."""
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

    async def commit(self, room: str, next_commit: NextCommit) -> Committed | Refused:
        """Append to the room's journal (see commit.lua)."""
        asked = _now()
        arguments = self._commit_arguments(room, next_commit)
        return self._parse_outcome(await self.run(scripts.COMMIT, room, *arguments), asked)

    def send_commit(
        self, room: str, prepare: Callable[[], NextCommit | None], on_outcome: OnOutcome
    ) -> None:
        """Append to the room's journal, without a task or a Future.

        ``prepare`` returns the commit when it is sent; None if there is none any more. Then
        ``on_outcome`` gets Redis' answer, or the exception that `commit` would raise, or one for a
        script that Redis does not have: `commit` sends the script.
        """
        asked = 0.0

        def command() -> Command | None:
            nonlocal asked
            next_commit = prepare()
            if next_commit is None:
                return None
            asked = _now()
            arguments = self._commit_arguments(room, next_commit)
            keys = script_keys(room)
            return "EVALSHA", scripts.COMMIT.digest, len(keys), *keys, *arguments

        def handle(answer: Any) -> None:
            problem = isinstance(answer, Exception)
            on_outcome(answer if problem else self._parse_outcome(answer, asked))

        self._link().send(command, handle)

    def _commit_arguments(self, room: str, next_commit: NextCommit) -> Command:
        epoch, commit = next_commit.epoch, next_commit.commit
        return (
            epoch, entry_text(next_commit.last), _milliseconds(commit.ttl),
            "exact" if next_commit.exact else "append", commit.text,
            *self._announcement(room, epoch, commit), next_commit.own, commit.nonce,
            *_entries(commit),
        )  # fmt: skip

    def _parse_outcome(self, answer: Any, asked: float) -> Committed | Refused:
        word = answer[0].decode()
        self._metrics.commits.labels(word).inc()
        if word == "ok":
            _, id, ttl, length, size, missed = answer
            return Committed(
                entry_id(id), _deadline(asked, ttl), length, size, _parse_entries(missed)
            )
        return Refused(word, _parse_entries(answer[1]) if len(answer) > 1 else [])

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
            _milliseconds(commit.ttl), origin, commit.text,
            *self._announcement(room, epoch, commit), known_end, *_entries(commit),
        )  # fmt: skip
        word = answer[0].decode()
        self._metrics.commits.labels("start_" + word).inc()
        if word == "ok":
            _, id, ttl, length, size = answer
            return Committed(entry_id(id), _deadline(asked, ttl), length, size, [])
        return Refused(word, [])

    def _announcement(self, room: str, epoch: str, commit: Commit) -> tuple[str, bytes, bytes]:
        """Return channel, header and update of the announcement that the script publishes."""
        return room_channel(room), Announcement.header(epoch, self.writer), commit.merged

    async def read(self, room: str, epoch: str | None, last: EntryId) -> Reading:
        """Read the entries after ``last``, or the whole journal (see read.lua)."""
        asked = _now()
        answer = await self.run(scripts.READ, room, epoch or "", entry_text(last))
        ends = [end.decode() for end in answer[1]]
        if answer[0] == b"none":
            code, ttl = answer[2:]
            return Reading(
                None, ZERO, [], _deadline(asked, ttl), complete=True, code=code, ends=ends
            )
        tail, deadline = entry_id(answer[2]), _deadline(asked, answer[3])
        entries = _parse_entries(answer[4])
        if answer[0] == b"since":
            return Reading(epoch, tail, entries, deadline, ends=ends)
        return Reading(
            answer[5].decode(), tail, entries, deadline, complete=True,
            origin=answer[6].decode(), base=answer[7], base_id=entry_id(answer[8]), ends=ends,
        )  # fmt: skip

    async def check(self, room: str) -> Standing:
        """Return the state of a room's journal and snapshot (see check.lua)."""
        asked = _now()
        epoch, tail, snapshot_at, digest, ttl = await self.run(scripts.CHECK, room)
        return Standing(
            epoch.decode(),
            entry_id(tail) if tail else ZERO,
            entry_id(snapshot_at) if snapshot_at else ZERO,
            digest.decode(),
            _deadline(asked, ttl),
        )

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


def _entries(commit: Commit) -> list[str | bytes]:
    return [word for update in commit.updates for word in (update.author, update.update)]


def _parse_entries(raw: list[Any]) -> list[Entry]:
    return [Entry.parse(each) for each in raw]


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _now() -> float:
    return asyncio.get_running_loop().time()


def _deadline(asked: float, pttl: int) -> float | None:
    return asked + pttl / 1000 if pttl > 0 else None
