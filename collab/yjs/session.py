"""One connection of a Yjs client: handles its messages, and sends it the room's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from dataclasses import replace
from functools import lru_cache
from math import inf
from time import monotonic
from typing import Any

from aiohttp import WSCloseCode

from collab.access.grant import Grant
from collab.admission import Admission
from collab.budget import Meter
from collab.config import Config
from collab.errors import (
    CollabError,
    Draining,
    RateLimited,
    RoomClosed,
    without_frames,
)
from collab.metrics import Metrics
from collab.rooms.identity import Identity, Role
from collab.rooms.room import Room
from collab.rooms.yjs_members import YjsMember
from collab.wire.outbox import Outbox, OutboxFull
from collab.wire.websocket import RESTART, WebSocket
from collab.yjs import ending, protocol
from collab.yjs.ending import NOT_ALLOWED, ROOM_CLOSED, TOO_LARGE, UNAUTHORIZED, Ended
from collab.yjs.sync import Sync
from collab.yjs.token import SessionToken

log = logging.getLogger(__name__)


@lru_cache(maxsize=4)
def _encode_update(update: bytes) -> bytes:
    """Frame an update once for all its members; the cache need only last for one fan-out."""
    return protocol.update_message(update)


class Session:
    """A Yjs member's connection, from joining the room to its end. It is the member's line."""

    member: YjsMember

    def __init__(
        self, id: str, room: Room, ws: WebSocket, meter: Meter, config: Config, metrics: Metrics,
        admission: Admission, grant: Grant,
    ) -> None:  # fmt: skip
        self.id = id
        self.room = room
        self._ws = ws
        self._config = config
        self._metrics = metrics
        self._outbox: Outbox[bytes] = Outbox(config.max_unsent_bytes, len, meter.hold)
        self._changed: set[int] = set()
        self._shown: set[int] = set()
        self._greeted = False
        self._done = asyncio.Event()
        self._ended: Ended | None = None
        self._left = False
        self._scheduler = meter.budgets.scheduler
        self._since = 0.0  # when the oldest update arrived that waits to be written
        self._closing: asyncio.Task[None] | None = None
        # Awareness has its own pace, so that cursors do not slow down edits.
        self._paces = {True: meter.pace("states", inf), False: meter.pace("updates", inf)}
        self._sync = Sync(room.yjs, self._send, config.node_id)
        self._token = SessionToken(
            id, admission, grant, room.name, self._send, self._end_at_once, self._change_role
        )

    def enter(self, identity: Identity) -> None:
        """Enter the room. Raises RoomFull or RoomClosed.

        A member and its line refer to each other, so neither can be an argument of the other.
        """
        self.member = self.room.join_yjs(self.id, identity, self)

    def leave(self) -> None:
        """Leave the room, unless the client has left it already."""
        if not self._left:
            self._left = True
            self.room.yjs.leave(self.member)

    def forget(self) -> None:
        """Refer to nothing that refers to this session, which has ended: no cycle is left."""
        del self.member, self._sync, self._token
        self._ended = None

    # What the room calls

    def update(self, update: bytes) -> None:
        """Send an update when the client can receive it."""
        if not self._since:
            self._since = self._scheduler.arrived or monotonic()
        self._send(_encode_update(update))

    def awareness_due(self, clients: Collection[int]) -> None:
        """Send the states of ``clients``, as they are when the client can receive them."""
        self._changed.update(clients)
        if self._greeted:
            self._outbox.put_when_idle("awareness", self._render_awareness)

    def ended(self) -> None:
        """Close the connection: the room has been ended."""
        self._end_soon(Ended(ROOM_CLOSED, str(RoomClosed(self.room.name)), RoomClosed.code))

    def let_go(self, problem: CollabError) -> None:
        """Close the connection because of ``problem``: the client uses too much of the node."""
        log.warning("client let go", extra={"sid": self.id, "reason": problem.code})
        self._ended = self._ended or Ended(ending.TRY_LATER, str(problem), problem.code)
        self._outbox.clear()
        self._closing = asyncio.create_task(ending.dismiss(self._ws, self._ended, self._metrics))

    # From beginning to end

    async def run(self) -> Ended:
        """Serve the client until the connection ends; return how it ended."""
        self._token.watch()
        self._sync.request_missing()
        writing = asyncio.create_task(self._ws.write_outbox(self._outbox, self._count_update))
        try:
            code = await self._ws.read_messages(self._read, protocol.is_quick, self._handle_now)
            ended = Ended(code, "")
        except Ended as problem:
            ended = without_frames(problem)
        finally:
            self._outbox.clear()
            self._token.close()
            writing.cancel()
            await asyncio.wait([writing])
        await self.close(ended)
        self._done.set()
        return self._ended or ended

    async def move_off(self, patience: float) -> None:
        """Make the client connect to another node, within ``patience`` seconds.

        Everything that the client sends until it answers the Close frame is handled.
        """
        ended = Ended(RESTART, str(Draining()))
        self._ended = self._ended or ended
        self._outbox.close()
        await self._ws.announce_close(ended.code, ended.reason)
        try:
            async with asyncio.timeout(patience):
                await self._done.wait()
        except TimeoutError:
            self._ws.abort()

    def _end_at_once(self, ended: Ended) -> None:
        """Leave the room at once, and close the connection: the client may not answer that."""
        self.leave()
        self._outbox.clear()
        self._end_soon(ended)

    def _end_soon(self, ended: Ended) -> None:
        self._closing = asyncio.create_task(self.close(ended))

    async def close(self, ended: Ended) -> None:
        """Close the connection; its session then ends."""
        self._ended = self._ended or ended
        await ending.close(self._ws, ended, self._metrics)

    async def _read(self, message: str | bytes) -> None:
        if isinstance(message, str):
            reason = "text frames are not accepted here"
            raise Ended(WSCloseCode.UNSUPPORTED_DATA, reason, "bad_frame")
        try:
            await self._handle(message)
        except protocol.BadFrame as problem:
            raise Ended(WSCloseCode.PROTOCOL_ERROR, str(problem), "bad_frame") from None

    def _count_update(self, message: bytes) -> None:
        if protocol.is_update(message):
            self._metrics.updates.inc()
            since, self._since = self._since, 0.0
            if since:  # the oldest of those that are written together
                self._metrics.delivery_seconds.observe(monotonic() - since)

    def _send(self, message: bytes) -> None:
        try:
            self._outbox.put(message)
        except OutboxFull:
            # The client would not read a reason. When it reconnects, it requests what it lacks.
            log.warning("client reads too slowly", extra={"sid": self.id, "room": self.room.name})
            self._outbox.close()
            self._ws.abort()

    # The client's messages

    def _handle_now(self, message: str | bytes) -> bool:
        """Handle a keystroke as `_handle` does, if that would neither wait nor raise an error.

        Otherwise it returns False, and has done nothing.
        """
        update = protocol.small_update(message)
        identity, now, pace = self.member.identity, monotonic(), self._paces[False]
        if not (
            update is not None
            and pace.passes(now)
            and self._token.is_valid()
            and identity.may_write
            and self.room.may_commit(identity, now)
            and self.room.yjs.merge_keystroke(self.member, update)
        ):
            return False
        pace.wait(now)
        return True

    async def _handle(self, frame: bytes) -> None:
        message = protocol.parse(frame)
        aware = isinstance(message, protocol.Aware)
        if delay := self._paces[aware].wait(monotonic()):
            self._metrics.slowed.inc()
            await asyncio.sleep(delay)
        self._token.check()
        if isinstance(message, protocol.Update):
            try:
                await self.room.wait_for_quota(self.member.identity)
            except RateLimited as problem:
                raise Ended(ending.TRY_LATER, str(problem), problem.code) from None
            if message.answer:
                self._greet()
            await self._sync.handle_update(self.member, message)
        elif isinstance(message, protocol.Aware):
            self._handle_states(message)
        elif isinstance(message, protocol.Step1):
            self._sync.handle_step1(message)
        elif isinstance(message, protocol.Stored):
            self._sync.questions.ask(message.number)
        elif isinstance(message, protocol.Token):
            await self._renew(message.token)
        else:
            self._greeted = False
            self._greet()

    async def _renew(self, token: str) -> None:
        """Go on with a new token, and the role that it grants."""
        identity = await self._token.renew(token)
        if identity is not None:
            self._change_identity(identity)

    def _change_role(self, role: Role) -> None:
        self._change_identity(replace(self.member.identity, role=role))

    def _change_identity(self, identity: Identity) -> None:
        wrote, self.member.identity = self.member.identity.may_write, identity
        if identity.may_write and not wrote:
            self._sync.handle_write_access()

    # Awareness

    def _handle_states(self, message: protocol.Aware) -> None:
        member = self.member
        newest = message.newest(member.client, self._shown)
        if newest is not None:
            client, clock, raw = newest
            try:
                state = protocol.parse_state(raw)
            except protocol.StateTooLarge as problem:
                raise Ended(TOO_LARGE, str(problem), "state_too_large") from None
            self.room.yjs.set_state(member, client, state, clock)
        self._greet()

    def _greet(self) -> None:
        """Send all states, once: by now the client may have sent its own, so its id is known."""
        if not self._greeted:
            self._greeted = True
            self.awareness_due(self.room.presence.clients())

    def _render_awareness(self) -> list[bytes]:
        """Return the changed states; even none, since y-websocket takes silence for a lost link."""
        clients, self._changed = self._changed - {self.member.client}, set()
        if self.member.client is None:
            self._shown |= clients
        return [protocol.awareness_message(self.room.presence.states(clients))]


def log_fields(session: Session, ended: Ended) -> dict[str, Any]:
    """Return the log fields of a session's end.

    A refusal is logged as a word: its sentence may be a hook's, and repeat the token.
    """
    reason = ended.word if ended.code in (UNAUTHORIZED, NOT_ALLOWED) else ended.reason
    return {"sid": session.id, "code": int(ended.code), "reason": reason}
