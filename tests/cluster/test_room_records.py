"""The rooms of each client in Redis: written soon, again and again, and read by another node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import redis.asyncio

from collab.errors import StoreUnavailable
from collab.metrics import Metrics
from collab.sio.room_records import KEPT_SECONDS, MAX_AT_ONCE, RoomRecords
from collab.store.keys import client_key
from collab.store.store import Store
from tests.support.processes import Redis
from tests.support.proxy import proxy

Rooms = dict[str, list[str]]


@asynccontextmanager
async def records(store: Store, rooms: Rooms, refresh: float = 60) -> AsyncIterator[RoomRecords]:
    one = RoomRecords(store, rooms.items, refresh_seconds=refresh)
    one.open()
    yield one
    await one.close()


@pytest.fixture
async def raw(redis_server: Redis) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        yield client


async def test_many_records_are_written_and_deleted(
    redis_server: Redis, raw: redis.asyncio.Redis, room: str
) -> None:
    store = Store(redis_server.url, "records", 2.0, Metrics())
    names = [f"{room}-{number}" for number in range(3 * MAX_AT_ONCE)]
    async with records(store, {}) as one:
        for name in names:
            one.put(name, [name])
            one.put(name, [name, "other"])
        async with asyncio.timeout(5):
            while not all([await raw.exists(client_key(name)) for name in names]):
                pass
        for name in names:
            assert await one.read(name) == [name, "other"]
            one.put(name, [])
        async with asyncio.timeout(5):
            while any([await raw.exists(client_key(name)) for name in names]):
                pass
        assert await one.read(names[0]) == []
    await store.close()


async def test_records_are_refreshed_so_that_an_emptied_redis_has_them_again(
    redis_server: Redis, raw: redis.asyncio.Redis, room: str
) -> None:
    store = Store(redis_server.url, "records", 2.0, Metrics())
    async with records(store, {room: ["a", "b"]}, refresh=0.05):
        for _ in range(2):
            async with asyncio.timeout(5):
                while await raw.get(client_key(room)) != b'["a","b"]':  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert KEPT_SECONDS - 5 < await raw.ttl(client_key(room)) <= KEPT_SECONDS
            await raw.delete(client_key(room))
    await store.close()


async def test_a_record_is_written_when_redis_is_back(
    redis_server: Redis, raw: redis.asyncio.Redis, room: str
) -> None:
    async with proxy(redis_server.port) as wire:
        store = Store(f"redis://127.0.0.1:{wire.port}/0", "records", 0.2, Metrics())
        async with records(store, {}) as one:
            wire.refuse()
            one.put(room, ["older"])
            await asyncio.sleep(0.3)
            with pytest.raises(StoreUnavailable):
                await one.read(room)
            one.put(room, ["newer"])
            wire.accept()
            async with asyncio.timeout(5):
                while await raw.get(client_key(room)) != b'["newer"]':  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        await store.close()


@pytest.mark.parametrize("held", [b"no json", b"{}", b"7", b"null", b"[1, {}]"])
async def test_what_is_no_record_names_no_rooms(
    redis_server: Redis, raw: redis.asyncio.Redis, room: str, held: bytes
) -> None:
    store = Store(redis_server.url, "records", 2.0, Metrics())
    await raw.set(client_key(room), held, ex=60)
    async with records(store, {}) as one:
        assert await one.read(room) == []
    await raw.delete(client_key(room))
    await raw.lpush(client_key(room), "of another type")
    async with records(store, {}) as one:
        assert await one.read(room) == []
    await raw.delete(client_key(room))
    await store.close()
