"""Counters count what was done and sent, at every endpoint, not what was asked or prepared."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from tests.cluster.raw_yjs import HANDSHAKE, closing, raw
from tests.cluster.wire import wire_member
from tests.support.clients import WAIT_TIMEOUT, JsHost, eventually
from tests.support.processes import Node, Redis, get_metrics, running
from tests.support.yjs import YjsHost

Counters = dict[str, float]


def errors(counted: Counters) -> Counters:
    """Return the counted errors by their code."""
    return {
        name.removeprefix('collab_errors_total{code="').removesuffix('"}'): value
        for name, value in counted.items()
        if name.startswith("collab_errors_total{") and value
    }


async def counts(node: Node, right: Callable[[Counters], bool]) -> Counters:
    """Return a node's counters as soon as they are ``right``."""
    async with asyncio.timeout(WAIT_TIMEOUT):
        while True:
            counted = await get_metrics(node.url)
            if right(counted):
                return counted


@asynccontextmanager
async def counting(redis: Redis, *command: str, **env: str) -> AsyncIterator[Node]:
    """Run a node whose counters nobody else moves."""
    node = Node(redis.url, "counting", **env)
    if command:
        node.command = (node.command[0], *command)
    async with running(node):
        yield node


@pytest.fixture
async def node(redis_server: Redis) -> AsyncIterator[Node]:
    async with counting(redis_server) as made:
        yield made


# Errors


async def test_a_websocket_that_opens_counts_no_error(node: Node) -> None:
    async with wire_member(node.url):
        assert errors(await get_metrics(node.url)) == {}


async def test_a_message_far_over_the_limit_counts_once(node: Node) -> None:
    async with wire_member(node.url) as member:
        with contextlib.suppress(OSError):  # the node may go before it has all of it
            await member._ws.send_str("4" + "x" * (17 << 20))
        counted = await counts(node, lambda now: "frame_too_large" in errors(now))
    assert errors(counted) == {"frame_too_large": 1}


async def test_an_error_that_waits_for_a_client_that_goes_without_a_poll_is_not_counted(
    node: Node,
) -> None:
    url = f"{node.url}/socket.io/?EIO=4&transport=polling"
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as answer:
            sid = json.loads((await answer.text())[1:])["sid"]
        for body, status in (("4nothing\x1e4nothing", 200), ("1", 200), ("4nothing", 404)):
            async with session.post(f"{url}&sid={sid}", data=body) as answer:
                assert answer.status == status
    assert errors(await get_metrics(node.url)) == {"unknown_session": 1}


async def test_a_close_for_what_a_yjs_client_did_counts_once_and_only_if_it_hears_it(
    node: Node, room: str
) -> None:
    async with raw(node, room) as wire:
        await wire.send_bytes(b"\x07")
        assert (await closing(wire))[0] == 1002
    async with raw(node, room) as wire:
        await wire.send_bytes(b"\x00" * ((2 << 20) + 1))
        assert (await closing(wire))[0] == 1009
    async with raw(node, "no room") as wire:
        assert (await closing(wire))[0] == 4400
    counted = await counts(node, lambda now: len(errors(now)) == 3)
    assert errors(counted) == {"bad_frame": 1, "frame_too_large": 1, "bad_room": 1}


# Changes and updates


async def changes(node: Node) -> float:
    return (await get_metrics(node.url))["collab_changes_total"]


async def test_a_change_counts_at_every_endpoint_when_it_is_accepted(
    node: Node, js: JsHost, yjs: YjsHost, room: str
) -> None:
    text = await js.connect(node.url)
    assert (await text.change(room, "one"))["ok"]
    assert await changes(node) == 1
    assert not (await text.change(room, "x" * 300_000))["ok"]
    assert await changes(node) == 1

    ada = await yjs.connect(node.url, room)
    ada.insert(0, "two ")
    await ada.stored(1)
    assert await changes(node) == 2
    ada.do("offline")
    await ada.until("disconnected")
    ada.insert(0, "offline ")
    ada.forget()
    ada.do("online")
    await ada.until("synced")
    await ada.stored(2)
    assert await changes(node) == 3, "it came with the answer to step 1"
    bob = await yjs.connect(node.url, room)
    await bob.stored(3)
    assert await changes(node) == 3, "an answer to step 1 that brings nothing is no change"

    async with aiohttp.ClientSession() as session:
        url = f"{node.url}/api/rooms/{room}"
        for headers, status in (({"If-None-Match": "*"}, 412), ({}, 200)):
            async with session.put(url, json={"code": "put"}, headers=headers) as answer:
                assert answer.status == status
        assert await changes(node) == 4
        async with session.put(
            f"{url}-2", json={"code": "put"}, headers={"If-None-Match": "*"}
        ) as answer:
            assert answer.status == 201
        assert await changes(node) == 5


async def test_a_viewers_change_is_refused_and_not_counted(
    redis_server: Redis, js: JsHost, yjs: YjsHost, room: str
) -> None:
    async with counting(redis_server, "-m", "tests.support.viewers") as node:
        text = await js.connect(node.url, auth={"token": "viewer"})
        assert (await text.change(room, "x"))["error"]["code"] == "not_allowed"
        seen = await yjs.connect(node.url, room, params={"token": "viewer"})
        seen.insert(0, "x")
        await eventually(lambda: yjs.complaints)
        yjs.complaints.clear()
        assert await changes(node) == 0


async def test_an_update_counts_when_it_is_written(
    redis_server: Redis, yjs: YjsHost, room: str
) -> None:
    settings = {"COLLAB_MAX_UNSENT_BYTES": "50000000", "COLLAB_MAX_WRITTEN_BYTES": "50000000"}
    async with counting(redis_server, **settings) as node:
        ada = await yjs.connect(node.url, room)
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with deaf:
            deaf.connect(("127.0.0.1", node.port))
            deaf.sendall(HANDSHAKE.format(room=room).encode())
            assert await asyncio.to_thread(deaf.recv, 12) == b"HTTP/1.1 101"
            for i in range(60):
                ada.edit(["delete", 0, 200_000 if i else 0], ["insert", 0, str(i % 10) * 200_000])
            await ada.stored()
            written = (await get_metrics(node.url))["collab_updates_total"]
            assert written < 50, "most of it is still to be written"
