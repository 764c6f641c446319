"""What a node keeps of those who have gone: nothing that grows."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence

import pytest

from collab.yjs import protocol
from tests.cluster.raw_yjs import HANDSHAKE
from tests.cluster.wire import wire_member
from tests.support.processes import Node, Redis, running

SETTLED = 300
"""Visits after which what is kept on purpose, the views of 64 who left, has its full size."""
MAX_GROWTH = 20
"""MB afterwards. Replicas that stay in memory cost 50 in as many visits as there are here."""
VISITS = 500
PAGE = "".join(f"line {i}\n" for i in range(18_000))[:200_000]


def assert_flat(sizes: Sequence[int]) -> None:
    sys.stdout.write(f"\nRSS in MB, every hundredth visit: {sizes[::100]}\n")
    assert max(sizes[SETTLED:]) - max(sizes[:SETTLED]) < MAX_GROWTH, "it goes on growing"


@pytest.mark.timeout(180)
async def test_hundreds_of_visits_to_a_large_room_leave_a_node_as_large_as_it_was(
    redis_server: Redis, room: str
) -> None:
    # Guards against a replica that outlived each first change: 150 of them cost 34 MB for good.
    node = Node(redis_server.url, "visited", COLLAB_MAX_JOURNAL_ENTRIES="20")
    async with running(node), wire_member(node.url) as host:
        await host.join(room)
        await (await host.type(room, PAGE))
        sizes = []
        for visit in range(1, VISITS + 1):
            async with wire_member(node.url) as visitor:
                await visitor.join(room)
                await visitor.shows(host.text)
                # A letter more each time: no earlier text is nearer to it than the one shown.
                await (await visitor.type(room, "x" * visit + PAGE))
                await host.shows(visitor.text)
            sizes.append(node.resident())
            host.codes.clear()
        assert_flat(sizes)


@pytest.mark.timeout(180)
async def test_hundreds_of_yjs_clients_that_take_nothing_leave_a_node_as_large_as_it_was(
    redis_server: Redis, room: str
) -> None:
    node = Node(redis_server.url, "visited")
    question = protocol.step1_message(b"\0")
    frame = bytes((0x82, 0x80 | len(question))) + bytes(4) + question  # a mask of zeros
    async with running(node), wire_member(node.url) as host:
        await host.join(room)
        await (await host.type(room, PAGE))
        sizes = []
        for _ in range(VISITS):
            with socket.socket() as deaf:
                deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                deaf.connect(("127.0.0.1", node.port))
                deaf.sendall(HANDSHAKE.format(room=room).encode() + 20 * frame)
                deaf.recv(1)
            sizes.append(node.resident())
        await (await host.type(room, "still here"))
        assert_flat(sizes)
