"""Fuzzing of the HTTP endpoints: requests as bytes, mutated from real ones."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from random import Random

from tests.abuse.fuzz.crew import share
from tests.abuse.fuzz.mutation import json_value, mutated
from tests.abuse.offender import Offender

PATIENCE = 0.02
"""Seconds that a request may take, whose answer may never come because it is not whole."""
METHODS = "GET", "GET", "PUT", "PUT", "PUT", "DELETE", "HEAD", "OPTIONS", "POST", "PATCH"
HEADERS = (
    "Content-Type: application/json", "If-None-Match: *", "If-Match: x", "Expect: 100-continue",
    "Authorization: Bearer x", "Content-Encoding: gzip", "Origin: http://localhost", "Range: 0-",
    "X-Request-Id: a", "Connection: close", "Upgrade: websocket", "Cookie: a=b",
)  # fmt: skip
PATHS = (
    "/api/rooms", "/api/rooms?limit=3&cursor=0", "/api/rooms/{room}", "/api/rooms/{room}",
    "/api/rooms/{room}", "/api/rooms/{room}/history?format=updates", "/api/openapi.json",
    "/api/rooms/{room}/history", "/socket.io/?EIO=4&transport=polling", "/yjs/{room}", "/readyz",
    "/metrics", "/{room}/playback", "/",
)  # fmt: skip


async def fuzzed_requests(offender: Offender, inputs: int) -> AsyncIterator[None]:
    """Mutated HTTP requests to the API and to every other path."""
    examples = [_request(offender.rng) for _ in range(100)]

    async def visit(rng: Random, left: int) -> int:
        reader, writer = await offender.connection()
        writer.write(mutated(rng, _request(rng), examples))
        try:
            async with asyncio.timeout(PATIENCE):
                await reader.read(1 << 16)
        except (OSError, TimeoutError):
            pass
        writer.transport.abort()
        return 1

    yield
    await share(offender, inputs, visit)


def _request(rng: Random) -> bytes:
    """Return a request that is well-formed but may ask for anything."""
    path = rng.choice(PATHS).format(room=f"fuzz-{rng.randrange(30)}")
    body = b""
    if (method := rng.choice(METHODS)) in ("PUT", "POST"):
        fields = {"code": json_value(rng, 0), "base": json_value(rng, 0), "x": json_value(rng)}
        kept = rng.sample(sorted(fields), rng.randint(0, 2))
        body = json.dumps({name: fields[name] for name in kept} or json_value(rng)).encode()
    headers = [
        HEADERS[0],
        *rng.choices(HEADERS, k=rng.randrange(3)),
        f"Content-Length: {len(body)}",
    ]
    head = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""])
    return head.encode() + body
