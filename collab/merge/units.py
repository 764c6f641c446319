"""Convert between code points (Python), UTF-8 bytes (pycrdt) and UTF-16 units (JavaScript).

pycrdt's ``Text`` counts UTF-8 bytes, in its arguments and in its events, and silently moves an
index that is inside a character. An embed counts as one and is not in ``str()``.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from .delta import Delta, Op
from .errors import BadText

MAX_UTF8: Final = 4
"""Bytes of one code point in UTF-8, at most."""


def utf8_size(text: str) -> int:
    """Return how many bytes ``text`` takes in UTF-8. Raises `BadText` for a lone surrogate."""
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise BadText("the text holds a lone surrogate") from error


def byte_ops(text: str, delta: Delta) -> Iterator[tuple[int, Op]]:
    """Yield ``(index, op)`` in the order to apply them: text to insert, or bytes to delete (< 0).

    Each index is in bytes, and valid after the steps before it. ``delta`` is an edit of ``text``,
    in code points.
    """
    ascii_only = text.isascii()
    position = index = 0
    for op in delta.ops:
        if isinstance(op, str):
            yield index, op
            index += utf8_size(op)
            continue
        end = position + abs(op)
        size = abs(op) if ascii_only else utf8_size(text[position:end])
        if op > 0:
            index += size
        else:
            yield index, -size
        position = end


def delta_from_event(text: str, event: Sequence[dict[str, Any]]) -> Delta | None:
    """Return the edit of ``text`` that a ``TextEvent.delta`` describes, in code points.

    Returns ``None`` if the event is not an edit of text alone: it inserts an embed, or a position
    is not between two characters.
    """
    raw = None if text.isascii() else text.encode()
    position = 0
    ops: list[Op] = []
    for step in event:
        if (insert := step.get("insert")) is not None:
            if not isinstance(insert, str):
                return None
            ops.append(insert)
            continue
        retain = "retain" in step
        size = step["retain" if retain else "delete"]
        count = size
        if raw is not None:
            try:
                count = len(raw[position : position + size].decode())
            except UnicodeDecodeError:
                return None
        position += size
        ops.append(count if retain else -count)
    return Delta.of(*ops)


def utf16_ops(text: str, delta: Delta) -> Iterator[Op]:
    """Yield the ops of ``delta``, an edit of ``text``, with counts in UTF-16 units."""
    ascii_only = text.isascii()
    position = 0
    for op in delta.ops:
        if isinstance(op, str):
            yield op
            continue
        end = position + abs(op)
        size = abs(op) if ascii_only else len(text[position:end].encode("utf-16-le")) // 2
        yield size if op > 0 else -size
        position = end
