"""The checks of names, texts and payloads from clients."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab.errors import BadCode, BadEvent, BadRoom, CodeTooLarge
from collab.names import MAX_NAME, check_code, check_fields, check_room, clean_name


@pytest.mark.parametrize("room", ["a", "room-1", "A_b.c:d", "x" * 128, "..", "0"])
def test_a_room_has_letters_digits_and_four_signs(room: str) -> None:
    assert check_room(room, 128) == room


@pytest.mark.parametrize(
    "room", [None, 1, "", "x" * 129, "a b", "a/b", "é", "a\n", "\0", "{x}", ["a"]]
)
def test_any_other_room_name_is_refused(room: Any) -> None:
    with pytest.raises(BadRoom):
        check_room(room, 128)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_without_lone_surrogates_is_accepted_as_code(code: str) -> None:
    assert check_code(code, 1 << 20) is code


@pytest.mark.parametrize("code", [None, 1, b"x", ["x"], "\ud800", "a\udfffb"])
def test_code_that_is_not_text_or_has_a_lone_surrogate_is_refused(code: Any) -> None:
    with pytest.raises(BadCode):
        check_code(code, 100)


@pytest.mark.parametrize("code", ["x" * 101, "é" * 51, "🐍" * 26])
def test_the_size_of_code_is_measured_in_bytes(code: str) -> None:
    with pytest.raises(CodeTooLarge, match="100"):
        check_code(code, 100)
    assert check_code(code[:-1], 100)


@pytest.mark.parametrize("payload", [None, "x", 3, ["room"], True])
def test_a_payload_that_is_not_an_object_is_refused(payload: Any) -> None:
    with pytest.raises(BadEvent):
        check_fields(payload)


@given(st.one_of(st.none(), st.integers(), st.text()))
def test_a_cleaned_name_is_short_printable_and_not_empty(name: Any) -> None:
    shown = clean_name(name, "guest")
    assert shown and len(shown) <= MAX_NAME and shown.isprintable() and shown == shown.strip()


def test_only_the_beginning_of_a_name_is_read() -> None:
    assert clean_name("\u200b" * 192 + "x" * 100, "guest") == "x" * 64
    assert clean_name("\u200b" * 256 + "Ada", "guest") == "guest"
