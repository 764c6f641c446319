"""Yjs updates made by hand, in the v1 encoding, as no editor sends them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Id = tuple[int, int]
"""Client and clock."""
STRING, EMBED, FORMAT, TYPE, ANY = 4, 5, 6, 7, 8
ARRAY, MAP, TEXT = 0, 1, 2
"""Shared types."""


def varuint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(0x80 | number & 0x7F)
        number >>= 7
    return bytes([*out, number])


def varstring(text: str) -> bytes:
    content = text.encode()
    return varuint(len(content)) + content


def root(name: str = "code") -> bytes:
    """Return the parent field of a struct in a root type."""
    return b"\1" + varstring(name)


def inside(parent: Id) -> bytes:
    """Return the parent field of a struct in another type."""
    return b"\0" + varuint(parent[0]) + varuint(parent[1])


def struct(
    kind: int, content: bytes, origin: Id | None = None, right: Id | None = None,
    parent: bytes = root(),
) -> bytes:  # fmt: skip
    """Return a struct of any content. Only a struct without origins has a parent field."""
    info = kind | (0x80 if origin else 0) | (0x40 if right else 0)
    ids = b"".join(varuint(id[0]) + varuint(id[1]) for id in (origin, right) if id)
    return bytes([info]) + (ids or parent) + content


def update(
    blocks: Iterable[tuple[int, int, Sequence[bytes]]],
    deletions: Iterable[tuple[int, Sequence[tuple[int, int]]]] = (),
) -> bytes:
    """Return an update: ``(client, clock, structs)`` and ``(client, [(clock, length)])``."""
    blocks, deletions = list(blocks), list(deletions)
    out = [varuint(len(blocks))]
    for client, clock, structs in blocks:
        out += (varuint(len(structs)), varuint(client), varuint(clock), *structs)
    out.append(varuint(len(deletions)))
    for client, ranges in deletions:
        out += (varuint(client), varuint(len(ranges)))
        out += (varuint(clock) + varuint(length) for clock, length in ranges)
    return b"".join(out)


def typed(client: int, letters: int, first: int = 0) -> bytes:
    """Return letters typed one after another, each a struct of its own."""
    return update([(client, first, [
        struct(STRING, varstring("a"), (client, clock - 1) if clock else None)
        for clock in range(first, first + letters)
    ])])  # fmt: skip


def values(client: int, count: int) -> bytes:
    """Return values appended to an array one after another, each a struct of its own."""
    return update([(client, 0, [
        struct(ANY, b"\1\x77" + varstring("x"), (client, clock - 1) if clock else None,
               parent=root("array"))
        for clock in range(count)
    ])])  # fmt: skip


def nested(client: int, types: int, first: int = 0, kind: int = ARRAY) -> bytes:
    """Return shared types, each nested in the one before; ``first`` continues earlier ones."""
    return update([(client, first, [
        struct(TYPE, varuint(kind), parent=inside((client, clock - 1)) if clock else root("nest"))
        for clock in range(first, first + types)
    ])])  # fmt: skip


def conflicting(client: int, letters: int) -> bytes:
    """Return letters that must each be compared with all others to find their place."""
    anchors = struct(STRING, varstring("a" * letters))
    forged = [
        struct(STRING, varstring("b"), right=(client, letters - 1 - number))
        for number in range(letters)
    ]
    return update([(client, 0, [anchors, *forged])])


def deleted(client: int, *ranges: tuple[int, int]) -> bytes:
    """Return the deletion of ranges, each a clock and a length."""
    return update([], [(client, ranges)])


def state_vector(clients: int) -> bytes:
    """Return a state vector with one struct of each client."""
    return varuint(clients) + b"".join(varuint(client) + b"\1" for client in range(clients))
