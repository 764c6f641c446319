"""The comparisons of one room with Redis: the command for each, and what Redis answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from collab.store import scripts
from collab.store.connection import Command
from collab.store.keys import room_keys
from collab.store.records import ZERO, BadRecord, Standing, deadline, entry_id
from collab.store.store import Store

MayCheck = Callable[[], bool]
"""Says at the moment when a check would be sent whether it is still wanted."""
OnStanding = Callable[[Standing | Exception], None]


class Checks:
    """Reads the state of the journal and snapshot of one room (see check.lua)."""

    def __init__(self, store: Store, room: str) -> None:
        self._store = store
        self._room = room
        self._keys = keys = room_keys(room)  # only these: see Commits
        self._command: Command = "EVALSHA", store.form(scripts.CHECK).digest, len(keys), *keys

    def send(self, may_check: MayCheck, on_standing: OnStanding) -> None:
        """Read the state, without a task or a Future: every open room is checked all the time.

        ``on_standing`` gets it, or the exception that `read` would raise, or one for a script that
        Redis does not have: `read` sends the script.
        """
        self._store.send(_Request(self._command, may_check, on_standing), self._keys[0])

    async def read(self) -> Standing:
        """Return the state. Raises StoreUnavailable."""
        asked = asyncio.get_running_loop().time()
        with self._store.damage.watch(self._room):
            return _parse(await self._store.run_on(scripts.CHECK, self._keys), asked)


class _Request:
    """One check on its way."""

    __slots__ = ("_asked", "_command", "_may_check", "_on_standing")

    def __init__(self, command: Command, may_check: MayCheck, on_standing: OnStanding) -> None:
        self._command = command
        self._may_check = may_check
        self._on_standing = on_standing
        self._asked = 0.0

    def command(self) -> Command | None:
        if not self._may_check():
            return None
        self._asked = asyncio.get_running_loop().time()
        return self._command

    def handle(self, answer: Any) -> None:
        if isinstance(answer, Exception):
            self._on_standing(answer)
            return
        try:
            standing = _parse(answer, self._asked)
        except BadRecord as problem:  # the other rooms, whose answers follow, must not suffer
            self._on_standing(problem)
        else:
            self._on_standing(standing)


def _parse(answer: Any, asked: float) -> Standing:
    epoch, tail, snapshot_at, digest, ttl = answer
    return Standing(
        epoch.decode("utf-8", errors="replace"),  # then it is not the one that the node knows
        entry_id(tail) if tail else ZERO,
        entry_id(snapshot_at) if snapshot_at else ZERO,
        digest.decode(),
        deadline(asked, ttl),
    )
