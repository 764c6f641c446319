"""A node that can't hear, or can't reach Redis, lets nobody stay who has been removed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import redis.asyncio

from tests.cluster.moderating import SETTINGS, Moderator, moderating
from tests.faults.conftest import TIMEOUT, status
from tests.support.clients import JsClient, JsHost, eventually
from tests.support.processes import Node, Redis, running
from tests.support.proxy import Proxy, proxy
from tests.support.tokens import token
from tests.support.yjs import YjsHost, yjs_clients

MAX_UNCHECKED = 2.0
MESSAGE = b"*3\r\n$7\r\nmessage\r\n"
"""The first bytes of a message of pub/sub."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A node that reaches Redis straight, with a moderator, and one that does so by ``wire``."""

    near: Node
    far: Node
    wire: Proxy
    moderator: Moderator
    store: redis.asyncio.Redis


@pytest.fixture(scope="module")
async def shared_pair() -> AsyncIterator[Pair]:
    server = Redis()
    async with running(server), proxy(server.port) as wire:
        settings = {**SETTINGS, "COLLAB_REDIS_TIMEOUT": str(TIMEOUT)}
        near = Node(server.url, "near", **settings)
        far = Node(
            f"redis://127.0.0.1:{wire.port}/0", "far",
            COLLAB_MAX_UNCHECKED=str(MAX_UNCHECKED), **settings,
        )  # fmt: skip
        store = redis.asyncio.Redis.from_url(server.url)
        async with running(near, far), moderating(near) as moderator:
            yield Pair(near, far, wire, moderator, store)
        await store.aclose()
        for node in (near, far):
            assert "Traceback" not in node.output(), node.output()


@pytest.fixture
async def pair(shared_pair: Pair) -> AsyncIterator[Pair]:
    yield shared_pair
    shared_pair.wire.to_client = None
    shared_pair.wire.resume()
    shared_pair.wire.accept()
    await status(shared_pair.far, 200)


@pytest.fixture
async def yjs() -> AsyncIterator[YjsHost]:
    async with yjs_clients() as host:
        yield host


async def person(
    js: JsHost, node: Node, subject: str, transport: str = "websocket", shown: str = ""
) -> JsClient:
    auth = {"token": shown or token(subject)}
    return await js.connect(node.url, auth=auth, transports=[transport])


def drop_messages(piece: bytes) -> list[bytes]:
    """Drop what Redis publishes to a node; the node gets all other answers."""
    return [] if piece.startswith(MESSAGE) else [piece]


async def test_a_node_to_which_no_message_comes_finds_the_removal_within_a_second(
    pair: Pair, js: JsHost, yjs: YjsHost, room: str
) -> None:
    shown = token("bob")
    ann = await person(js, pair.near, "ann")
    bob = await person(js, pair.far, "bob", "polling", shown)
    await ann.change(room, "one")
    await bob.join(room)
    editor = await yjs.connect(pair.far.url, room, params={"token": token("bob")})
    await editor.shows("one")
    pair.wire.to_client = drop_messages
    id = bob.connects[-1]["sid"]  # which the near node can't ask for
    asking = asyncio.create_task(pair.moderator.act(room, id, "remove"))
    await eventually(lambda: bob.of("error") and editor.last("final"), within=2.5)
    assert bob.of("error")[-1]["code"] == "removed"
    assert editor.of("final")[-1]["code"] == 4403
    await asking
    again = await person(js, pair.near, "bob", shown=shown)
    assert (await again.join(room))["error"]["code"] == "removed"


async def test_a_node_that_was_cut_off_finds_the_removal_as_soon_as_it_is_back(
    pair: Pair, js: JsHost, yjs: YjsHost, room: str
) -> None:
    bob = await person(js, pair.far, "bob")
    await bob.change(room, "one")
    editor = await yjs.connect(pair.far.url, room, params={"token": token("bob")})
    pair.wire.refuse()
    await asyncio.sleep(0.2)
    await pair.moderator.act(room, "bob", "remove")
    assert not bob.of("error"), "the node can't know it yet"
    pair.wire.accept()
    await eventually(lambda: bob.of("error") and editor.last("final"), within=1.5)
    assert bob.of("error")[-1]["code"] == "removed"
    assert editor.of("final")[-1]["code"] == 4403
    assert (await bob.join(room))["error"]["code"] == "removed"


async def test_a_node_that_missed_more_than_the_log_has_reads_the_record_of_each_client(
    pair: Pair, js: JsHost, room: str
) -> None:
    bob, cyd = await person(js, pair.far, "bob"), await person(js, pair.far, "cyd")
    await pair.moderator.act(f"{room}-2", "bob", "make_viewer")
    await bob.join(room)
    await cyd.join(room)
    await asyncio.sleep(0.1)  # the node has read the log
    pair.wire.refuse()
    await asyncio.sleep(0.2)
    await pair.moderator.act(room, "bob", "remove")
    await pair.store.xtrim("collab:{rulings}:log", maxlen=0)
    pair.wire.accept()
    await eventually(lambda: bob.of("error"), within=1.5)
    assert bob.of("error")[-1]["code"] == "removed"
    assert (await cyd.change(room, "mine"))["ok"] and not cyd.of("error")


async def test_a_node_that_can_not_check_lets_people_go_after_a_while_and_nobody_in(
    pair: Pair, js: JsHost, yjs: YjsHost, room: str
) -> None:
    ann, bob = await person(js, pair.far, "ann"), await person(js, pair.far, "bob", "polling")
    await ann.change(room, "one")
    await bob.join(room)
    editor = await yjs.connect(pair.far.url, room, params={"token": token("ann")})
    began = time.monotonic()
    pair.wire.refuse()
    await pair.moderator.act(room, "bob", "remove")
    await eventually(lambda: bob.of("error") and ann.of("error") and editor.last("close"))
    assert time.monotonic() - began < MAX_UNCHECKED + 2 * TIMEOUT + 1
    for client in (ann, bob):
        assert client.of("error")[-1]["code"] == "store_unavailable"
        await client.until("disconnect")
    assert editor.last("close")["code"] == 1013
    for client in (ann, bob):
        assert len(client.connects) == 1, "it is not let in again"
    pair.wire.accept()
    await ann.until_reconnected()
    assert (await ann.change(room, "two"))["ok"], "the client has come back by itself"
    await editor.shows("two")
    await bob.until_reconnected()
    assert (await bob.join(room))["error"]["code"] == "removed"
    assert bob.codes == ["one"]
