"""Commits as fast as one Redis takes them, by the script that the nodes use, without nodes."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import hiredis
import redis

from loadtest.members import clock, text_with
from loadtest.processes import ROOT, Meter, Redis

SCRIPTS = ROOT / "collab" / "store"
EPOCH, TTL_MS, WRITER, NONCE = "1f0e3dad99908345", 1_800_000, "node-5f2d", 2**40
AUTHOR, UPDATE = "x" * 44, "x" * 48
"""As long as those of a guest who types letters. Redis does not read them."""
STARTED_TOGETHER = 500


@dataclass
class Journal:
    """A room in Redis, and the words of its next commit before and behind its last entry's id."""

    room: str
    last: bytes = b""
    before: bytes = field(default=b"", repr=False)
    behind: bytes = field(default=b"", repr=False)

    @property
    def keys(self) -> tuple[str, ...]:
        name = self.room
        return (
            f"code_{name}", f"journal:{{code_{name}}}", f"journal-head:{{code_{name}}}",
            f"journal-ended:{{code_{name}}}",
        )  # fmt: skip

    @property
    def channel(self) -> str:
        return f"room:{{code_{self.room}}}"


@dataclass(frozen=True)
class Rate:
    """What came of it: commits that were made in how many seconds, and Redis' CPU seconds."""

    commits: int
    seconds: float
    redis: float

    @property
    def redis_us(self) -> float:
        return 1e6 * self.redis / self.commits

    @property
    def of_a_core(self) -> float:
        """Commits a second that one core of Redis can do."""
        return self.commits / self.redis


def start_journals(store: Redis, rooms: int, size: int, prefix: str = "commits") -> list[Journal]:
    """Begin the journals of so many rooms, each with a text of that many bytes, and make the words
    of their next commits, of which only the last entry's id changes."""
    text = text_with(0, size)
    journals = [Journal(f"{prefix}-{number}") for number in range(rooms)]
    with redis.Redis.from_url(store.url) as client:
        start, append = (
            client.script_load((SCRIPTS / name).read_text()) for name in ("start.lua", "commit.lua")
        )
        for at in range(0, rooms, STARTED_TOGETHER):
            some = journals[at : at + STARTED_TOGETHER]
            pipeline = client.pipeline(transaction=False)
            for journal in some:
                pipeline.evalsha(
                    start, 4, *journal.keys, "0", "", EPOCH, TTL_MS, "room", text,
                    journal.channel, WRITER, text, "*", AUTHOR, text,
                )  # fmt: skip
            for journal, answer in zip(some, pipeline.execute(), strict=True):
                journal.last = answer[1]
    for journal in journals:
        head = ("EVALSHA", append, 4, *journal.keys, EPOCH)
        rest = (
            TTL_MS, "exact", text, journal.channel, WRITER, UPDATE, 0, NONCE, AUTHOR, UPDATE,
        )  # fmt: skip
        journal.before = b"*%d\r\n" % (len(head) + 1 + len(rest)) + pack(head)
        journal.behind = pack(rest)
    return journals


def pack(words: Sequence[str | bytes | int]) -> bytes:
    """Return words as Redis reads them."""
    encoded = (word if isinstance(word, bytes) else str(word).encode() for word in words)
    return b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)


class Committer(asyncio.Protocol):
    """A connection that commits in its rooms in turn, some in each round trip."""

    def __init__(self, journals: Sequence[Journal], together: int, edits: int) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._together = together
        self._turns = [
            journals[at : at + together]
            for _ in range(edits)
            for at in range(0, len(journals), together)
        ][::-1]
        self._waiting: list[Journal] = []
        self._reader = hiredis.Reader()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._send()

    def connection_lost(self, problem: Exception | None) -> None:
        self._fail(ConnectionError(f"Redis has closed the connection: {problem}"))

    def _send(self) -> None:
        if not self._turns:
            self.done.set_result(None)
            return
        self._waiting = list(self._turns.pop()[::-1])
        self.transport.write(
            b"".join(
                b"%s$%d\r\n%s\r\n%s" % (each.before, len(each.last), each.last, each.behind)
                for each in reversed(self._waiting)
            )
        )

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (answer := self._reader.gets()) is not False:
            if not isinstance(answer, list) or answer[0] != b"ok":
                self._fail(RuntimeError(f"a commit was refused: {answer!r}"))
                return
            self._waiting.pop().last = answer[1]
        if not self._waiting:
            self._send()

    def _fail(self, problem: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(problem)


async def commit(
    store: Redis, journals: Sequence[Journal], *, connections: int, together: int, edits: int
) -> Rate:
    """Commit so many edits in each room, through so many connections at once.

    ``together`` is how many commits share a round trip. Raises RuntimeError if one is refused.
    """
    loop = asyncio.get_running_loop()
    meter = Meter([], store)
    committers = [
        Committer(journals[number::connections], together, edits) for number in range(connections)
    ]
    start, before = clock(), meter.read()
    try:
        for committer in committers:
            await loop.create_connection(partial(same, committer), "127.0.0.1", store.port)
        await asyncio.gather(*(committer.done for committer in committers))
        used, seconds = meter.read() - before, clock() - start
    finally:
        for committer in committers:
            committer.transport.close()
    return Rate(edits * len(journals), seconds, used.redis)


def same(committer: Committer) -> Committer:
    return committer
