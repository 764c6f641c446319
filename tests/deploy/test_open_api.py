"""A node whose `/api` is open to all logs a warning, however it was started."""

from __future__ import annotations

import sys

import pytest

from tests.support.processes import ROOT, Node, Redis, running

GUNICORN = ("-m", "gunicorn", "-c", str(ROOT / "deploy" / "gunicorn.conf.py"))
WARNING = '"level":"warning"'


@pytest.mark.parametrize("started", [("-m", "collab"), GUNICORN], ids=["collab", "gunicorn"])
@pytest.mark.parametrize(
    ("host", "key", "warnings"),
    [("0.0.0.0", "", 1), ("0.0.0.0", "a key", 0), ("127.0.0.1", "", 0)],
)
async def test_a_node_that_other_machines_reach_warns_of_an_api_without_a_key(
    redis_server: Redis, started: tuple[str, ...], host: str, key: str, warnings: int
) -> None:
    node = Node(redis_server.url, COLLAB_HOST=host, COLLAB_API_KEY=key)
    node.command = (sys.executable, *started)
    async with running(node):
        pass
    warned = [line for line in node.output().splitlines() if WARNING in line]
    assert len(warned) == warnings, node.output()
    assert all("COLLAB_API_KEY" in line and '"host":"0.0.0.0"' in line for line in warned)
