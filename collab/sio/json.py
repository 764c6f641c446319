"""JSON for python-socketio, with the names it expects: fast, and strict only where it must be."""

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

    What orjson refuses and JSON allows (a lone surrogate, an endless number) is parsed all the
    same, so that whoever looks at the value can say what is wrong with it.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)
