"""What the service asks of Redis, one method a script; the scripts' heads say what each does."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from redis.exceptions import AuthenticationError, NoScriptError, RedisError, ResponseError

from collab.errors import StoreUnavailable
from collab.metrics import Metrics
from collab.store.keys import room_channel, room_keys
from collab.store.link import Link, connection_pool

log = logging.getLogger(__name__)

LINKS = 2
"""Connections for commands: while one waits for an answer the other can ask."""
RETRY_PAUSE = 0.25
"""Seconds between two attempts to reach a Redis that is not up yet."""

EntryId = tuple[int, int]
"""A journal entry's id: milliseconds, and a sequence number within them."""
ZERO: EntryId = (0, 0)


def entry_id(raw: bytes) -> EntryId:
    """Parse ``b"1700000000000-0"``."""
    milliseconds, _, sequence = raw.partition(b"-")
    return int(milliseconds), int(sequence)


def entry_text(identifier: EntryId) -> str:
    """Write an id as Redis does."""
    return f"{identifier[0]}-{identifier[1]}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a journal."""

    id: EntryId
    author: str
    update: bytes

    @classmethod
    def parse(cls, raw: Any) -> Entry:
        """Read what XRANGE returns for one entry."""
        named = dict(zip(raw[1][::2], raw[1][1::2], strict=True))
        return cls(entry_id(raw[0]), named[b"a"].decode(), named[b"u"])


@dataclass(frozen=True, slots=True)
class Update:
    """What one author did, before it is an entry."""

    author: str
    update: bytes


@dataclass(frozen=True, slots=True)
class Commit:
    """Updates on their way into a room's journal, merged too, and the text that they lead to.

    ``ttl`` is how many seconds the room lives from then on.
    """

    updates: list[Update]
    merged: bytes
    text: str
    ttl: float


@dataclass(frozen=True, slots=True)
class Committed:
    """A commit's success: the journal's last entry and size now, and what was missed before it."""

    id: EntryId
    length: int
    bytes: int
    missed: list[Entry]


@dataclass(frozen=True, slots=True)
class Refused:
    """A commit's refusal: ``reason`` is the script's word; ``missed`` is what others did first."""

    reason: str
    missed: list[Entry]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a journal holds behind the entry the node asked from.

    ``complete`` says that it holds everything, and ``base`` what was folded. ``epoch`` is None
    where there is no journal; ``code`` is then the foreign text, if there is one. ``ttl`` is in
    seconds, None if there is none.
    """

    epoch: str | None
    tail: EntryId
    entries: list[Entry]
    ttl: float | None
    complete: bool = False
    origin: str = ""
    base: bytes = b""
    base_id: EntryId = ZERO
    code: bytes | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a room stands in Redis; ``digest`` is the SHA-1 of ``code_{room}`` ('' if none)."""

    epoch: str
    tail: EntryId
    snapshot_at: EntryId
    digest: str
    ttl: float | None


class Store:
    """The service's Redis. All methods raise StoreUnavailable if it can't serve."""

    def __init__(self, url: str, node: str, timeout: float, metrics: Metrics) -> None:
        self.pool = connection_pool(url, timeout)
        self._node = node
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
        keys = room_keys(room)
        link = min(self._links, key=lambda link: link.load)
        try:
            return await link.call("EVALSHA", digest, len(keys), *keys, *arguments)
        except NoScriptError:
            return await self.call("EVAL", source, len(keys), *keys, *arguments)
        except RedisError as problem:
            raise StoreUnavailable(f"Redis answered: {problem}") from problem

    def _announcing(self, room: str, epoch: str, commit: Commit) -> list[str | bytes | int]:
        words: list[str | bytes | int] = [
            commit.text,
            room_channel(room),
            f"J {epoch} {self._node}",
            commit.merged,
        ]
        for update in commit.updates:
            words += (update.author, update.update)
        return words

    async def commit(
        self, room: str, epoch: str, last: EntryId, commit: Commit, *, exact: bool
    ) -> Committed | Refused:
        """Append to the journal ``epoch`` behind ``last`` (see commit.lua)."""
        answer = await self._script(
            "commit", room, epoch, entry_text(last), _milliseconds(commit.ttl),
            "exact" if exact else "append", *self._announcing(room, epoch, commit),
        )  # fmt: skip
        word = answer[0].decode()
        self._metrics.commits.labels(word).inc()
        if word == "ok":
            missed = [Entry.parse(raw) for raw in answer[4]]
            return Committed(entry_id(answer[1]), answer[2], answer[3], missed)
        return Refused(word, [Entry.parse(raw) for raw in answer[1]] if len(answer) > 1 else [])

    async def start(
        self, room: str, epoch: str, expected: bytes | None, origin: str, commit: Commit
    ) -> Committed | Refused:
        """Begin the journal ``epoch`` with its first entries (see start.lua)."""
        answer = await self._script(
            "start", room, int(expected is not None), expected or b"", epoch,
            _milliseconds(commit.ttl), origin, *self._announcing(room, epoch, commit),
        )  # fmt: skip
        word = answer[0].decode()
        self._metrics.commits.labels("start_" + word).inc()
        if word == "ok":
            return Committed(entry_id(answer[1]), answer[2], answer[3], [])
        return Refused(word, [])

    async def read(self, room: str, epoch: str | None, last: EntryId) -> Reading:
        """Read the journal from behind ``last``, or all of it (see read.lua)."""
        answer = await self._script("read", room, epoch or "", entry_text(last))
        if answer[0] == b"none":
            return Reading(None, ZERO, [], _seconds(answer[2]), complete=True, code=answer[1])
        tail, ttl = entry_id(answer[1]), _seconds(answer[2])
        entries = [Entry.parse(raw) for raw in answer[3]]
        if answer[0] == b"since":
            return Reading(epoch, tail, entries, ttl)
        return Reading(
            answer[4].decode(), tail, entries, ttl, complete=True,
            origin=answer[5].decode(), base=answer[6], base_id=entry_id(answer[7]),
        )  # fmt: skip

    async def check(self, room: str) -> Standing:
        """Tell where a room's journal and snapshot stand (see check.lua)."""
        epoch, tail, snapshot_at, digest, ttl = await self._script("check", room)
        return Standing(
            epoch.decode(),
            entry_id(tail) if tail else ZERO,
            entry_id(snapshot_at) if snapshot_at else ZERO,
            digest.decode(),
            _seconds(ttl),
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

    async def publish(self, channel: str, message: str | bytes) -> int:
        """Publish on a channel; return how many heard it."""
        return int(await self.call("PUBLISH", channel, message))


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _seconds(pttl: int) -> float | None:
    return pttl / 1000 if pttl > 0 else None
