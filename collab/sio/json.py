"""JSON for python-socketio, with the names that it expects: fast, and tolerant when it parses."""

from __future__ import annotations

import json
from typing import Any

import orjson

JSONDecodeError = json.JSONDecodeError


def dumps(value: Any, **_: Any) -> str:
    """Return ``value`` as compact JSON."""
    return orjson.dumps(value).decode()


def loads(text: str | bytes) -> Any:
    """Parse JSON. Raises ValueError.

    Values that orjson refuses and JSON allows (a lone surrogate, an infinite number) are parsed
    too, so that the check of the value can report what is wrong with it.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)
