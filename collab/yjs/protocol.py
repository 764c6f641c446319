"""The y-websocket protocol: what a frame says. No sockets here.

A frame is one message: sync (0), awareness (1), auth (2, only to clients), query awareness (3),
and of our own, for clients that ask, stored (100).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from collab.merge.awareness import State
from collab.merge.encoding import BadEncoding, Reader, packed

MAX_STATE_BYTES = 4096
"""Of one member's awareness: a name, a color, and a few cursors have a tenth of it."""
MAX_STATES = 10_000
"""In one frame: y-websocket sends back all it is told, so all members of a room may be in it."""
MAX_STATE_DEPTH = 32
"""Of nested objects and lists: deeper ones can be read here and not where the stack is deeper."""


class MessageType(IntEnum):
    """The first number of a frame."""

    SYNC = 0
    AWARENESS = 1
    AUTH = 2
    QUERY_AWARENESS = 3
    STORED = 100


class SyncStep(IntEnum):
    """The second number of a frame of sync."""

    STEP1 = 0
    STEP2 = 1
    UPDATE = 2


class BadFrame(Exception):
    """A frame that is not the protocol; the message is a sentence without content."""


class StateTooLarge(Exception):
    """A state over `MAX_STATE_BYTES`."""


@dataclass(frozen=True, slots=True)
class Step1:
    """The client has this state vector, and asks for what it lacks."""

    state_vector: bytes


@dataclass(frozen=True, slots=True)
class Update:
    """The client sends an update; ``answer`` says that it is all that was asked for by step 1."""

    update: bytes
    answer: bool


@dataclass(frozen=True, slots=True)
class Aware:
    """The client tells states: ``(client, clock, state as JSON)``."""

    states: list[tuple[int, int, bytes]]


@dataclass(frozen=True, slots=True)
class QueryAwareness:
    """The client asks for everybody's states."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The client asks to be told, with this number, when all it sent before is in Redis."""

    number: int


Message = Step1 | Update | Aware | QueryAwareness | Stored


def parse(frame: bytes) -> Message:
    """Read one frame. Raises BadFrame."""
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
    """Read a state that others are to be told. Raises BadFrame or StateTooLarge."""
    if len(raw) > MAX_STATE_BYTES:
        raise StateTooLarge(f"a state has {len(raw)} bytes; {MAX_STATE_BYTES} are the most")
    try:
        state: Any = json.loads(raw)
        # What Python takes for a number, NaN or 1e999, would make the other clients fail.
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
    """Return the question for what a copy with ``state_vector`` lacks."""
    return packed(MessageType.SYNC, SyncStep.STEP1, state_vector)


def step2_message(update: bytes) -> bytes:
    """Return the answer to step 1."""
    return packed(MessageType.SYNC, SyncStep.STEP2, update)


def update_message(update: bytes) -> bytes:
    """Return an update that nobody asked for."""
    return packed(MessageType.SYNC, SyncStep.UPDATE, update)


def is_update(message: bytes) -> bool:
    """Whether a message that this node sends is an update that nobody asked for."""
    return message[:2] == bytes((MessageType.SYNC, SyncStep.UPDATE))


def awareness_message(states: bytes) -> bytes:
    """Return an awareness update."""
    return packed(MessageType.AWARENESS, states)


def denied_message(reason: str) -> bytes:
    """Return y-protocols' auth message: permission denied (0), and why."""
    return packed(MessageType.AUTH, 0, reason.encode())


def stored_message(number: int, node: str) -> bytes:
    """Return the answer to `Stored`, with the name of this node."""
    return packed(MessageType.STORED, number, node.encode())
