"""All that the node reports to a Yjs client as stored is in Redis, however it got to the node."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis.asyncio

from tests.support.clients import JsHost, eventually
from tests.support.processes import Node, Redis, running
from tests.support.yjs import YjsClient, YjsHost


@asynccontextmanager
async def one_node() -> AsyncIterator[tuple[Redis, Node]]:
    """Run a node with a Redis of its own, which can be stopped."""
    server = Redis()
    async with running(server):
        node = Node(server.url, "one", COLLAB_REDIS_TIMEOUT="0.3")
        async with running(node):
            yield server, node


@asynccontextmanager
async def redis_stopped(server: Redis) -> AsyncIterator[None]:
    """Stop Redis inside the block."""
    assert server.process
    server.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.process.send_signal(signal.SIGCONT)


async def asked_in_vain(ada: YjsClient, bob: YjsClient, number: int) -> None:
    """Let Ada ask what is stored; wait until an answer, if any, has come."""
    ada.do("mark", number=number)
    ada.do("local", field="cursor", value=number)
    await eventually(lambda: any(s.get("cursor") == number for s in bob.states.values()))
    bob.do("local", field="cursor", value=number)  # reaches Ada after an answer
    await eventually(lambda: any(s.get("cursor") == number for s in ada.states.values()))
    assert not answers(ada, number)


def answers(client: YjsClient, number: int) -> list[str]:
    return [event["node"] for event in client.of("stored") if event["number"] == number]


async def test_a_client_that_reconnects_while_redis_is_away_waits_for_what_it_typed_before(
    yjs: YjsHost, room: str
) -> None:
    async with one_node() as (server, node):
        ada, bob = await yjs.connect(node.url, room), await yjs.connect(node.url, room)
        ada.insert(0, "before ")
        await ada.stored(1)
        async with redis_stopped(server):
            ada.edit(["append", "in memory"], ["set", "language", "python"])
            await bob.shows("before in memory")
            ada.do("offline")
            await ada.until("unsynced")
            ada.forget()
            ada.do("online")
            await ada.until("synced")
            await asked_in_vain(ada, bob, 2)
        await eventually(lambda: answers(ada, 2))
        async with redis.asyncio.Redis.from_url(server.url) as store:
            assert await store.get(f"code_{room}") == b"before in memory"
        assert await ada.stored(3) == "one"


async def test_the_answer_waits_for_text_members_edits_too(
    yjs: YjsHost, js: JsHost, room: str
) -> None:
    """A person may have typed them, and then opened a Yjs editor."""
    async with one_node() as (server, node):
        ada, bob = await yjs.connect(node.url, room), await yjs.connect(node.url, room)
        text = await js.connect(node.url)
        await text.join(room)
        async with redis_stopped(server):
            text.emit("change", {"room": room, "code": "typed"})
            await ada.shows("typed")
            await asked_in_vain(ada, bob, 1)
        await eventually(lambda: answers(ada, 1))


async def test_a_viewers_refused_deletion_is_never_reported_as_stored(
    redis_server: Redis, yjs: YjsHost, room: str
) -> None:
    """Not on the next connection either, where the client's answer to step 1 has the deletion."""
    node = Node(redis_server.url, "one")
    node.command = (node.command[0], "-m", "tests.support.viewers")
    async with running(node):
        ada = await yjs.connect(node.url, room, params={"token": "Ada"})
        ada.edit(["insert", 0, "read this"], ["set", "a", {"b": 1}], ["set", "a", 1])
        ada.edit(["delete", 0, 5])
        await ada.stored(1)
        seen = await yjs.connect(node.url, room, params={"token": "viewer"})
        await seen.shows("this")
        assert await seen.stored(1) == "one" and not yjs.complaints
        seen.do("offline")
        await seen.until("unsynced")
        seen.edit(["delete", 0, 1])
        seen.forget()
        seen.do("online")
        await seen.until("synced")
        await asked_in_vain(seen, ada, 2)
        assert "read, not write" in yjs.complaints.pop() and not yjs.complaints
