"""The rooms of each client, as Redis has them in case the client's node is killed.

A page that joins only once, when it is loaded, does not join again when it has connected to another
node. That node asks the others for the client (`returns`); if nobody answers, this record still
tells in which rooms the page is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final

import orjson

from collab.errors import StoreUnavailable
from collab.rooms.absent import RETURN_TIMEOUT
from collab.store.keys import client_key
from collab.store.store import Store

log = logging.getLogger(__name__)

KEPT_SECONDS: Final = 1800
"""Seconds for which Redis keeps the rooms of a client of a node that was killed."""
REFRESH_SECONDS: Final = 600
"""Seconds between two times when a node writes the rooms of all its clients again: then they do not
expire, and a Redis that was emptied has them again."""
MAX_AT_ONCE: Final = 64
"""Records that are written at once, if many clients come or leave at the same time."""
RETRY_SECONDS: Final = 1.0
"""Seconds between two attempts to write a record, or to read one, while Redis is away."""


class RoomRecords:
    """Writes the rooms of this node's clients to Redis, and reads those of clients that come back.

    The `digest <collab.rooms.handover.digest>` of its pid names a client. Nobody waits for a
    record: one that could not be written before its node was killed is missing, or is an older one.
    """

    def __init__(
        self,
        store: Store,
        clients: Callable[[], Iterable[tuple[str, Iterable[str]]]],
        *,
        refresh_seconds: float = REFRESH_SECONDS,
    ) -> None:
        """``clients`` returns all clients of this node, and the rooms of each."""
        self._store = store
        self._clients = clients
        self._refresh_seconds = refresh_seconds
        self._due: dict[str, bytes] = {}  # by the client; empty if the record is to be deleted
        self._writing: asyncio.Task[None] | None = None
        self._refreshing: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to refresh the records."""
        self._refreshing = asyncio.create_task(self._refresh())

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(self._refresh_seconds)
            for client, rooms in self._clients():
                self.put(client, rooms)

    def put(self, client: str, rooms: Iterable[str]) -> None:
        """Record soon in which rooms a client is; there is no record of one that is in none."""
        names = [*rooms]
        self._due[client] = orjson.dumps(names) if names else b""
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())

    async def read(self, client: str) -> list[str]:
        """Return the rooms that a client was in, none if there is no record.

        The client will have another pid. The record is kept for a moment all the same, for the case
        that its new connection breaks before it has got that. Raises StoreUnavailable.
        """
        key, seconds = client_key(client), round(RETURN_TIMEOUT)
        try:
            names = orjson.loads(await self._store.call("GETEX", key, "EX", seconds) or b"[]")
            if not isinstance(names, list):
                raise ValueError("not a list")
        except (StoreUnavailable, ValueError) as problem:
            if isinstance(problem, StoreUnavailable) and "WRONGTYPE" not in str(problem):
                raise
            log.info("the rooms of a client could not be read", extra={"reason": str(problem)})
            return []
        return [name for name in names if isinstance(name, str)]

    async def close(self) -> None:
        """Write no more."""
        for task in filter(None, (self._refreshing, self._writing)):
            task.cancel()
            await asyncio.wait([task])

    async def _write_all(self) -> None:
        try:
            while self._due:
                some = [*islice(self._due.items(), MAX_AT_ONCE)]
                for client, _ in some:
                    del self._due[client]
                written = await asyncio.gather(*(self._write(*each) for each in some))
                if not all(written):
                    await asyncio.sleep(RETRY_SECONDS)
        finally:  # after any error the next record must be written
            self._writing = None

    async def _write(self, client: str, names: bytes) -> bool:
        key = client_key(client)
        try:
            if names:
                await self._store.call("SET", key, names, "EX", KEPT_SECONDS)
            else:
                await self._store.call("DEL", key)
        except StoreUnavailable:
            self._due.setdefault(client, names)  # unless there is a newer one
            return False
        return True
