"""The commits of one room: the command for each, and what Redis answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from redis.exceptions import NoScriptError

from collab.errors import StoreUnavailable
from collab.store import scripts
from collab.store.channel import writer_word
from collab.store.connection import Command
from collab.store.keys import room_channel, room_keys
from collab.store.records import (
    BadRecord,
    Committed,
    NextCommit,
    Refused,
    deadline,
    entry_id,
    entry_text,
    milliseconds,
    parse_entries,
)
from collab.store.store import Store

Prepare = Callable[[], NextCommit | None]
"""Makes a commit at the moment when it is sent; None if there is none any more."""
OnOutcome = Callable[[Committed | Refused | Exception], None]

_MODES: Final = {True: "exact", False: "append"}


class Commits:
    """Appends to the journal of one room (see commit.lua).

    The words that are the same in all commits of the room are made once.
    """

    def __init__(self, store: Store, room: str) -> None:
        self._store = store
        self._room = room
        self._outcomes = store.metrics.commits
        self._clock = asyncio.get_running_loop().time
        # Only the keys that there are while the room has a journal: a cluster that moves a slot
        # refuses commands with several keys of which one is missing.
        self._keys = keys = room_keys(room)
        digest = store.form(scripts.COMMIT).digest
        self._first_words: Command = "EVALSHA", digest, len(keys), *keys
        self._channel = room_channel(room)

    def send(self, prepare: Prepare, on_outcome: OnOutcome) -> None:
        """Append to the journal, without a task or a Future.

        ``prepare`` returns the commit when it is sent. Then ``on_outcome`` gets Redis' answer, or
        the exception that `commit` would raise, or one for a script that Redis does not have:
        `commit` sends the script.
        """
        self._store.send(_Request(self, prepare, on_outcome), self._keys[0])

    async def commit(self, next_commit: NextCommit) -> Committed | Refused:
        """Append to the journal. Raises StoreUnavailable."""
        asked = self._clock()
        arguments = self._arguments(next_commit)
        try:
            with self._store.damage.watch(self._room):
                answer = await self._store.run_on(scripts.COMMIT, self._keys, *arguments)
                return self._parse(answer, asked)
        except StoreUnavailable:
            self.count_failure()
            raise

    def count_failure(self) -> None:
        """Count a commit that Redis did not answer, or answered with an error."""
        self._outcomes.labels("failed").inc()

    def _arguments(self, next_commit: NextCommit) -> Command:
        epoch, last, commit, exact, own = next_commit
        return (
            epoch, entry_text(last), milliseconds(commit.ttl), _MODES[exact], commit.text,
            self._channel, writer_word(self._store.writer, commit.trace), commit.merged, own,
            commit.nonce, *commit.words(),
        )  # fmt: skip

    def _parse(self, answer: Any, asked: float) -> Committed | Refused:
        word = answer[0].decode()
        self._outcomes.labels(word).inc()
        if word == "ok":
            _, id, ttl, length, size, missed = answer
            return Committed(
                entry_id(id), deadline(asked, ttl), length, size, parse_entries(missed)
            )
        return Refused(word, parse_entries(answer[1]) if len(answer) > 1 else [])


class _Request:
    """One commit on its way."""

    __slots__ = ("_asked", "_commits", "_on_outcome", "_prepare")

    def __init__(self, commits: Commits, prepare: Prepare, on_outcome: OnOutcome) -> None:
        self._commits = commits
        self._prepare = prepare
        self._on_outcome = on_outcome
        self._asked = 0.0

    def command(self) -> Command | None:
        next_commit = self._prepare()
        if next_commit is None:
            return None
        commits = self._commits
        self._asked = commits._clock()
        return commits._first_words + commits._arguments(next_commit)

    def handle(self, answer: Any) -> None:
        if isinstance(answer, Exception):
            if not isinstance(answer, NoScriptError):  # which is sent next
                self._commits.count_failure()
            self._on_outcome(answer)
            return
        try:
            outcome = self._commits._parse(answer, self._asked)
        except BadRecord as problem:  # the other rooms, whose answers follow, must not suffer
            self._on_outcome(problem)
        else:
            self._on_outcome(outcome)
