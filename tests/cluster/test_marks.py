"""A receive and the PINGs around it reach a client together, with no gap for a keystroke."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.cluster.wire import wire_member
from tests.support.processes import Node, Redis, running
from tests.support.proxy import proxy

RECEIVES = 100
PING = "2"
LINE = "for (const word of words) count(word);\n"


class Frame(NamedTuple):
    """A packet, and where its frame begins and ends in the bytes that the node has written."""

    start: int
    end: int
    packet: str


class Wire:
    """The bytes that a node has written to one WebSocket, and where they were split."""

    def __init__(self) -> None:
        self._written = b""
        self._cuts: set[int] = set()

    def record(self, piece: bytes) -> list[bytes]:
        self._written += piece
        self._cuts.add(len(self._written))
        return [piece]

    def frames(self) -> Iterator[Frame]:
        inflate = zlib.decompressobj(-15)
        at = self._written.index(b"\r\n\r\n") + 4
        while at < len(self._written):
            start, (first, size) = at, self._written[at : at + 2]
            at += 2
            if size == 126:
                (size,) = struct.unpack_from(">H", self._written, at)
                at += 2
            elif size == 127:
                (size,) = struct.unpack_from(">Q", self._written, at)
                at += 8
            payload = self._written[at : at + size]
            at += size
            if first & 0x40:
                payload = inflate.decompress(payload + b"\0\0\xff\xff")
            yield Frame(start, at, payload.decode())

    def is_torn(self, start: int, end: int) -> bool:
        return any(start < cut < end for cut in self._cuts)


@pytest.mark.parametrize("deflate", [False, True], ids=["plain", "deflate"])
@pytest.mark.parametrize("lines", [10, 500], ids=["short", "long"])  # 500 are over 16 KiB
async def test_a_receive_and_its_marks_come_in_one_piece(
    redis_server: Redis, room: str, lines: int, deflate: bool
) -> None:
    node = Node(redis_server.url, "marks", COLLAB_DEFLATE=str(int(deflate)))
    wire = Wire()
    async with running(node), proxy(node.port) as link:
        link.to_client = wire.record
        url = f"http://127.0.0.1:{link.port}"
        async with (
            wire_member(node.url) as typist,
            wire_member(url, deflate=deflate) as reader,
        ):
            await typist.join(room)
            await reader.join(room)
            for number in range(RECEIVES):
                await typist.type(room, f"{number}\n" + lines * LINE)
                await reader.shows(typist.text)
    frames = list(wire.frames())
    places = [i for i, frame in enumerate(frames) if frame.packet.startswith('42["receive"')]
    assert len(places) == RECEIVES
    assert all(frames[i - 1].packet == frames[i + 1].packet == PING for i in places)
    torn = sum(wire.is_torn(frames[i - 1].start, frames[i + 1].end) for i in places)
    assert torn == 0, f"{torn} of {RECEIVES} receives came apart from their marks"
