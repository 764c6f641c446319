"""A program that embeds the service and decides by a hook who may enter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from collab import app
from collab.access.hook import Authorize, Bearer, Refusal
from collab.config import Config
from collab.rooms.identity import Role
from collab.sio.manager import RoomManager
from tests.support.clients import JsHost, eventually
from tests.support.processes import Redis
from tests.support.yjs import YjsHost


@asynccontextmanager
async def embedding(redis: Redis, authorize: Authorize) -> AsyncIterator[str]:
    """Run the service in this process; yield its address."""
    runner = web.AppRunner(
        app.create_app(Config.from_env({"REDIS_URL": redis.url}), authorize=authorize)
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Users:
    """A user service: ``ann:editor`` is an editor in rooms whose names end with ``ann``."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []

    async def __call__(self, token: str, room: str | None) -> Bearer | Refusal:
        await asyncio.sleep(0.01)
        self.asked.append((token, room))
        name, _, role = token.partition(":")
        if role not in ("viewer", "editor", "admin"):
            return Refusal("who are you?")
        if room is not None and not room.endswith(name):
            return Refusal("not your room")
        return Bearer(subject=f"users/{name}", name=name.title(), role=Role(role))


async def test_the_hook_decides_at_every_endpoint(
    redis_server: Redis, js: JsHost, yjs: YjsHost, room: str
) -> None:
    users, mine = Users(), f"{room}-ann"
    async with embedding(redis_server, users) as url:
        stranger = await js.connect(url, wait=False, auth={"token": "eve"})
        told = await stranger.until("connect_error")
        assert told["data"]["reason"] == "refused" and told["message"] == "who are you?"
        ann = await js.connect(url, auth={"token": "ann:editor", "name": "Mallory"})
        assert (await ann.change(mine, "x"))["ok"]
        refused = (await ann.join(f"{room}-bob"))["error"]
        assert (refused["code"], refused["message"]) == ("not_allowed", "not your room")
        seen = await yjs.connect(url, mine, params={"token": "ann:viewer"})
        await seen.shows("x")
        await eventually(lambda: seen.names == ["Ann"])
        other = await yjs.connect(url, mine, wait=False, params={"token": "bob:viewer"})
        final = await other.until("final")
        assert (final["code"], other.last("close")["reason"]) == (4403, "not your room")
        async with aiohttp.ClientSession() as session:
            for role, status in (("viewer", 403), ("editor", 403), ("admin", 204), ("", 401)):
                headers = {"Authorization": f"Bearer ann:{role}"}
                async with session.delete(f"{url}/api/rooms/{mine}", headers=headers) as answer:
                    assert answer.status == status
        await eventually(lambda: ann.of("error")[-1:] and ann.of("error")[-1]["room"] == mine)


async def test_a_session_that_ends_while_the_hook_thinks_leaves_nothing_behind(
    redis_server: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = asyncio.Event()
    managers: list[RoomManager] = []

    class Kept(RoomManager):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            managers.append(self)

    monkeypatch.setattr(app, "RoomManager", Kept)

    async def slow(token: str, room: str | None) -> Bearer | Refusal:
        await answered.wait()
        return Bearer(subject="ann", name="Ann")

    polling = "/socket.io/?EIO=4&transport=polling"
    async with embedding(redis_server, slow) as url, aiohttp.ClientSession() as session:
        async with session.get(url + polling) as answer:
            sid = (await answer.text()).split('"')[3]
        posting = asyncio.create_task(
            session.post(f"{url}{polling}&sid={sid}", data='40{"token":"ann"}')
        )
        await asyncio.sleep(0.05)
        async with session.ws_connect(
            f"{url}/socket.io/?EIO=4&transport=websocket&sid={sid}"
        ) as ws:
            await ws.send_str("2probe")
            assert await ws.receive_str() == "3probe"
            await ws.send_str("5")
        answered.set()
        await posting
        await eventually(lambda: not managers[0].rooms)
        async with session.get(f"{url}/metrics") as answer:
            counted = await answer.text()
        assert 'collab_connections{endpoint="text"} 1.0' not in counted
