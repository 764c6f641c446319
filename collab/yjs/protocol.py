"""The y-websocket protocol: what a frame says. No sockets here.

A frame is one message: sync (0), awareness (1), auth (2, only to clients), query awareness (3),
and of our own, for clients that ask, stored (100). pycrdt has the codec; it trusts its input,
so lengths and numbers are checked here before it reads them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from pycrdt import (
    Decoder,
    Encoder,
    YMessageType,
    YSyncMessageType,
    create_awareness_message,
    create_update_message,
    write_message,
)

from collab.rooms.presence import State

MAX_STATE_BYTES = 4096
"""Of one member's awareness: a name, a color, and a few cursors have a tenth of it."""
MAX_STATES = 10_000
"""In one frame: y-websocket sends back all it is told, so all members of a room may be in it."""
MAX_NUMBER = 2**53 - 1
"""What JavaScript can count to: a greater one makes the other clients fail."""
MAX_NUMBER_BYTES = 8
"""So many seven bits hold `MAX_NUMBER`."""


MAX_STATE_DEPTH = 32
"""Of nested objects and lists: deeper ones can be read here and not where the stack is deeper."""


class MessageType(IntEnum):
    """The first number of a frame."""

    SYNC = YMessageType.SYNC
    AWARENESS = YMessageType.AWARENESS
    AUTH = 2
    QUERY_AWARENESS = 3
    STORED = 100


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


class _Reader(Decoder):
    """pycrdt's decoder with its input checked first."""

    def read_var_uint(self) -> int:
        head = self.stream[self.i0 : self.i0 + MAX_NUMBER_BYTES]
        if not any(byte < 0x80 for byte in head):
            raise BadFrame("a number ends too late or not at all")
        number: int = super().read_var_uint()
        if number > MAX_NUMBER:
            raise BadFrame("a number is too large")
        return number

    def read_bytes(self) -> bytes:
        """Read what has its length in front."""
        start, end = self.read_var_uint(), len(self.stream)
        if self.i0 + start > end:
            raise BadFrame("the message ends too soon")
        content = self.stream[self.i0 : self.i0 + start]
        self.i0 += start
        self.length = end - self.i0
        return content

    def finish(self) -> None:
        """Check that all was read."""
        if self.i0 != len(self.stream):
            raise BadFrame("there is more after the message's end")


def parse(frame: bytes) -> Message:
    """Read one frame. Raises BadFrame."""
    reader = _Reader(frame)
    kind = reader.read_var_uint()
    message: Message
    if kind == MessageType.SYNC:
        message = _sync(reader)
    elif kind == MessageType.AWARENESS:
        message = _aware(_Reader(reader.read_bytes()))
    elif kind == MessageType.QUERY_AWARENESS:
        message = QueryAwareness()
    elif kind == MessageType.STORED:
        message = Stored(reader.read_var_uint())
    else:
        raise BadFrame("a client does not send such a message")
    reader.finish()
    return message


def _sync(reader: _Reader) -> Message:
    step = reader.read_var_uint()
    content = reader.read_bytes()
    if step == YSyncMessageType.SYNC_STEP1:
        return Step1(content)
    if step in (YSyncMessageType.SYNC_STEP2, YSyncMessageType.SYNC_UPDATE):
        return Update(content, answer=step == YSyncMessageType.SYNC_STEP2)
    raise BadFrame("there is no such step of syncing")


def _aware(reader: _Reader) -> Aware:
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
    return bytes((MessageType.SYNC, YSyncMessageType.SYNC_STEP1)) + write_message(state_vector)


def step2_message(update: bytes) -> bytes:
    """Return the answer to step 1."""
    return bytes((MessageType.SYNC, YSyncMessageType.SYNC_STEP2)) + write_message(update)


def update_message(update: bytes) -> bytes:
    """Return an update that nobody asked for."""
    message: bytes = create_update_message(update)
    return message


def is_update(message: bytes) -> bool:
    """Whether a message that this node sends is an update that nobody asked for."""
    return message[:2] == bytes((MessageType.SYNC, YSyncMessageType.SYNC_UPDATE))


def awareness_message(states: bytes) -> bytes:
    """Return an awareness update."""
    message: bytes = create_awareness_message(states)
    return message


def denied_message(reason: str) -> bytes:
    """Return y-protocols' auth message: permission denied (0), and why."""
    return _message(MessageType.AUTH, 0, reason)


def stored_message(number: int, node: str) -> bytes:
    """Return the answer to `Stored`, with the name of this node."""
    return _message(MessageType.STORED, number, node)


def _message(kind: int, number: int, words: str) -> bytes:
    encoder = Encoder()
    encoder.write_var_uint(kind)
    encoder.write_var_uint(number)
    encoder.write_var_string(words)
    return encoder.to_bytes()
