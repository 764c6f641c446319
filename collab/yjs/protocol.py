"""The y-websocket protocol: parses and builds frames, without sockets.

A frame is one message: sync (0), awareness (1), auth (2, only to clients), query awareness (3),
and this service's own: stored (100) and token (101), for clients that ask, and expiring (102, only
to clients).
"""

from __future__ import annotations

import json
from collections.abc import Container
from dataclasses import dataclass, field
from enum import IntEnum
from operator import itemgetter
from typing import Any

from collab.merge.awareness import State
from collab.merge.encoding import BadEncoding, Reader, packed, prefixed

MAX_STATE_BYTES = 4096
"""Bytes of one member's awareness state: a name, a color and some cursors need a tenth of it."""
MAX_STATES = 4096
"""States in one frame: y-websocket sends back all states it gets, so a frame may have a room's. To
read them takes 5 ms."""
MAX_STATE_DEPTH = 32
"""Levels of nested objects and lists: deeper states could overflow the stack of other clients."""


class MessageType(IntEnum):
    """The first number of a frame."""

    SYNC = 0
    AWARENESS = 1
    AUTH = 2
    QUERY_AWARENESS = 3
    STORED = 100
    TOKEN = 101
    EXPIRING = 102


class SyncStep(IntEnum):
    """The second number of a frame of sync."""

    STEP1 = 0
    STEP2 = 1
    UPDATE = 2


class BadFrame(Exception):
    """A frame that violates the protocol; the message has none of the frame's content."""


class StateTooLarge(Exception):
    """A state over `MAX_STATE_BYTES`."""


@dataclass(frozen=True, slots=True)
class Step1:
    """The client has this state vector, and requests the updates that it lacks."""

    state_vector: bytes


@dataclass(frozen=True, slots=True)
class Update:
    """The client sends an update; ``answer`` is true if it answers the node's step 1."""

    update: bytes
    answer: bool


@dataclass(frozen=True, slots=True)
class Aware:
    """The client sends awareness states: ``(client, clock, state as JSON)``."""

    states: list[tuple[int, int, bytes]]

    def newest(self, own: int | None, others: Container[int] = ()) -> tuple[int, int, bytes] | None:
        """Return the newest of the states that the member sends of itself, None if there is none.

        ``own`` is the member's client id; if it is not known, it is the first with a state that is
        not among ``others``. y-websocket also sends back the states of others, which count for
        nothing.
        """
        if own is None:
            shown = (client for client, _, raw in self.states if raw != b"null")
            own = next((client for client in shown if client not in others), None)
        mine = (state for state in self.states if state[0] == own)
        return max(mine, key=itemgetter(1), default=None)


@dataclass(frozen=True, slots=True)
class QueryAwareness:
    """The client requests the states of all clients."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The client requests an answer with this number when all it sent before is in Redis."""

    number: int


@dataclass(frozen=True, slots=True)
class Token:
    """The client goes on with a new token."""

    token: str = field(repr=False)


Message = Step1 | Update | Aware | QueryAwareness | Stored | Token


def parse(frame: bytes) -> Message:
    """Parse one frame. Raises BadFrame."""
    reader = Reader(frame)
    try:
        message = _message(reader)
        reader.finish()
    except BadEncoding as problem:
        raise BadFrame(str(problem)) from None
    return message


def _message(reader: Reader) -> Message:
    kind = reader.read_var_uint()
    if kind == MessageType.SYNC:
        return _sync(reader)
    if kind == MessageType.AWARENESS:
        return _aware(Reader(reader.read_bytes()))
    if kind == MessageType.QUERY_AWARENESS:
        return QueryAwareness()
    if kind == MessageType.STORED:
        return Stored(reader.read_var_uint())
    if kind == MessageType.TOKEN:
        return Token(reader.read_bytes().decode("latin-1"))  # a token is ASCII, or refused
    raise BadFrame("a client does not send such a message")


def _sync(reader: Reader) -> Message:
    step = reader.read_var_uint()
    content = reader.read_bytes()
    if step == SyncStep.STEP1:
        return Step1(content)
    if step in (SyncStep.STEP2, SyncStep.UPDATE):
        return Update(content, answer=step == SyncStep.STEP2)
    raise BadFrame("there is no such step of syncing")


def _aware(reader: Reader) -> Aware:
    count = reader.read_var_uint()
    if count > MAX_STATES:
        raise BadFrame("too many states in one message")
    states = [
        (reader.read_var_uint(), reader.read_var_uint(), reader.read_bytes()) for _ in range(count)
    ]
    reader.finish()
    return Aware(states)


def parse_state(raw: bytes) -> State | None:
    """Parse a state that will be sent to others. Raises BadFrame or StateTooLarge."""
    if len(raw) > MAX_STATE_BYTES:
        raise StateTooLarge(f"a state has {len(raw)} bytes; at most {MAX_STATE_BYTES} are allowed")
    try:
        state: Any = json.loads(raw)
        # Python accepts NaN and 1e999 as numbers; they would make other clients fail.
        json.dumps(state, allow_nan=False)
    except (ValueError, RecursionError):
        raise BadFrame("a state is not JSON") from None
    if state is not None and not isinstance(state, dict):
        raise BadFrame("a state must be an object, or null")
    if not _is_shallow(state, MAX_STATE_DEPTH):
        raise BadFrame("a state is nested too deep")
    return state


def _is_shallow(value: Any, depth: int) -> bool:
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return True
    return depth > 0 and all(_is_shallow(inner, depth - 1) for inner in value)


def step1_message(state_vector: bytes) -> bytes:
    """Return a request for the updates that a replica with ``state_vector`` lacks."""
    return packed(MessageType.SYNC, SyncStep.STEP1, state_vector)


def step2_message(update: bytes) -> bytes:
    """Return the answer to step 1."""
    return packed(MessageType.SYNC, SyncStep.STEP2, update)


UPDATE_HEAD = bytes((MessageType.SYNC, SyncStep.UPDATE))
"""The beginning of a frame with an update, before the update's size."""
MAX_SMALL = 1 << 7
"""Bytes of an update whose size takes more than one byte."""


def update_message(update: bytes) -> bytes:
    """Return an update that answers no request."""
    return UPDATE_HEAD + prefixed(update)


QUICK = frozenset((MessageType.SYNC, MessageType.AWARENESS))


def is_quick(message: str | bytes) -> bool:
    """Whether a client's message is one of those that typing sends, and needs no task to handle."""
    return isinstance(message, bytes) and message[:1] != b"" and message[0] in QUICK


def is_update(message: bytes) -> bool:
    """Whether a message that this node sends was made by `update_message`."""
    return message.startswith(UPDATE_HEAD)


def small_update(message: str | bytes) -> bytes | None:
    """Return the update that a client's frame holds; None if it is another frame, or not small.

    Most frames hold a keystroke. `parse` reads all of them.
    """
    if isinstance(message, bytes) and message.startswith(UPDATE_HEAD):
        size = len(message) - len(UPDATE_HEAD) - 1
        if 0 < size < MAX_SMALL and message[len(UPDATE_HEAD)] == size:
            return message[len(UPDATE_HEAD) + 1 :]
    return None


def awareness_message(states: bytes) -> bytes:
    """Return an awareness update."""
    return packed(MessageType.AWARENESS, states)


def denied_message(reason: str) -> bytes:
    """Return y-protocols' auth message: permission denied (0), with the reason."""
    return packed(MessageType.AUTH, 0, reason.encode())


def stored_message(number: int, node: str) -> bytes:
    """Return the answer to `Stored`, with the name of this node."""
    return packed(MessageType.STORED, number, node.encode())


def token_message(reason: str, expires_in: int) -> bytes:
    """Return the answer to `Token`: why it was refused, or "", and the seconds until it expires.

    The seconds are 0 if the token was refused, or does not expire.
    """
    return packed(MessageType.TOKEN, reason.encode(), expires_in)


def expiring_message(expires_in: int) -> bytes:
    """Return the warning that the client's token expires in some seconds."""
    return packed(MessageType.EXPIRING, expires_in)
