"""The entrance of a node: every endpoint asks here before a connection or a member exists.

One `Admission` decides for the Socket.IO endpoint, the Yjs endpoint and the HTTP API who may
connect, who a client is, and what it may do in a room. It counts the connections of all endpoints,
and moves all of them off when the node drains.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from collab.config import Config
from collab.errors import Draining, NodeFull, NotAllowed
from collab.names import clean_name
from collab.rooms.identity import Identity, Role

log = logging.getLogger(__name__)

MayWrite = Callable[[str, str], bool]
"""Given a room's name and a client's, says whether the client may write there, or only read."""


def everybody(room: str, name: str) -> bool:
    """Let all clients write."""
    return True


class Connection(Protocol):
    """A connection of any endpoint."""

    async def move_off(self, patience: float) -> None:
        """Send the client to another node, in ``patience`` seconds at most."""


class Admission:
    """Decides who comes in, and knows which connections there are."""

    def __init__(self, config: Config, may_write: MayWrite) -> None:
        self.draining = False
        self.origins = config.cors_origins
        self._max_connections = config.max_connections
        self._drain_time = config.drain_time
        self._api_key = config.api_key.encode(errors="surrogateescape")
        self._may_write = may_write
        self._connections: set[Connection] = set()

    # Connections

    def check(self, origin: str | None, sockname: Any) -> None:
        """Check that a connection may begin; the arguments are those of `Origins.allow`.

        Raises OriginNotAllowed, Draining or NodeFull. The origin comes first: a page that may not
        connect here may connect to no other node.
        """
        self.origins.check(origin, sockname)
        self.check_capacity()

    def check_capacity(self) -> None:
        """Check that the node takes one more connection. Raises Draining or NodeFull."""
        if self.draining:
            raise Draining()
        if len(self._connections) >= self._max_connections:
            raise NodeFull("this node has all the connections it may have")

    def add(self, connection: Connection) -> None:
        """Count a connection that has begun, of any endpoint."""
        self._connections.add(connection)

    def discard(self, connection: Connection) -> None:
        """Count a connection no more; it has ended."""
        self._connections.discard(connection)

    async def drain(self) -> None:
        """Let no connection begin any more, and move all off. A second call does nothing.

        They are spread over half of the drain time, so that they do not storm the other nodes. Each
        has the other half for what its client still has to say.
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
        """Return who the client of a connection is: the ``name`` that it gives, if it can be shown.

        Nobody is asked to prove who they are, so the id of the connection is the subject.
        """
        return Identity(connection, clean_name(name, f"guest-{connection[:4]}"))

    def admit(self, identity: Identity, room: str) -> Identity:
        """Return the client with its role in ``room``."""
        writes = self._may_write(room, identity.name)
        return replace(identity, role=Role.EDITOR if writes else Role.VIEWER)

    def check_key(self, authorization: str) -> None:
        """Check the ``Authorization`` of a caller of the HTTP API. Raises NotAllowed."""
        if not self._api_key:
            return
        scheme, _, shown = authorization.partition(" ")
        given = shown.strip().encode(errors="surrogateescape")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given, self._api_key):
            raise NotAllowed("this needs the API's key: Authorization: Bearer KEY")
