"""What the service asks of Redis, one method a script; the scripts' heads say what each does."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from importlib.resources import files
from typing import Any

from redis.exceptions import AuthenticationError, NoScriptError, RedisError, ResponseError

from collab.errors import StoreUnavailable
from collab.metrics import Metrics
from collab.store.keys import PROBE, ends_key, room_channel, room_keys
from collab.store.link import Link, connection_pool
from collab.store.records import (
    ZERO,
    Commit,
    Committed,
    Entry,
    EntryId,
    Reading,
    Refused,
    Standing,
    entry_id,
    entry_text,
)

log = logging.getLogger(__name__)

ANEW = "*"
"""Whoever begins a room without having known another of its name."""
LINKS = 2
"""Connections for commands: while one waits for an answer the other can ask."""
PROBE_TIME = 10_000
"""Milliseconds that a key written to try whether Redis takes writes is there."""
RETRY_PAUSE = 0.25
"""Seconds between two attempts to reach a Redis that is not up yet."""


class Store:
    """The service's Redis. All methods raise StoreUnavailable if it can't serve.

    ``writer`` marks this node's announcements. It is the node's name and a random word: a node
    that was started again, or two that were given one name, must not take the other's for theirs.
    """

    def __init__(self, url: str, node: str, timeout: float, metrics: Metrics) -> None:
        self.pool = connection_pool(url, timeout)
        self._probe = PROBE + node
        self.writer = f"{node}~{secrets.token_hex(4)}"
        self._metrics = metrics
        self._links = [Link(self.pool, timeout, metrics) for _ in range(LINKS)]
        self._scripts = {
            name: (source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())
            for name in ("commit", "start", "read", "check", "settle", "fold")
            for source in [files("collab.store").joinpath(f"{name}.lua").read_text("utf-8")]
        }

    async def open(self, wait: float) -> None:
        """Wait up to ``wait`` seconds for Redis to answer, and look at how it is set up.

        Raises StoreUnavailable when the time is over, and at once if Redis refuses the login.
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
                await asyncio.sleep(min(RETRY_PAUSE * 4, max(0.0, deadline - loop.time())))
        await self._look_at_policy()

    async def _look_at_policy(self) -> None:
        try:
            found = await self.call("CONFIG", "GET", "maxmemory-policy")
        except StoreUnavailable:  # many a hosted Redis keeps CONFIG to itself
            log.warning(
                "the Redis server does not tell its maxmemory-policy; it must be noeviction"
            )
            return
        policy = found[1].decode() if found else "unknown"
        if policy != "noeviction":
            log.error(
                "Redis may throw rooms away: set maxmemory-policy to noeviction",
                extra={"policy": policy},
            )

    async def close(self) -> None:
        """Close all connections."""
        for link in self._links:
            await link.close()
        await self.pool.disconnect()

    async def call(self, *command: str | bytes | int) -> Any:
        """Send one command and return its answer. Raises StoreUnavailable."""
        try:
            return await min(self._links, key=lambda link: link.load).call(*command)
        except ResponseError as problem:
            raise StoreUnavailable(f"Redis answered: {problem}") from problem

    async def _script(self, name: str, room: str, *arguments: str | bytes | int) -> Any:
        source, digest = self._scripts[name]
        keys = (*room_keys(room), ends_key(room))
        link = min(self._links, key=lambda link: link.load)
        try:
            return await link.call("EVALSHA", digest, len(keys), *keys, *arguments)
        except NoScriptError:
            return await self.call("EVAL", source, len(keys), *keys, *arguments)
        except RedisError as problem:
            raise StoreUnavailable(f"Redis answered: {problem}") from problem

    async def commit(
        self, room: str, epoch: str, last: EntryId, commit: Commit, *, exact: bool
    ) -> Committed | Refused:
        """Append to the journal ``epoch`` behind ``last`` (see commit.lua)."""
        asked = _now()
        answer = await self._script(
            "commit", room, epoch, entry_text(last), _milliseconds(commit.ttl),
            "exact" if exact else "append", *self._announcing(room, epoch, commit),
            commit.nonce, *_entries(commit),
        )  # fmt: skip
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
        ended: str,
    ) -> Committed | Refused:
        """Begin the journal ``epoch`` with its first entries (see start.lua)."""
        asked = _now()
        answer = await self._script(
            "start", room, int(expected is not None), expected or b"", epoch,
            _milliseconds(commit.ttl), origin, *self._announcing(room, epoch, commit),
            ended, *_entries(commit),
        )  # fmt: skip
        word = answer[0].decode()
        self._metrics.commits.labels("start_" + word).inc()
        if word == "ok":
            _, id, ttl, length, size = answer
            return Committed(entry_id(id), _deadline(asked, ttl), length, size, [])
        return Refused(word, [])

    def _announcing(self, room: str, epoch: str, commit: Commit) -> tuple[str | bytes, ...]:
        return commit.text, room_channel(room), f"J {epoch} {self.writer}", commit.merged

    async def read(self, room: str, epoch: str | None, last: EntryId) -> Reading:
        """Read the journal from behind ``last``, or all of it (see read.lua)."""
        asked = _now()
        answer = await self._script("read", room, epoch or "", entry_text(last))
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
        """Tell where a room's journal and snapshot stand (see check.lua)."""
        asked = _now()
        epoch, tail, snapshot_at, digest, ttl = await self._script("check", room)
        return Standing(
            epoch.decode(),
            entry_id(tail) if tail else ZERO,
            entry_id(snapshot_at) if snapshot_at else ZERO,
            digest.decode(),
            _deadline(asked, ttl),
        )

    async def settle(self, room: str, epoch: str, last: EntryId, text: str) -> bool:
        """Set the snapshot if ``last`` is the journal's end (see settle.lua)."""
        return bool(await self._script("settle", room, epoch, entry_text(last), text))

    async def fold(
        self, room: str, epoch: str, old: EntryId, new: EntryId, base: bytes, size: int
    ) -> bool:
        """Make ``base`` the sum of all entries up to ``new`` (see fold.lua)."""
        behind = entry_text((new[0], new[1] + 1))
        return bool(
            await self._script(
                "fold", room, epoch, entry_text(old), entry_text(new), behind, base, size
            )
        )

    async def try_writing(self) -> None:
        """Find out whether Redis takes writes: one that is full, or a replica, does not."""
        await self.call("SET", self._probe, "", "PX", PROBE_TIME)

    async def publish(self, channel: str, message: str | bytes) -> int:
        """Publish on a channel; return how many heard it."""
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
