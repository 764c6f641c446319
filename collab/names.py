"""Checks of what clients send: rooms' names, texts, people's names, payloads of events."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from collab.errors import BadCode, BadEvent, BadRoom, CodeTooLarge

ROOM_CHARACTERS = re.compile(r"[A-Za-z0-9_.:-]+")
MAX_NAME = 64
"""Characters of a person's name; longer names are cut."""
MAX_READ = 4 * MAX_NAME
"""Characters of a name that are read at all: some of them cannot be shown."""


def check_fields(payload: Any) -> dict[str, Any]:
    """Return an event's payload if it is an object. Raises BadEvent."""
    if not isinstance(payload, dict):
        raise BadEvent("the event's payload must be an object")
    return payload


def check_room(room: Any, max_length: int) -> str:
    """Return ``room`` if it is a room's name. Raises BadRoom."""
    if not isinstance(room, str) or not room:
        raise BadRoom("room must be a text and must not be empty")
    if len(room) > max_length:
        raise BadRoom(f"room must not have more than {max_length} characters")
    if not ROOM_CHARACTERS.fullmatch(room):
        raise BadRoom("room may only have letters, digits and -_.:")
    return room


def check_code(code: Any, max_bytes: int, field: str = "code") -> str:
    """Return ``code`` if a room can hold it. Raises BadCode or CodeTooLarge.

    ``field`` is the name of the field that the text is from, for the error's message.
    """
    if not isinstance(code, str):
        raise BadCode(f"{field} must be a text")
    size = len(code)
    if not code.isascii():
        try:
            size = len(code.encode())
        except UnicodeEncodeError:
            raise BadCode(
                f"{field} holds half of a surrogate pair, which is not a character"
            ) from None
    if size > max_bytes:
        raise CodeTooLarge(f"{field} has {size} bytes, but at most {max_bytes} are allowed")
    return code


def clean_name(name: Any, fallback: str) -> str:
    """Return a person's name in a form fit for display: one line, not too long, never empty."""
    if not isinstance(name, str):
        return fallback
    shown = "".join(
        c for c in name[:MAX_READ] if unicodedata.category(c)[0] not in "CZ" or c == " "
    )
    return " ".join(shown.split())[:MAX_NAME].strip() or fallback
