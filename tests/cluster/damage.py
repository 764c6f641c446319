"""Ways to damage a room in Redis, as other programs, other versions or an operator do it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import redis.asyncio

from collab.store.keys import ends_key, room_keys
from tests.support.forge import typed

Client = redis.asyncio.Redis
Damage = Callable[[Client, str], Awaitable[Any]]


async def _append(store: Client, room: str, fields: dict[Any, Any]) -> None:
    """Append an entry that the head knows of."""
    _, journal, head = room_keys(room)
    await store.hset(head, "tail", await store.xadd(journal, fields))


def _replaced(number: int, write: Callable[[Client, str], Awaitable[Any]]) -> Damage:
    async def damage(store: Client, room: str) -> None:
        key = (*room_keys(room), ends_key(room))[number]
        await store.delete(key)
        await write(store, key)
        await store.expire(key, 600)

    return damage


def _head(**fields: Any) -> Damage:
    async def damage(store: Client, room: str) -> None:
        head = room_keys(room)[2]
        for name, value in fields.items():
            if value is None:
                await store.hdel(head, name)
            else:
                await store.hset(head, name, value)

    return damage


def _entry(**fields: Any) -> Damage:
    async def damage(store: Client, room: str) -> None:
        await _append(store, room, fields)

    return damage


UNREADABLE: dict[str, Damage] = {
    "an entry of garbage": _entry(a="", u=b"\xff garbage"),
    "an update that comes too early": _entry(a="", u=typed(77, 3, first=9)),
    "an entry without fields of ours": _entry(x="y"),
    "an author that is no text": _entry(a=b"\xff", u=b"\0\0"),
    "a base of garbage": _head(base=b"\xff garbage"),
    "base_id beyond the tail": _head(base_id="9999999999999-0"),
    "a base_id that is no id": _head(base_id="yesterday"),
    "a head without a tail": _head(tail=None),
    "a head without an epoch": _head(epoch=None),
    "a tail that is no id": _head(tail="yesterday"),
    "the journal as a string": _replaced(1, lambda store, key: store.set(key, "a string")),
    "the head as a set": _replaced(2, lambda store, key: store.sadd(key, "a", "b")),
    "the ends as a hash": _replaced(3, lambda store, key: store.hset(key, "a", "b")),
    "no journal": lambda store, room: store.delete(room_keys(room)[1]),
    "no head": lambda store, room: store.delete(room_keys(room)[2]),
}  # fmt: skip
"""Damages after which a node without the room can't open it."""

READABLE: dict[str, Damage] = {
    "the snapshot as a list": _replaced(0, lambda store, key: store.rpush(key, "a", "b")),
    "a snapshot that is not UTF-8": _replaced(0, lambda store, key: store.set(key, b"caf\xe9")),
    "bytes that are no number": _head(bytes="many"),
    "negative bytes": _head(bytes="-7"),
    "no expiry": lambda store, room: store.persist(room_keys(room)[1]),
}
"""Damages that a node that opens the room can mend, or that harm nobody."""


async def spoil(store: Client, room: str, random: Random) -> str:
    """Damage a random key of a room in a random way; return what was done."""
    key = random.choice((*room_keys(room), ends_key(room)))
    how = random.choice(("flip", "truncate", "retype", "delete", "persist"))
    kind = (await store.type(key)).decode()
    if how == "delete" or kind == "none":
        await store.delete(key)
    elif how == "persist":
        await store.persist(key)
    elif how == "retype":
        await store.delete(key)
        await random.choice((
            lambda: store.set(key, b"\xff"), lambda: store.rpush(key, b"x"),
            lambda: store.hset(key, "x", b"y"), lambda: store.sadd(key, b"x"),
            lambda: store.zadd(key, {b"x": 1}), lambda: store.xadd(key, {b"x": b"y"}),
        ))()  # fmt: skip
    elif kind == "string":
        await store.set(key, _spoilt(await store.get(key) or b"", how, random), ex=600)
    elif kind == "hash":
        fields = await store.hgetall(key)
        name = random.choice(list(fields))
        await store.hset(key, name, _spoilt(fields[name], how, random))
    elif kind == "stream":
        entries: Any = await store.xrange(key)
        at = random.randrange(len(entries)) if entries else 0
        await store.delete(key)
        for number, (id, fields) in enumerate(entries):
            changed = dict(fields)
            if number == at:
                name = random.choice(list(changed))
                changed[name] = _spoilt(changed[name], how, random)
            await store.xadd(key, changed, id=id)
    else:
        await store.lpush(key, b"\xff")
    return f"{how} {key}"


def _spoilt(found: Any, how: str, random: Random) -> bytes:
    value = bytes(found)
    at = random.randrange(len(value)) if value else 0
    if how == "truncate" or not value:
        return value[:at]
    return value[:at] + bytes([value[at] ^ random.randrange(1, 256)]) + value[at + 1 :]
