"""Admission to a node: every endpoint asks here before a connection or a member exists.

One `Admission` decides for the Socket.IO endpoint, the Yjs endpoint and the HTTP API which clients
may connect, who a client is, and what it may do in a room. It counts the connections of all
endpoints, and moves all of them to other nodes when the node drains.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import replace
from typing import Any, Protocol

from collab.access.grant import ANY_ROOM, Grant, Verifier, bearer_token
from collab.access.rulings import Rulings
from collab.api_keys import ApiKey, Scope
from collab.budget import Budgets
from collab.config import Config
from collab.errors import Draining, KeyNotAccepted, NodeFull, RoomNotAllowed, Unauthorized
from collab.names import clean_name
from collab.rooms.identity import Identity, Role

log = logging.getLogger(__name__)


class Connection(Protocol):
    """A connection of any endpoint."""

    async def move_off(self, patience: float) -> None:
        """Make the client connect to another node, within ``patience`` seconds."""


class Admission:
    """Decides which clients may connect, and keeps track of all connections.

    Without a ``verifier`` the service is open to all. ``rulings`` say who has been removed, or has
    another role than its token gives it.
    """

    def __init__(
        self,
        config: Config,
        verifier: Verifier | None = None,
        budgets: Budgets | None = None,
    ) -> None:
        self.draining = False
        self.origins = config.origins(closed=config.closed or verifier is not None)
        self.budgets = budgets or Budgets(config)
        self._max_connections = config.max_connections
        self._drain_time = config.drain_time
        self._api_keys = config.all_api_keys
        self._verifier = verifier
        self.rulings = Rulings(config, open_to_all=verifier is None)
        self._connections: set[Connection] = set()

    @property
    def is_open(self) -> bool:
        """Whether people need no token."""
        return self._verifier is None

    # Connections

    def check(self, origin: str | None, sockname: Any, host: str = "") -> None:
        """Check that a connection may begin; the arguments are those of `Origins.allow`.

        Raises OriginNotAllowed, Draining or NodeFull. The origin is checked first: a page that may
        not connect to this node may not connect to any other.
        """
        self.origins.check(origin, sockname, host)
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

    async def identify(self, connection: str, token: Any, name: Any, address: str = "") -> Grant:
        """Return what the ``token`` of a connection's client grants.

        While no token is asked for, clients do not prove who they are: the id of the connection is
        the subject, and the ``name`` that the client gives is used if it can be shown. Clients of
        one ``address`` then share quotas. Raises Unauthorized, NotAllowed, AuthUnavailable or
        StoreUnavailable.
        """
        if self._verifier is not None:
            grant = await self._verifier.identify(token)
            await self.rulings.check(grant)
            return grant
        shown = clean_name(name, f"guest-{connection[:4]}")
        return Grant(connection, shown, ((ANY_ROOM, Role.EDITOR),), address=address)

    async def renew(self, grant: Grant, token: Any) -> Grant:
        """Return what a new ``token`` grants to a connected client, which stays who it is.

        Raises what `identify` raises, and Unauthorized if the token is somebody else's.
        """
        if self._verifier is None:
            return grant
        renewed = await self.identify("", token, None)
        if renewed.subject != grant.subject:
            raise Unauthorized("the token is somebody else's", "other_subject")
        return renewed

    async def admit(self, grant: Grant, room: str) -> Identity:
        """Return the client with its role in ``room``, which need not be loaded yet.

        Raises Unauthorized, NotAllowed, AuthUnavailable or StoreUnavailable. A caller that then
        awaits something, before `rulings` know the client as one in the room, must `recheck`.
        """
        grant.check()
        if self._verifier is None:
            role = grant.role_in(room)
        else:
            role = await self._verifier.role_in(grant, room)
        if role is None:
            raise RoomNotAllowed("the token does not let its bearer into this room", room)
        role = await self.rulings.read_role(grant, room, role)
        return Identity(
            grant.subject, grant.name, role, proven=bool(grant.digest), address=grant.address
        )

    def recheck(self, grant: Grant, room: str, identity: Identity) -> Identity:
        """Return the identity that `admit` returned, with the rulings that were made since then.

        Raises Removed or Unauthorized.
        """
        role = self.rulings.role_in(grant, room, identity.role)
        return identity if role is identity.role else replace(identity, role=role)

    async def identify_caller(self, authorization: str, scope: Scope) -> ApiKey | Grant | None:
        """Return who makes a request to the HTTP API that needs a scope, by its ``Authorization``.

        Returns a key with that scope, or a person's grant, whose role `admit_caller` checks; None
        if the API is open. Raises KeyNotAccepted, ScopeMissing, or what `identify` raises.
        """
        try:
            key = self.check_key(authorization, scope)
        except KeyNotAccepted:
            if self._verifier is None:
                raise
            key = None
        if key is not None or self._verifier is None:
            return key
        return await self.identify("", bearer_token(authorization), None)

    async def admit_caller(self, grant: Grant, scope: Scope, room: str) -> Identity:
        """Return the person who makes a request about a room that needs a scope.

        Raises RoomNotAllowed, or what `admit` raises.
        """
        identity = await self.admit(grant, room)
        may = {Scope.READ: True, Scope.WRITE: identity.may_write, Scope.END: identity.may_end}
        if not may[scope]:
            raise RoomNotAllowed(f"a {identity.role.value} of the room may not do this", room)
        return identity

    def check_key(self, authorization: str, scope: Scope) -> ApiKey | None:
        """Check the ``Authorization`` header of a request to the API that needs a scope.

        Returns the caller's key; None if no key is configured. Raises KeyNotAccepted or
        ScopeMissing.
        """
        if not self._api_keys:
            return None
        key = self._api_keys.find(authorization)
        key.require(scope)
        return key
