"""Packets that are many, large or empty, before any event is handled."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

from tests.abuse.members import TextMember
from tests.abuse.offender import Offender
from tests.abuse.websocket import frame

NAME = 2_000_000
"""Characters of a name: nearly the largest message."""
NOOPS = 10_000
"""NOOP packets in one write."""
LEGAL_RATE, LEGAL_BURST = 60, 120
"""Changes a second, and at once, that one connection may make by default."""


async def posted_packets(offender: Offender, packets: int) -> AsyncIterator[None]:
    """One polling request of very many packets."""
    session = await offender.handshake()
    await offender.request("POST", session, body=b"40")
    body = b"\x1e".join([b"6"] * packets)
    yield
    await offender.request("POST", session, body=body)


async def large_names(offender: Offender, connects: int) -> AsyncIterator[None]:
    """CONNECT packets with names of 2 MB."""
    members = await offender.several(connects, lambda _: offender.text_member(connect=False))
    name = "x" * NAME
    yield
    offender.account.served += sum(
        await asyncio.gather(*(member.connect(name) for member in members))
    )


async def noops(offender: Offender, packets: int) -> AsyncIterator[None]:
    """NOOP packets as fast as the node reads them."""
    member = await offender.text_member()
    await member.join("noops")
    flood = frame(b"6") * NOOPS
    yield
    for _ in range(packets // NOOPS):
        if not await member.send_raw(flood):
            return
    await member.join("noops")


async def renewed_connects(offender: Offender, connects: int) -> AsyncIterator[None]:
    """A CONNECT and a DISCONNECT around each burst of changes, to renew the pace."""
    member = await offender.text_member()
    await member.join("renewed")
    yield
    clock = asyncio.get_running_loop().time
    began, served = clock(), offender.account.served
    for _ in range(connects):
        if not await _burst(member):
            break
    took, accepted = clock() - began, offender.account.served - served
    if accepted > 2 * (LEGAL_BURST + LEGAL_RATE * took):
        what = f"{accepted} changes in {took:.1f} s, against the limit,"
        offender.account.unstated[what] += 1


_numbers = itertools.count()


async def _burst(member: TextMember) -> bool:
    """Make as many changes as a new connection may; leave the namespace, and enter it again."""
    asked = [member.change("renewed", f"{next(_numbers)}") for _ in range(LEGAL_BURST)]
    accepted = await asyncio.gather(*asked)
    return any(accepted) and await member.send("41") and await member.connect()
