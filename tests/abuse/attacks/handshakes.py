"""Sessions that begin and never connect."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator

from tests.abuse.members import PATIENCE
from tests.abuse.offender import SOCKET_IO, Offender

PIPELINED = 100
"""Requests that are written before their answers are read."""
AT_ONCE = 10
"""Connections that send large headers at the same time."""


async def handshakes(offender: Offender, sessions: int) -> AsyncIterator[None]:
    """Handshakes of polling sessions that never connect, over one TCP connection."""
    reader, writer = await offender.connection()
    request = f"GET {SOCKET_IO}polling HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    yield
    for _ in range(sessions // PIPELINED):
        writer.write(request * PIPELINED)
        answers = await _read_statuses(reader, PIPELINED)
        answered = answers.total()
        offender.account.served += answers.pop(200, 0)
        for status, count in answers.items():
            offender.account.reasons[f"HTTP {status}"] += count
        if answered < PIPELINED:
            if not answers:  # otherwise the last answer said why
                offender.account.unstated["handshake not answered"] += 1
            return


async def _read_statuses(reader: asyncio.StreamReader, expected: int) -> Counter[int]:
    """Return how many pipelined answers have each status; fewer if the connection ends."""
    told, statuses = b"", Counter[int]()
    try:
        async with asyncio.timeout(PATIENCE):
            while statuses.total() < expected and (data := await reader.read(1 << 16)):
                told += data
                statuses = Counter(map(int, re.findall(rb"HTTP/1\.1 (\d{3})", told)))
    except (OSError, TimeoutError):
        pass
    return statuses


async def large_headers(offender: Offender, sessions: int) -> AsyncIterator[None]:
    """Handshakes of sessions that never connect, with 469 kB of headers each."""
    headers = {f"X-{n}": "x" * 8080 for n in range(58)}
    yield
    for first in range(0, sessions, AT_ONCE):
        await offender.several(
            min(AT_ONCE, sessions - first), lambda _: offender.handshake(headers)
        )
