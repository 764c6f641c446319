"""The token of a Yjs session: the warning before it expires, its end, and a new one."""

from __future__ import annotations

from collections.abc import Callable

from collab.access.expiry import Expiry
from collab.access.grant import Grant
from collab.admission import Admission
from collab.errors import CollabError, NotAllowed, Unauthorized
from collab.rooms.identity import Identity
from collab.yjs import protocol
from collab.yjs.ending import Ended, refused


class SessionToken:
    """Watches what a session's client was granted in ``room``.

    ``send`` sends a message to the client; ``end`` closes its connection soon.
    """

    def __init__(
        self,
        admission: Admission,
        grant: Grant,
        room: str,
        send: Callable[[bytes], None],
        end: Callable[[Ended], None],
    ) -> None:
        self._admission = admission
        self._grant = grant
        self._room = room
        self._send = send
        self._end = end
        self._expiry = Expiry(self._expiring, self._expired)

    def watch(self) -> None:
        """Begin to watch: the session begins."""
        self._expiry.watch(self._grant)

    def check(self) -> None:
        """Raise Ended if the token has expired."""
        try:
            self._grant.check()
        except Unauthorized as problem:
            raise refused(problem) from None

    def close(self) -> None:
        """Stop watching: the session has ended."""
        self._expiry.close()

    async def renew(self, token: str) -> Identity | None:
        """Go on with a new token, and answer; None if it was refused, and the last one stays.

        Raises Ended if the new token does not let the client into the room.
        """
        try:
            grant = await self._admission.renew(self._grant, token)
            identity = await self._admission.admit(grant, self._room)
        except NotAllowed as problem:
            raise refused(problem) from None
        except CollabError as problem:
            reason = problem.reason if isinstance(problem, Unauthorized) else problem.code
            self._send(protocol.token_message(reason, 0))
            return None
        self._grant = grant
        self._expiry.watch(grant)
        self._send(protocol.token_message("", round(grant.seconds_left() or 0)))
        return identity

    def _expiring(self, left: float) -> None:
        self._send(protocol.expiring_message(round(left)))

    def _expired(self) -> None:
        self._end(refused(Unauthorized("the token has expired", "token_expired")))
