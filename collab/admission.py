"""Admission to a node: every endpoint asks here before a connection or a member exists.

One `Admission` decides for the Socket.IO endpoint, the Yjs endpoint and the HTTP API which clients
may connect, who a client is, and what it may do in a room. It counts the connections of all
endpoints, and moves all of them to other nodes when the node drains.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from collab.budget import Budgets
from collab.config import Config
from collab.errors import Draining, NodeFull, NotAllowed
from collab.names import clean_name
from collab.rooms.identity import Identity, Role

log = logging.getLogger(__name__)

MayWrite = Callable[[str, str], bool]
"""Given the names of a room and a client, returns whether the client may write there."""


def everybody(room: str, name: str) -> bool:
    """Let all clients write."""
    return True


class Connection(Protocol):
    """A connection of any endpoint."""

    async def move_off(self, patience: float) -> None:
        """Make the client connect to another node, within ``patience`` seconds."""


class Admission:
    """Decides which clients may connect, and keeps track of all connections."""

    def __init__(self, config: Config, may_write: MayWrite, budgets: Budgets | None = None) -> None:
        self.draining = False
        self.origins = config.cors_origins
        self.budgets = budgets or Budgets(config)
        self._max_connections = config.max_connections
        self._drain_time = config.drain_time
        self._api_key = config.api_key.encode(errors="surrogateescape")
        self._may_write = may_write
        self._connections: set[Connection] = set()

    # Connections

    def check(self, origin: str | None, sockname: Any) -> None:
        """Check that a connection may begin; the arguments are those of `Origins.allow`.

        Raises OriginNotAllowed, Draining or NodeFull. The origin is checked first: a page that may
        not connect to this node may not connect to any other.
        """
        self.origins.check(origin, sockname)
        self.check_capacity()

    def check_capacity(self) -> None:
        """Check that the node accepts one more connection. Raises Draining or NodeFull."""
        if self.draining:
            raise Draining()
        if len(self._connections) >= self._max_connections:
            raise NodeFull("this node has as many connections as it may have")

    def add(self, connection: Connection) -> None:
        """Add a connection of any endpoint that has begun."""
        self._connections.add(connection)

    def discard(self, connection: Connection) -> None:
        """Remove a connection that has ended."""
        self._connections.discard(connection)

    async def drain(self) -> None:
        """Refuse new connections, and move all others to other nodes. A second call does nothing.

        The moves are spread over half of the drain time, so that the clients do not all reconnect
        at once. Each client has the other half of it to send its last messages.
        """
        if self.draining:
            return
        self.draining = True
        spread = self._drain_time / 2
        leaving = list(self._connections)
        random.shuffle(leaving)
        log.info("draining", extra={"clients": len(leaving)})
        async with asyncio.TaskGroup() as group:
            for number, connection in enumerate(leaving):
                if number:
                    await asyncio.sleep(spread / len(leaving))
                group.create_task(connection.move_off(spread))

    # Who a client is

    def identify(self, connection: str, name: Any) -> Identity:
        """Return the identity of a connection's client, with its ``name`` if that can be shown.

        Clients do not prove who they are, so the id of the connection is the subject.
        """
        return Identity(connection, clean_name(name, f"guest-{connection[:4]}"))

    def admit(self, identity: Identity, room: str) -> Identity:
        """Return the client with its role in ``room``."""
        writes = self._may_write(room, identity.name)
        return replace(identity, role=Role.EDITOR if writes else Role.VIEWER)

    def check_key(self, authorization: str) -> None:
        """Check the ``Authorization`` header of an API request. Raises NotAllowed."""
        if not self._api_key:
            return
        scheme, _, shown = authorization.partition(" ")
        given = shown.strip().encode(errors="surrogateescape")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given, self._api_key):
            raise NotAllowed("this needs the API's key: Authorization: Bearer KEY")
