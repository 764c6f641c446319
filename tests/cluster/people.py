"""Members on slow links, and functions that wait for what they show."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

import redis.asyncio

from tests.cluster.wire import WireMember, wire_member
from tests.support.clients import WAIT_TIMEOUT
from tests.support.processes import Node
from tests.support.proxy import proxy

FAR = 0.06
"""Seconds on the wire, each way, for a member that is far away."""


async def far_url(stack: AsyncExitStack, node: Node, delay: float = FAR) -> str:
    wire = await stack.enter_async_context(proxy(node.port, delay))
    return f"http://127.0.0.1:{wire.port}"


async def member_of(
    stack: AsyncExitStack, url: str, room: str, receive_buffer: int | None = None
) -> WireMember:
    opened = wire_member(url, receive_buffer=receive_buffer)
    member = await stack.enter_async_context(opened)
    await member.join(room)
    return member


async def all_show(members: Sequence[WireMember], text: str) -> None:
    await asyncio.gather(*(member.shows(text) for member in members))


async def until(check: Callable[[], Awaitable[bool]], pause: float = 0.01) -> None:
    """Wait until ``check()`` comes true."""
    async with asyncio.timeout(WAIT_TIMEOUT):
        while True:
            if await check():
                return
            await asyncio.sleep(pause)


async def stored(store: redis.asyncio.Redis, room: str) -> str:
    return (await store.get(f"code_{room}") or b"").decode()


async def until_stored(store: redis.asyncio.Redis, room: str, text: str) -> None:
    async def check() -> bool:
        return await stored(store, room) == text

    await until(check)


async def until_equal(people: Sequence[WireMember], room: str, store: redis.asyncio.Redis) -> None:
    """Wait until all members show what Redis has, and have done so for some round trips."""
    still = 0

    async def check() -> bool:
        nonlocal still
        code = await stored(store, room)
        still = still + 1 if {person.text for person in people} == {code} else 0
        return still > 10

    await until(check, pause=0.03)
