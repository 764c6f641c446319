"""Frames of y-websocket: how they are parsed, and which are refused."""

from __future__ import annotations

import random
import time
from collections.abc import Container
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycrdt import Awareness, Doc, Text, create_sync_message

from collab.merge.encoding import packed
from collab.yjs import protocol
from collab.yjs.protocol import Aware, BadFrame, QueryAwareness, Step1, Stored, Token, Update, parse


def awareness_frame(state: dict[str, object]) -> bytes:
    awareness = Awareness(Doc(client_id=7))
    awareness.set_local_state(state)
    return protocol.awareness_message(awareness.encode_awareness_update([7]))


def document_frames() -> list[bytes]:
    doc: Doc[Any] = Doc()
    text = doc.get("code", type=Text)
    text += "some text 🐍"
    update, vector = doc.get_update(), doc.get_state()
    return [
        create_sync_message(doc), protocol.step1_message(vector), protocol.step2_message(update),
        protocol.update_message(update), awareness_frame({"user": {"name": "Ada"}}), b"\x03",
        b"\x64\x05", b"\x65\x03a.b",
    ]  # fmt: skip


def test_each_type_of_frame_is_parsed() -> None:
    kinds = [type(parse(frame)) for frame in document_frames()]
    assert kinds == [Step1, Step1, Update, Update, Aware, QueryAwareness, Stored, Token]
    assert parse(protocol.step2_message(b"\0\0")) == Update(b"\0\0", answer=True)
    assert parse(protocol.update_message(b"\0\0")) == Update(b"\0\0", answer=False)
    assert parse(b"\x64\x05") == Stored(5)
    assert parse(b"\x65\x03a.b") == Token("a.b")
    assert "a.b" not in repr(Token("a.b"))


@given(st.binary(max_size=300), st.integers(-2, 2))
def test_a_small_update_is_the_one_that_is_parsed(update: bytes, more: int) -> None:
    frame = protocol.update_message(update)
    is_small = 0 < len(update) < protocol.MAX_SMALL
    assert protocol.small_update(frame) == (update if is_small else None)
    cut = frame + bytes(more) if more > 0 else frame[: len(frame) + more]
    small = protocol.small_update(cut)
    if small is not None:
        assert parse(cut) == Update(small, answer=False)
    for other in (protocol.step2_message(update), update, "text"):
        small = protocol.small_update(other)
        assert small is None or parse(update) == Update(small, answer=False)


def test_what_is_told_about_a_token_can_be_read() -> None:
    assert protocol.token_message("token_expired", 0) == b"\x65\x0dtoken_expired\x00"
    assert protocol.token_message("", 300) == b"\x65\x00\xac\x02"
    assert protocol.expiring_message(60) == b"\x66\x3c"


@pytest.mark.parametrize(
    "frame",
    [b"", b"\x00", b"\x00\x00", b"\x00\x03\x00", b"\x00\x02\x05\x00", b"\x00\x02\x01\x00\x00",
     b"\x01", b"\x01\x01", b"\x01\x01\x05", b"\x01\x03\x01\x07\x01", b"\x02\x00\x00", b"\x04",
     b"\x03\x03", b"\x64", b"\x64\x01\x01", b"\xff" * 64, b"\x01\x02\x00\x00",
     b"\x65", b"\x65\x02a", b"\x65\x01ab", b"\x66\x01",
     b"\x64" + b"\xff" * 7 + b"\x7f", b"\x01\x05\xff\xff\xff\xff\x7f"],
)  # fmt: skip
def test_an_invalid_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(BadFrame):
        parse(frame)


@pytest.mark.no_cover
def test_a_number_of_a_million_bytes_costs_nothing() -> None:
    before = time.perf_counter()
    for frame in (b"\xff" * 1_000_000, b"\x01" + b"\xff" * 1_000_000):
        with pytest.raises(BadFrame):
            parse(frame)
    assert time.perf_counter() - before < 0.5


def test_no_mutation_of_a_frame_raises_anything_else() -> None:
    rng = random.Random(1)
    frames = document_frames()
    for _ in range(20_000):
        frame = bytearray(rng.choice(frames))
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(frame) + 1)
            frame[at : at + rng.randint(0, 2)] = rng.randbytes(rng.randint(0, 2))
        try:
            message = parse(bytes(frame))
            if isinstance(message, Aware):
                for _, _, raw in message.states:
                    protocol.parse_state(raw)
        except (BadFrame, protocol.StateTooLarge):
            pass


def states_frame(*states: tuple[int, int, bytes]) -> bytes:
    parts = [part for state in states for part in state]
    return protocol.awareness_message(packed(len(states), *parts))


def newest(
    *states: tuple[int, int, bytes], own: int | None, others: Container[int] = ()
) -> tuple[int, int, bytes] | None:
    message = parse(states_frame(*states))
    assert isinstance(message, Aware) and message.states == list(states)
    return message.newest(own, others)


def test_only_the_newest_state_of_a_member_counts() -> None:
    states = [(8, 5, b"{}"), (7, 1, b"{}"), (7, 3, b'{"x":1}'), (7, 2, b"null"), (9, 9, b"{}")]
    assert newest(*states, own=7) == (7, 3, b'{"x":1}')
    assert newest(*states, own=6) is None
    assert newest(own=7) is None


def test_a_members_first_state_tells_which_client_it_is() -> None:
    states = [(8, 5, b"{}"), (6, 1, b"null"), (7, 1, b"{}"), (7, 2, b"null")]
    assert newest(*states, own=None, others={8}) == (7, 2, b"null")
    assert newest(*states, own=None) == (8, 5, b"{}")
    assert newest(*states, own=None, others={7, 8}) is None
    assert newest((6, 1, b"null"), own=None) is None, "it shows nothing"


@pytest.mark.no_cover
def test_frames_of_as_many_states_as_there_may_be_are_read_in_a_moment() -> None:
    raw = b'{"user":{"name":"Ada","color":"#123456"}}'
    frames = [
        states_frame(*((client, clock, raw) for clock in range(protocol.MAX_STATES)))
        for client in range(5)
    ]
    before = time.process_time()
    for frame in frames:
        message = parse(frame)
        assert isinstance(message, Aware)
        assert message.newest(None, {100}) is not None
    assert time.process_time() - before < 0.3
    with pytest.raises(BadFrame, match="too many"):
        parse(states_frame(*((client, 1, raw) for client in range(protocol.MAX_STATES + 1))))


def test_a_state_is_an_object_or_null() -> None:
    assert protocol.parse_state(b'{"user":{"name":"\\ud800"}}') == {"user": {"name": "\ud800"}}
    assert protocol.parse_state(b"null") is None


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"7", b'"x"', b"[]", b'{"x":NaN}', b'{"x":1e999}', b'{"x":-Infinity}', b"\xff",
     b'{"x":' + b"[" * 2000 + b"]" * 2000 + b"}", b'{"x":' + b"[" * 40 + b"]" * 40 + b"}"],
)  # fmt: skip
def test_a_state_that_would_break_other_clients_is_refused(raw: bytes) -> None:
    with pytest.raises(BadFrame):
        protocol.parse_state(raw)


def test_a_state_has_a_size_limit() -> None:
    with pytest.raises(protocol.StateTooLarge):
        protocol.parse_state(b'{"x":"' + b"x" * protocol.MAX_STATE_BYTES + b'"}')
