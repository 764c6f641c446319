"""What becomes of the grants of Socket.IO clients: new tokens, expired tokens, and rulings."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from collab.access.grant import Grant
from collab.admission import Admission
from collab.errors import CollabError, RoomNotAllowed, Unauthorized
from collab.rooms.identity import Identity
from collab.sio.client import Client
from collab.sio.memberships import Memberships
from collab.sio.server import Server, encode_event


class Grants:
    """Applies new tokens to the clients of a node, and ends what a client may not have any more.

    ``clients`` has the connected clients by their sids. A client refers to some of the methods
    here, so these are given its sid: with the client itself it would refer to itself.
    """

    def __init__(
        self, clients: Mapping[str, Client], admission: Admission, memberships: Memberships,
        server: Server,
    ) -> None:  # fmt: skip
        self._clients = clients
        self._admission = admission
        self._memberships = memberships
        self._server = server
        self._letting_go: set[asyncio.Task[None]] = set()

    async def renew(self, client: Client, token: Any) -> Grant:
        """Go on with a new token; in each of its rooms the client has the role that it grants.

        Returns what the token grants. Raises what `Admission.renew` and `Admission.admit` raise,
        except RoomNotAllowed: the client is removed from such a room.
        """
        grant = await self._admission.renew(client.grant, token)
        names = list(client.lines)
        admitted = await asyncio.gather(*(self._try_to_admit(grant, name) for name in names))
        if client.connected:
            client.grant = grant
            client.watch()
            for name, identity in zip(names, admitted, strict=True):
                if (line := client.lines.get(name)) is None:
                    continue  # it was removed, or the room was ended, meanwhile
                if isinstance(identity, RoomNotAllowed):
                    self._memberships.remove(client, name, identity)
                else:
                    line.member.identity = identity
        return grant

    async def _try_to_admit(self, grant: Grant, name: str) -> Identity | RoomNotAllowed:
        try:
            return await self._admission.admit(grant, name)
        except RoomNotAllowed as problem:
            return problem

    # What a client's expiry calls

    def expiring(self, sid: str, left: float) -> None:
        """Tell a client that its token expires in ``left`` seconds."""
        packet = encode_event("expiring", {"expires_in": round(left)})
        self._clients[sid].socket.outbox.put_slot("expiring", lambda: [packet])

    def expired(self, sid: str) -> None:
        """Disconnect a client whose token has expired; its views are kept."""
        expired = Unauthorized("the token has expired", "token_expired")
        self.let_go(sid, expired, may_return=True)

    # What rulings call

    def let_go(self, sid: str, problem: CollabError, *, may_return: bool) -> None:
        """Disconnect a client, and say why; its views are kept if it ``may_return``."""
        client = self._clients[sid]
        if not may_return:
            for name in list(client.lines):
                self._memberships.leave(client, name, may_return=False)
        if not client.pid:
            return  # `SocketIOEndpoint.connect` refuses it
        ending = asyncio.create_task(self._disconnect(client, problem))
        self._letting_go.add(ending)
        ending.add_done_callback(self._letting_go.discard)

    async def _disconnect(self, client: Client, problem: CollabError) -> None:
        await self._server.eio.send_error(client.socket, problem)
        if problem.retryable:  # socket.io-client connects again if the transport ends
            await client.socket.end(self._server.reason.TRANSPORT_CLOSE)
        else:
            await self._server.disconnect(client.sid, ignore_queue=True)

    def remove(self, sid: str, name: str, problem: CollabError) -> None:
        """Remove a client from a room, if it is in there, and drop its views there."""
        self._memberships.expel(self._clients[sid], name, problem)
