"""A name server with one name, as the one of a cluster answers for a headless Service."""

from __future__ import annotations

import asyncio
import ipaddress
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

A, NXDOMAIN, TTL = 1, 3, 5
"""The type of IPv4 addresses, the answer for other names, and CoreDNS' seconds of validity."""
Address = tuple[str, int]


class NameServer(asyncio.DatagramProtocol):
    """Answers with the addresses in ``addresses``, which may change at any time."""

    def __init__(self, name: str) -> None:
        self.addresses: list[str] = []
        self.port = 0
        self._name = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Address) -> None:
        name, _, rest = data[12:].partition(b"\0")
        question = name + b"\0" + rest[:4]
        known = name == self._name
        wanted = self.addresses if known and rest[:2] == struct.pack("!H", A) else []
        answers = b"".join(
            struct.pack("!HHHIH", 0xC00C, A, 1, TTL, 4) + ipaddress.IPv4Address(each).packed
            for each in wanted
        )
        flags = 0x8180 if known else 0x8180 | NXDOMAIN
        head = data[:2] + struct.pack("!HHHHH", flags, 1, len(wanted), 0, 0)
        assert self._transport
        self._transport.sendto(head + question + answers, addr)


@asynccontextmanager
async def name_server(name: str, *addresses: str) -> AsyncIterator[NameServer]:
    """Run a name server on a UDP port of 127.0.0.1; ``name`` has ``addresses`` at first."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(
        lambda: NameServer(name), local_addr=("127.0.0.1", 0)
    )
    try:
        server.port = transport.get_extra_info("sockname")[1]
        server.addresses = list(addresses)
        yield server
    finally:
        transport.close()
