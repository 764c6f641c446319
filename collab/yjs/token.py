"""The token of a Yjs session: the warning before it expires, its end, and a new one."""

from __future__ import annotations

from collections.abc import Callable

from collab.access.expiry import Expiry
from collab.access.grant import Grant
from collab.admission import Admission
from collab.errors import CollabError, NotAllowed, Unauthorized
from collab.rooms.identity import Identity, Role
from collab.yjs import protocol
from collab.yjs.ending import Ended, refused


class SessionToken:
    """Watches what a session's client was granted in ``room``, and applies rulings to it.

    ``id`` is the client's member. ``send`` sends a message to the client; ``end`` closes its
    connection soon, and sends nothing more; ``change_role`` changes what it may do.
    """

    connected = True

    def __init__(
        self,
        id: str,
        admission: Admission,
        grant: Grant,
        room: str,
        send: Callable[[bytes], None],
        end: Callable[[Ended], None],
        change_role: Callable[[Role], None],
    ) -> None:
        self.id = id
        self.grant = grant
        self.rooms = (room,)
        self._admission = admission
        self._room = room
        self._send = send
        self._end = end
        self._change_role = change_role
        self._ended: Ended | None = None
        self._expiry = Expiry(self._expiring, self._expired)

    def watch(self) -> None:
        """Begin to watch: the session begins."""
        self._expiry.watch(self.grant)
        self._admission.rulings.holders.add(self)

    def check(self) -> None:
        """Raise Ended if the token has expired, or the client may not be in the room any more."""
        if self._ended is not None:
            raise self._ended
        try:
            self.grant.check()
        except Unauthorized as problem:
            raise refused(problem) from None

    def is_valid(self) -> bool:
        """Whether `check` raises nothing."""
        return self._ended is None and not self.grant.has_expired()

    def close(self) -> None:
        """Stop watching: the session has ended."""
        self._expiry.close()
        del self._expiry  # it refers to this
        self._admission.rulings.holders.discard(self)

    # Rulings

    def let_go(self, problem: CollabError, *, may_return: bool) -> None:
        """End the connection; a Yjs member leaves no views behind."""
        self._ended = refused(problem)
        self._end(self._ended)

    def remove(self, room: str, problem: CollabError) -> None:
        """End the connection if it is one to ``room``."""
        if room == self._room:
            self.let_go(problem, may_return=False)

    def set_role(self, room: str, role: Role) -> None:
        """Set the client's role if it is connected to ``room``."""
        if room == self._room:
            self._change_role(role)

    async def renew(self, token: str) -> Identity | None:
        """Go on with a new token, and answer; None if it was refused, and the last one stays.

        Raises Ended if the new token does not let the client into the room.
        """
        try:
            grant = await self._admission.renew(self.grant, token)
            identity = await self._admission.admit(grant, self._room)
        except NotAllowed as problem:
            raise refused(problem) from None
        except CollabError as problem:
            reason = problem.reason if isinstance(problem, Unauthorized) else problem.code
            self._send(protocol.token_message(reason, 0))
            return None
        self.grant = grant
        self._expiry.watch(grant)
        self._send(protocol.token_message("", round(grant.seconds_left() or 0)))
        return identity

    def _expiring(self, left: float) -> None:
        self._send(protocol.expiring_message(round(left)))

    def _expired(self) -> None:
        self.let_go(Unauthorized("the token has expired", "token_expired"), may_return=True)
