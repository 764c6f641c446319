"""A Redis for all attacks."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.processes import Redis, running


@pytest.fixture(scope="session")
async def redis_server() -> AsyncIterator[Redis]:
    server = Redis()
    async with running(server):
        yield server
